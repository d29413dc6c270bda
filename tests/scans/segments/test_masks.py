"""Masks that are label maps by their names: a folder of them, as TotalSegmentator writes it, or one alone."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from builders import OBLIQUE, write_nifti
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import LabelMap
from napari_apprentice.errors import ChoiceError, GeometryError, InputError, ScanError
from napari_apprentice.loop.label_matching import match_labels
from napari_apprentice.scans.reader import read_label_map
from napari_apprentice.scans.segments.masks import read_masks

SHAPE = (4, 5, 6)


def _mask(folder: Path, name: str, *where: int, value: int = 1, affine: np.ndarray = OBLIQUE) -> Path:
    folder.mkdir(exist_ok=True)
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[list(where)] = value
    return write_nifti(folder / f"{name}.nii.gz", voxels, affine)


def test_a_folder_of_masks_is_one_label_map_named_after_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "segmentations"
    _mask(folder, "liver", 0, 1)
    _mask(folder, "spleen", 2, value=255)
    _mask(folder, "tail")
    labels = read_label_map(folder)
    assert labels.names == {1: "liver", 2: "spleen", 3: "tail"}
    matched = match_labels(LabelSchema.from_names(["spleen", "liver"]), labels, folder.name)
    expected = np.array([2, 2, 1, 0], np.uint8)[:, None, None] * np.ones(SHAPE, np.uint8)
    np.testing.assert_array_equal(labels.geometry.to_source(matched.voxels), expected)


@pytest.mark.parametrize("match", ["names", "ids"])
def test_the_numbers_of_files_in_a_folder_are_never_taken_for_labels(tmp_path: Path, match: str) -> None:
    for n, name in enumerate(("aorta", "liver")):
        _mask(tmp_path / "s", name, n)
    with pytest.raises(InputError, match=r"s holds label 1 aorta .*--segments takes some of its labels only"):
        match_labels(LabelSchema.from_names(["spleen", "liver"]), read_label_map(tmp_path / "s"), "s", match)


def test_masks_are_chosen_by_name_and_overlaps_asked_about(tmp_path: Path) -> None:
    for name, where in (("liver", (0, 1)), ("lesion", (1,)), ("spleen", (2,))):
        _mask(tmp_path / "s", name, *where)
    with pytest.raises(ChoiceError, match="s: lesion and liver share 30 voxels"):
        read_label_map(tmp_path / "s")
    chosen = read_label_map(tmp_path / "s", ReadSettings(segments="liver,spleen"))
    assert [*chosen.names.values()] == ["liver", "spleen"]


def test_what_is_no_mask_or_on_another_grid_is_named(tmp_path: Path) -> None:
    moved = OBLIQUE.copy()
    moved[0, 3] += 1
    _mask(tmp_path / "s", "liver", 0)
    _mask(tmp_path / "s", "spleen", 1, affine=moved)
    with pytest.raises(GeometryError, match=r"s/spleen\.nii\.gz does not lie on the grid of liver\.nii\.gz"):
        read_label_map(tmp_path / "s")
    _mask(tmp_path / "s", "spleen", 1, value=7)
    with pytest.raises(ScanError, match=r"s/spleen\.nii\.gz is no mask: it holds labels 7"):
        read_label_map(tmp_path / "s")


@pytest.mark.parametrize("value", [1, 255])
def test_a_mask_that_is_called_as_a_label_is_that_label(tmp_path: Path, value: int) -> None:
    labels = read_label_map(_mask(tmp_path, "Spleen", 2, value=value))
    matched = match_labels(LabelSchema.from_names(["liver", "spleen"]), labels, "Spleen.nii.gz")
    assert sorted(np.unique(matched.voxels)) == [0, 2]
    assert matched.notes == (f"Spleen.nii.gz: {value} Spleen became 2 spleen.",)


def test_only_the_labels_asked_for_are_taken_from_any_file(tmp_path: Path) -> None:
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[0], voxels[1], voxels[2] = 1, 2, 3
    path = write_nifti(tmp_path / "a.nii.gz", voxels)
    assert sorted(np.unique(read_label_map(path, ReadSettings(segments="1,3,9")).voxels)) == [0, 1, 3]
    with pytest.raises(InputError, match=r"holds label 3 .* --segments takes some of its labels only\."):
        match_labels(LabelSchema.from_names(["liver", "spleen"]), read_label_map(path), path.name)
    with pytest.raises(InputError, match=r"a\.nii\.gz has no segment liver; it has 1, 2, 3\."):
        read_label_map(path, ReadSettings(segments="liver"))


def test_labels_are_asked_for_by_the_name_that_the_data_set_or_the_file_gives_them(tmp_path: Path) -> None:
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[0], voxels[1] = 1, 2
    path = write_nifti(tmp_path / "a.nii.gz", voxels)
    told = {1: "liver", 2: "tumour", 3: "cyst"}
    for wanted, left in (("liver", {0, 1}), ("TUMOUR,1", {0, 1, 2}), ("cyst", {0})):
        assert {*np.unique(read_label_map(path, ReadSettings(segments=wanted), told=told).voxels)} == left
    assert read_label_map(_mask(tmp_path, "Liver", 0), ReadSettings(segments="liver")).voxels.any()
    nothing = write_nifti(tmp_path / "b.nii.gz", np.zeros(SHAPE, np.uint8))
    assert not read_label_map(nothing, ReadSettings(segments="liver")).voxels.any()


def test_a_label_that_one_scan_lacks_is_told_and_the_others_are_taken(tmp_path: Path) -> None:
    for n, name in enumerate(("aorta", "liver")):
        _mask(tmp_path / "s", name, n)
    labels = read_label_map(tmp_path / "s", ReadSettings(segments="liver, tumour"))
    assert (dict(labels.names), labels.warnings) == (
        {2: "liver"},
        ("s: it has no segment tumour, as --segments says.",),
    )
    plain = read_label_map(_mask(tmp_path, "a", 0), ReadSettings(segments="liver,tumour"), told={1: "liver"})
    assert plain.warnings == ("a.nii.gz: it has no segment tumour, as --segments says.",)
    assert plain.voxels.any()


def test_the_place_of_a_file_in_a_folder_is_no_number_to_ask_for(tmp_path: Path) -> None:
    for n, name in enumerate(("aorta", "liver")):
        _mask(tmp_path / "s", name, n)
    with pytest.raises(InputError, match="s has no segment 1; it has aorta, liver"):
        read_label_map(tmp_path / "s", ReadSettings(segments="1"))


def test_masks_in_every_format_are_taken_or_the_folder_is_refused(tmp_path: Path) -> None:
    _mask(tmp_path / "s", "aorta", 0)
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[1] = 1
    nib.save(nib.MGHImage(voxels, OBLIQUE), tmp_path / "s" / "liver.mgz")
    voxels = np.roll(voxels, 1, 0)
    nib.save(nib.Nifti1Pair(voxels, OBLIQUE), tmp_path / "s" / "spleen.hdr")
    (tmp_path / "s" / "preview.png").write_bytes(b"")
    labels = read_label_map(tmp_path / "s")
    assert dict(labels.names) == {1: "aorta", 2: "liver", 3: "spleen"}
    assert np.bincount(labels.voxels.ravel()).tolist() == [30, 30, 30, 30]
    (tmp_path / "s" / "vein.tif").write_bytes(b"")
    with pytest.raises(ScanError, match=r"s holds vein\.tif beside masks in NIfTI"):
        read_label_map(tmp_path / "s")


def test_each_mask_is_read_once_and_what_is_odd_about_it_is_told(tmp_path: Path) -> None:
    for n, name in enumerate(("aorta", "liver")):
        _mask(tmp_path / "s", name, n)
    read: list[str] = []

    def one(path: Path) -> LabelMap:
        read.append(path.name)
        return replace(read_label_map(path), warnings=(f"{path.name} is odd.",))

    labels = read_masks(tmp_path / "s", ReadSettings(), one)
    assert read == ["aorta.nii.gz", "liver.nii.gz"]
    assert labels.warnings == ("aorta.nii.gz is odd.", "liver.nii.gz is odd.")
    np.testing.assert_array_equal(labels.voxels == 2, read_label_map(tmp_path / "s" / "liver.nii.gz").voxels)
