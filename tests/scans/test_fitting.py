"""Label maps made elsewhere, onto the grid of a case."""

import nibabel as nib
import numpy as np
import pytest

from builders import OBLIQUE
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.volume import LabelMap
from napari_apprentice.errors import GeometryError
from napari_apprentice.scans.fitting import fit
from napari_apprentice.scans.reader import read_label_map
from real_data import real_data

CASE = Geometry.from_source((10, 8, 6), OBLIQUE)
PART = "it covers a part of the scan only; the rest counts as background."


def _part(offset, shape):
    affine = CASE.source_affine.copy()
    affine[:3, 3] = (CASE.source_affine @ [*offset, 1.0])[:3]
    return Geometry.from_source(shape, affine)


def _labels(geometry, seed=0):
    return LabelMap(
        np.random.default_rng(seed).integers(0, 4, geometry.shape).astype(np.uint8), geometry, {1: "a"}, {1: "#ff0000"}
    )


def test_other_axis_order_and_flips_are_the_same_grid():
    turned = np.zeros((4, 4))
    turned[:, 0], turned[:, 1], turned[:, 2] = OBLIQUE[:, 2], -OBLIQUE[:, 0], OBLIQUE[:, 1]
    turned[:, 3] = OBLIQUE @ [9, 0, 0, 1]
    labels = _labels(Geometry.from_source((6, 10, 8), turned))
    fitted = fit(labels, CASE, "a.nii")
    np.testing.assert_array_equal(fitted.voxels, labels.voxels)
    assert fitted.geometry is CASE
    assert (fitted.names, fitted.colours, fitted.warnings) == ({1: "a"}, {1: "#ff0000"}, ())


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("degrees", [45.0, -45.0, 135.0])
def test_a_grid_turned_by_45_degrees_in_any_axis_order_is_the_same_grid(degrees, order):
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    affine = np.array([[1.0, 0, 0, 5], [0, cos, -sin, -3], [0, sin, cos, 8], [0, 0, 0, 1]])
    case = Geometry.from_source((6, 7, 7), affine)
    source = np.random.default_rng(1).integers(0, 3, (6, 7, 7)).astype(np.uint8)
    saved = affine[:, [*order, 3]].copy()
    saved[:, 3] += saved[:, 0] * (source.shape[order[0]] - 1)
    saved[:, 0] *= -1
    elsewhere = Geometry.from_source(tuple(source.shape[a] for a in order), saved)
    labels = LabelMap(elsewhere.to_canonical(source.transpose(order)[::-1]), elsewhere)
    np.testing.assert_array_equal(fit(labels, case, "a.nii").voxels, case.to_canonical(source))


def test_a_cropped_map_goes_to_its_place_without_resampling():
    labels = _labels(_part((2, 1, 3), (5, 6, 2)))
    fitted = fit(labels, CASE, "a.nii").voxels
    seen = CASE.to_source(fitted)
    np.testing.assert_array_equal(seen[2:7, 1:7, 3:5], labels.geometry.to_source(labels.voxels))
    assert np.count_nonzero(fitted) == np.count_nonzero(labels.voxels)
    said = fit(labels, CASE, "a.nii").warnings
    assert said == (f"a.nii: {PART}",)


def test_labels_outside_of_the_scan_are_counted_and_never_dropped_silently():
    labels = LabelMap(np.ones((2, 8, 10), np.uint8), _part((0, 0, 5), (10, 8, 2)))
    with pytest.raises(GeometryError, match=r"a\.nii.*80 of its labelled voxels lie outside.*--resample"):
        fit(labels, CASE, "a.nii")
    fitted = fit(labels, CASE, "a.nii", resample=True)
    assert fitted.warnings[1:] == ("a.nii: 80 labelled voxels outside of the scan were left out.",)
    assert int(CASE.to_source(fitted.voxels)[:, :, 5].sum()) == 80
    assert int(fitted.voxels.sum()) == 80


def test_a_larger_map_whose_labels_are_inside_is_cut_to_the_scan():
    outer = _part((-1, -2, -3), (14, 12, 12))
    source = np.zeros((14, 12, 12), np.uint8)
    source[3:9, 4:8, 4:8] = 2
    fitted = fit(LabelMap(outer.to_canonical(source), outer), CASE, "a.nii")
    assert int((CASE.to_source(fitted.voxels)[2:8, 2:6, 1:5] == 2).sum()) == 96
    assert np.count_nonzero(fitted.voxels) == 96
    assert fitted.warnings == ()


