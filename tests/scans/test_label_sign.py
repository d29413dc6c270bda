"""Files that say that they are label maps, and files that do not."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from builders import OBLIQUE, write_nifti
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.scans.label_sign import says_labels
from napari_apprentice.scans.reader import read_volume
from napari_apprentice.scans.writer import write_label_map, write_scalar
from real_data import real_data

GEOMETRY = Geometry.from_source((4, 5, 6), OBLIQUE)


def test_whole_numbers_alone_are_no_sign(tmp_path: Path) -> None:
    assert not says_labels(write_nifti(tmp_path / "a.nii.gz", np.ones((4, 5, 6), np.uint8)))


def test_a_nifti_file_says_it_by_its_intent(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.ones((4, 5, 6), np.uint8), OBLIQUE)
    image.header.set_intent("label")
    nib.save(image, tmp_path / "a.nii.gz")
    assert says_labels(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd"])
def test_a_label_map_with_names_that_was_written_here_says_it(tmp_path: Path, suffix: str) -> None:
    labels = np.ones(GEOMETRY.shape, np.uint8)
    write_label_map(tmp_path / f"a{suffix}", labels, GEOMETRY, {1: "liver"})
    assert says_labels(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_nifti_label_map_without_names_that_was_written_here_says_it_and_a_scan_does_not(
    tmp_path: Path, suffix: str, version: int
) -> None:
    kind = {1: nib.Nifti1Image, 2: nib.Nifti2Image}[version]
    nib.save(kind(np.zeros((4, 5, 6), np.int16), OBLIQUE), tmp_path / "scan.nii")
    geometry = read_volume(tmp_path / "scan.nii").geometry
    write_label_map(tmp_path / f"labels{suffix}", np.ones(geometry.shape, np.uint8), geometry)
    write_scalar(tmp_path / f"values{suffix}", np.ones(geometry.shape, np.uint8), geometry)
    assert says_labels(tmp_path / f"labels{suffix}")
    assert not says_labels(tmp_path / f"values{suffix}")
    assert nib.load(tmp_path / f"labels{suffix}").header.get_intent()[0] == "label"


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr_labels_say_it(tmp_path: Path, version: int) -> None:
    known = {"image-label": {"version": "0.5"}}
    name, text = (".zattrs", known) if version == 2 else ("zarr.json", {"attributes": {"ome": known}})
    (tmp_path / name).write_text(json.dumps(text))
    assert says_labels(tmp_path)
    (tmp_path / name).write_text(json.dumps({"attributes": {}}))
    assert not says_labels(tmp_path)


@pytest.mark.data
def test_no_odd_file_upsets_it() -> None:
    answers = {p.name: says_labels(p) for p in real_data("odd").rglob("*")}
    assert len(answers) > 20
    assert not all(answers.values())


@pytest.mark.data
def test_a_real_dicom_seg_says_it() -> None:
    found = [p for p in real_data("dicom", "dcmqi_segmentations").rglob("*.dcm") if says_labels(p)]
    assert found
