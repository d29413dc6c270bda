"""What files leave open: volumes, colours, values that are no numbers."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - the name everyone knows it by

from builders import OBLIQUE, study, write_nifti
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import ChoiceError, ScanError
from napari_apprentice.scans.oddities import handle_not_numbers
from napari_apprentice.scans.reader import read_label_map, read_volume

TIMES = np.arange(3 * 4 * 5 * 12, dtype=np.int16).reshape(3, 4, 5, 12)


def _nrrd(path):
    stack = np.moveaxis(TIMES, 3, 0).transpose(0, 3, 2, 1)
    sitk.WriteImage(sitk.GetImageFromArray(np.ascontiguousarray(stack), isVector=False), str(path))
    return path


def _vector(path):
    sitk.WriteImage(sitk.GetImageFromArray(np.ascontiguousarray(TIMES.transpose(2, 1, 0, 3)), isVector=True), str(path))
    return path


def _time_series(folder, kind):
    path = folder / f"a{kind}"
    if kind.startswith(".nii"):
        return write_nifti(path, TIMES)
    return _vector(path) if kind == ".mha" else _nrrd(path)


@pytest.mark.parametrize("kind", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_volumes_of_a_time_series_are_asked_for_and_taken_in_the_order_asked(tmp_path, kind):
    path = _time_series(tmp_path, kind)
    with pytest.raises(ChoiceError, match="holds 12 volumes") as caught:
        read_volume(path)
    assert (caught.value.setting, [c[0] for c in caught.value.choices]) == ("volumes", ["0", "all"])
    found = read_volume(path, ReadSettings(volumes="7,2"))
    source = found.geometry.to_source(found.voxels)
    np.testing.assert_array_equal(source, np.moveaxis(TIMES[..., [7, 2]], 3, 0))
    assert found.channels == ("c7", "c2")
    assert found.steps[0].to_json() == {
        "kind": "volumes",
        "what": "Volumes 7, 2 of 12 were taken as channels.",
        "detail": {"chosen": [7, 2], "count": 12},
    }
    everything = read_volume(path, ReadSettings(volumes="all"))
    np.testing.assert_array_equal(everything.geometry.to_source(everything.voxels), np.moveaxis(TIMES, 3, 0))
    with pytest.raises(ScanError, match="from 0 to 11"):
        read_volume(path, ReadSettings(volumes="12"))


def test_a_setting_for_time_series_does_not_touch_other_scans(tmp_path):
    path = write_nifti(tmp_path / "a.nii", TIMES[..., 0])
    found = read_volume(path, ReadSettings(volumes="3"))
    assert (found.voxels.shape[0], found.steps) == (1, ())


def test_axes_of_one_voxel_are_passed_over_and_five_real_ones_refused(tmp_path):
    vectors = TIMES[..., None, :3]
    found = read_volume(write_nifti(tmp_path / "a.nii", vectors))
    np.testing.assert_array_equal(found.geometry.to_source(found.voxels), np.moveaxis(TIMES[..., :3], 3, 0))
    with pytest.raises(ScanError, match=r"b\.nii has 5 axes \(3, 4, 5, 2, 2\)"):
        read_volume(write_nifti(tmp_path / "b.nii", np.zeros((3, 4, 5, 2, 2), np.int16)))


RGB = np.random.default_rng(0).integers(0, 255, (3, 4, 5, 3)).astype(np.uint8)


def _coloured(path):
    if path.suffix == ".nii":
        fields = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
        nib.save(nib.Nifti1Image(RGB.view(fields)[..., 0], OBLIQUE), path)
    else:
        sitk.WriteImage(
            sitk.GetImageFromArray(np.ascontiguousarray(RGB.transpose(2, 1, 0, 3)), isVector=True), str(path)
        )
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
def test_colours_become_three_channels_or_grey(tmp_path, suffix):
    path = _coloured(tmp_path / f"a{suffix}")
    found = read_volume(path)
    np.testing.assert_array_equal(found.geometry.to_source(found.voxels), np.moveaxis(RGB, 3, 0))
    assert (found.channels, found.steps) == (("R", "G", "B"), ())
    grey = read_volume(path, ReadSettings(colour="grey"))
    luma = np.rint(RGB @ [0.299, 0.587, 0.114]).astype(np.uint8)
    np.testing.assert_array_equal(grey.geometry.to_source(grey.voxels)[0], luma)
    assert [s.kind for s in grey.steps] == ["colour"]
    with pytest.raises(ScanError, match="holds colours"):
        read_label_map(path, ReadSettings(colour="grey"))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd"])
def test_values_that_are_no_numbers_are_kept_filled_or_refused(tmp_path, suffix):
    voxels = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    voxels[0, 0, 0], voxels[1, 2, 3] = np.nan, np.inf
    path = tmp_path / f"a{suffix}"
    if suffix == ".nrrd":
        sitk.WriteImage(sitk.GetImageFromArray(voxels.T.copy()), str(path))
    else:
        write_nifti(path, voxels)
    kept = read_volume(path)
    np.testing.assert_array_equal(kept.geometry.to_source(kept.voxels)[0], voxels)
    assert "2 voxels that are not numbers" in kept.warnings[0]
    filled = read_volume(path, ReadSettings(not_numbers="zero"))
    np.testing.assert_array_equal(filled.geometry.to_source(filled.voxels)[0], np.where(np.isfinite(voxels), voxels, 0))
    assert (filled.warnings, filled.steps[0].kind, filled.steps[0].detail) == ((), "fill", {"voxels": 2})
    with pytest.raises(ScanError, match="2 voxels that are not numbers"):
        read_volume(path, ReadSettings(not_numbers="refuse"))


def test_one_label_per_volume_is_refused_with_what_to_do(tmp_path):
    path = write_nifti(tmp_path / "a.nii", np.zeros((3, 4, 5, 2), np.uint8))
    with pytest.raises(ScanError, match="argmax"):
        read_label_map(path)


@pytest.mark.parametrize(("kind", "filler"), [("f4", np.finfo("f4").max), ("f8", -np.finfo("f8").max)])
def test_the_largest_number_there_is_stands_for_no_value(tmp_path, kind, filler):
    """As resampling fills places outside: one such voxel left nothing of the others in their mean."""
    voxels = TIMES[..., 0].astype(kind)
    voxels[0, 1, 2] = filler
    path = write_nifti(tmp_path / "a.nii", voxels)
    kept = read_volume(path)
    assert "1 voxels that are not numbers" in kept.warnings[0]
    assert [s.kind for s in kept.steps] == ["fill"]
    source = kept.geometry.to_source(kept.voxels)[0]
    assert source[0, 1, 2] == np.copysign(np.inf, filler)
    others = np.delete(voxels.ravel(), 7)
    np.testing.assert_array_equal(np.delete(source.ravel(), 7), others)
    cases = study(tmp_path, 0).cases
    cases.add("a", "s", kept)
    (moments,) = cases.source("a").moments()
    assert (moments.mean, moments.std) == pytest.approx((others.mean(), others.std()))


@pytest.mark.parametrize(("choice", "left"), [("keep", 2), ("zero", 0)])
def test_half_precision_knows_infinity_from_its_largest_number(choice, left):
    voxels = np.full((1, 2, 3, 4), 65504, np.float16)
    voxels[0, 0, 0, :2] = np.inf, np.nan
    scan = Volume(voxels, Geometry.from_source((4, 3, 2), np.eye(4)), ("MR",), "a.tif", "0" * 64)
    found = handle_not_numbers(scan, ReadSettings(not_numbers=choice))
    assert np.count_nonzero(~np.isfinite(found.voxels)) == left
    assert np.count_nonzero(found.voxels == 65504) == 22