def test_a_grid_between_the_voxels_is_refused_and_resampled_only_when_asked():
    labels = _labels(_part((0.5, 0, 0), (9, 8, 6)))
    with pytest.raises(GeometryError, match=r"does not fit the scan: its shape is .*--resample"):
        fit(labels, CASE, "a.nii")
    fitted = fit(labels, CASE, "a.nii", resample=True)
    assert fitted.voxels.shape == CASE.shape
    assert fitted.voxels.any()
    assert "was resampled" in fitted.warnings[0]


def test_a_label_that_resampling_loses_is_named():
    fine = Geometry.from_source((40, 32, 24), OBLIQUE @ np.diag([0.25, 0.25, 0.25, 1.0]))
    voxels = np.ones(fine.shape, np.uint8)
    voxels[10, 10, 10] = 7
    assert "nothing is left of label 7" in fit(LabelMap(voxels, fine), CASE, "a.nii", resample=True).warnings[-1]


def test_a_map_that_lies_elsewhere_is_refused_instead_of_becoming_background():
    # Such as one saved by a script that dropped the affine.
    labels = _labels(_part((50.3, 0, 0), (10, 8, 6)))
    with pytest.raises(GeometryError, match=r"a\.nii lies elsewhere than the scan: nothing is left of its labels"):
        fit(labels, CASE, "a.nii", resample=True)


@pytest.mark.data
@pytest.mark.parametrize(("shift", "fits"), [(0.0, True), (1e-5, True), (0.5, False), (0.1, False)])
def test_rounding_of_the_origin_is_accepted_and_half_a_voxel_is_not(tmp_path, shift, fits):
    # shift_half.nii.gz among the odd files has the origin of ok.nii.gz, so the shift is made here.
    source = real_data("odd", "made", "label", "ok.nii.gz")
    image = nib.load(source)
    affine = image.affine.copy()
    affine[0, 3] += shift
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), affine), tmp_path / "moved.nii.gz")
    case = read_label_map(source)
    labels = read_label_map(tmp_path / "moved.nii.gz")
    if fits:
        np.testing.assert_array_equal(fit(labels, case.geometry, "moved.nii.gz").voxels, case.voxels)
    else:
        with pytest.raises(GeometryError, match=rf"moved\.nii\.gz does not fit .* {shift:.2f} mm"):
            fit(labels, case.geometry, "moved.nii.gz")


@pytest.mark.data
def test_swapped_axes_are_refused():
    case, swapped = (read_label_map(real_data("odd", "made", "label", f"{n}.nii.gz")) for n in ("ok", "transposed_xy"))
    with pytest.raises(GeometryError, match="transposed_xy"):
        fit(swapped, case.geometry, "transposed_xy.nii.gz")


@pytest.mark.data
def test_a_real_crop_on_the_same_lattice_is_the_label_map_of_the_whole():
    folder = real_data("sarcoma", "STS_005")
    whole = read_label_map(folder / "CT_tumour.nii.gz")
    crop = read_label_map(folder / "MR_T1_tumour.nii.gz")
    fitted = fit(crop, whole.geometry, "MR_T1_tumour.nii.gz")
    np.testing.assert_array_equal(fitted.voxels, whole.voxels)
    assert [w.split(": ")[1] for w in fitted.warnings] == [PART]


@pytest.mark.data
def test_a_tumour_map_goes_to_the_grid_of_another_channel_when_asked():
    folder = real_data("sarcoma", "STS_005")
    labels = read_label_map(folder / "CT_tumour.nii.gz")
    pet = read_label_map(folder / "PET_tumour.nii.gz")
    with pytest.raises(GeometryError, match="CT_tumour"):
        fit(labels, pet.geometry, "CT_tumour.nii.gz")
    fitted = fit(labels, pet.geometry, "CT_tumour.nii.gz", resample=True)
    volumes = [np.count_nonzero(m.voxels) * np.prod(m.geometry.spacing) for m in (labels, fitted)]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.02)
    both = np.count_nonzero((fitted.voxels > 0) & (pet.voxels > 0))
    assert 2 * both / (np.count_nonzero(fitted.voxels) + np.count_nonzero(pet.voxels)) > 0.9
