"""Label names that other programs write into NIfTI files."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Extension

from builders import OBLIQUE
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.loop.label_matching import match_labels
from napari_apprentice.scans.label_sign import says_labels
from napari_apprentice.scans.reader import read_label_map
from real_data import real_data

CARET = (
    '<?xml version="1.0" encoding="UTF-8"?> <CaretExtension> <VolumeInformation Index="0"> <LabelTable>'
    '<Label Key="0" Red="0" Green="0" Blue="0" Alpha="0"><![CDATA[???]]></Label>'
    '<Label Key="1" Red="0" Green="1" Blue="0" Alpha="1"><![CDATA[spleen]]></Label>'
    '<Label Key="2" Red="1" Green="0" Blue="0.2" Alpha="1"><![CDATA[liver]]></Label>'
    "</LabelTable> </VolumeInformation></CaretExtension>"
)


def _nifti(path: Path, *extensions: tuple[int, str], kind: type = nib.Nifti1Image) -> Path:
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[0], labels[1, 2:4] = 1, 2
    image = kind(labels, OBLIQUE)
    image.header.extensions.extend(Nifti1Extension(code, text.encode()) for code, text in extensions)
    nib.save(image, path)
    return path


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_organs_are_found_by_the_names_that_totalsegmentator_wrote_not_by_its_numbers(tmp_path: Path, kind: type):
    path = _nifti(tmp_path / "seg.nii.gz", (4, "<AFNI_attributes/>"), (0, CARET), kind=kind)
    labels = read_label_map(path)
    assert (labels.names, labels.colours) == ({1: "spleen", 2: "liver"}, {1: "#00ff00", 2: "#ff0033"})
    matched = match_labels(LabelSchema.from_names(["liver", "spleen"]), labels, "seg.nii.gz")
    np.testing.assert_array_equal(matched.voxels, np.array([0, 2, 1], np.uint8)[labels.voxels])
    assert says_labels(path)


def test_a_mask_with_the_header_of_the_label_map_it_was_made_of_is_what_its_file_is_called(tmp_path: Path) -> None:
    whole = nib.load(_nifti(tmp_path / "seg.nii.gz", (0, CARET)))
    mask = (np.asarray(whole.dataobj) == 2).astype(np.uint8)
    nib.save(nib.Nifti1Image(mask, whole.affine, whole.header), tmp_path / "Liver.nii.gz")
    labels = read_label_map(tmp_path / "Liver.nii.gz")
    matched = match_labels(LabelSchema.from_names(["spleen", "liver"]), labels, "Liver.nii.gz")
    np.testing.assert_array_equal(matched.voxels, labels.voxels * 2)
    assert "1 is Liver as the file is called, and not spleen" in matched.notes[0]
    told = read_label_map(tmp_path / "Liver.nii.gz", told={1: "liver", 3: "cyst"})
    assert told.names[1] == "liver"
    assert "1 is liver and not spleen, as its data set says" in told.warnings[-1]


def test_a_label_without_a_colour_has_its_name_and_the_others_have_theirs(tmp_path: Path) -> None:
    text = CARET.replace(' Red="0" Green="1" Blue="0"', "")
    labels = read_label_map(_nifti(tmp_path / "seg.nii.gz", (0, text)))
    assert (labels.names, labels.colours) == ({1: "spleen", 2: "liver"}, {2: "#ff0033"})


@pytest.mark.data
def test_names_of_a_real_one() -> None:
    names = read_label_map(real_data("abdomen_ct", "labels_117.nii.gz")).names
    assert (len(names), names[1], names[5]) == (117, "spleen", "liver")


@pytest.mark.parametrize(
    "text",
    [
        CARET.replace("</LabelTable>", ""),
        CARET.replace('Key="1"', 'Key="one"'),
        CARET.replace("<CaretExtension>", '<!DOCTYPE x [<!ENTITY a "aaaa">]><CaretExtension>'),
    ],
)
def test_an_extension_that_is_damaged_or_hostile_gives_no_names(tmp_path: Path, text: str) -> None:
    labels = read_label_map(_nifti(tmp_path / "seg.nii", (0, text)))
    assert (labels.names, sorted(np.unique(labels.voxels))) == ({}, [0, 1, 2])
