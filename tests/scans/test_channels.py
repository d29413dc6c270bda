import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import OBLIQUE
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import ChoiceError, InputError
from napari_apprentice.scans.channels import Channel, distinct, same_grid, stack
from napari_apprentice.scans.reader import read_volume
from real_data import real_data


def volume(dtype="int16", shift=0.0, seed=0, shape=(6, 5, 4)):
    affine = OBLIQUE.copy()
    affine[0, 3] += shift
    geometry = Geometry.from_source(shape, affine)
    voxels = np.random.default_rng(seed).integers(0, 100, (1, *geometry.shape)).astype(dtype)
    return Volume(voxels, geometry, ("c0",), f"{seed}.nii", str(seed) * 64)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["uint8", "int16", "uint16", "int32", "float32"]), min_size=2, max_size=4))
def test_on_one_grid_every_voxel_stays_exactly_as_it_was(dtypes):
    parts = [Channel(f"n{i}", volume(d, seed=i)) for i, d in enumerate(dtypes)]
    made = stack("p", parts)
    assert made.channels == tuple(c.name for c in parts)
    for got, part in zip(made.voxels, parts, strict=True):
        np.testing.assert_array_equal(got, part.volume.voxels[0])
    assert not [s for s in made.steps if s.kind == "resample"]


def test_other_grids_are_named_with_every_way_out():
    with pytest.raises(ChoiceError, match="Case p: b lies on another grid than a: its corners") as caught:
        stack("p", [Channel("a", volume()), Channel("b", volume(shift=0.3))])
    assert caught.value.setting == "reference"
    assert [value for value, _ in caught.value.choices] == ["a", "b", "separate"]


def test_affines_that_differ_by_what_programs_round_are_one_grid():
    first, other = volume(seed=1), volume("float32", shift=4e-3, seed=2)
    made = stack("p", [Channel("a", first), Channel("b", other)])
    np.testing.assert_array_equal(made.voxels[1], other.voxels[0])
    assert made.geometry is first.geometry
    assert not [s for s in made.steps if s.kind == "resample"]


@pytest.mark.parametrize("order", [(0, 2, 1), (2, 0, 1)])
@pytest.mark.parametrize("degrees", [45.0, -45.0])
def test_grids_turned_by_45_degrees_are_one_grid_in_any_axis_order(degrees, order):
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    affine = np.array([[1.0, 0, 0, 5], [0, cos, -sin, -3], [0, sin, cos, 8], [0, 0, 0, 1]])
    source = np.random.default_rng(1).integers(0, 90, (2, 6, 7, 7)).astype(np.int16)
    first = Geometry.from_source((6, 7, 7), affine)
    saved = affine[:, [*order, 3]].copy()
    saved[:, 3] += saved[:, 0] * (source.shape[1 + order[0]] - 1)
    saved[:, 0] *= -1
    other = Geometry.from_source(tuple(source.shape[1 + a] for a in order), saved)
    stored = source[1].transpose(order)[::-1]
    parts = [
        Channel("a", Volume(first.to_canonical(source[:1]), first, ("c",), "a.nii", "0" * 64)),
        Channel("b", Volume(other.to_canonical(stored)[None], other, ("c",), "b.nii", "1" * 64)),
    ]
    assert same_grid(parts)
    made = stack("p", parts)
    np.testing.assert_array_equal(made.geometry.to_source(made.voxels), source)
    assert not [s for s in made.steps if s.kind == "resample"]


def test_a_reference_that_is_no_channel_is_refused():
    with pytest.raises(InputError, match=r"no channel x .* a, b"):
        stack("p", [Channel("a", volume()), Channel("b", volume())], reference="x")


def test_a_missing_channel_is_asked_about_and_recorded_as_zeros():
    parts = [Channel("a", None), Channel("b", volume())]
    with pytest.raises(ChoiceError, match="Case p has no file for channel a") as caught:
        stack("p", parts)
    assert caught.value.setting == "missing"
    made = stack("p", parts, missing="zero")
    assert made.channels == ("a", "b")
    assert made.voxels.dtype == np.int16
    assert not made.voxels[0].any()
    assert [(s.kind, s.detail["channel"]) for s in made.steps] == [("missing", "a"), ("channel", "b")]


def test_each_channel_keeps_its_own_steps_warnings_and_digest():
    made = stack("p", [Channel("a", volume(seed=1)), Channel("b", volume(seed=2))])
    assert [s.detail["digest"][0] for s in made.steps if s.kind == "channel"] == ["1", "2"]
    other = stack("p", [Channel("a", volume(seed=1)), Channel("b", volume(seed=3))])
    assert made.source_digest != other.source_digest


def test_doubled_names_are_numbered():
    assert distinct(["CT", "PT", "CT"]) == ("CT-1", "PT", "CT-2")


@pytest.mark.parametrize("reference", ["CT", "PET"])
def test_ct_mr_and_pet_of_one_patient_lie_where_simpleitk_puts_them(reference):
    folder = real_data("sarcoma", "STS_024")
    names = ("CT", "MR_T1", "PET")
    made = stack("STS_024", [Channel(n, read_volume(folder / f"{n}.nii.gz")) for n in names], reference=reference)
    target = sitk.ReadImage(str(folder / f"{reference}.nii.gz"))
    for name, got in zip(names, made.voxels, strict=True):
        image = sitk.ReadImage(str(folder / f"{name}.nii.gz"), sitk.sitkFloat32)
        # NaN marks what lies outside of the moving image: there is nothing to agree on.
        judged = sitk.Resample(image, target, sitk.Transform(), sitk.sitkLinear, float("nan"))
        expected = sitk.GetArrayFromImage(judged).transpose(2, 1, 0)
        seen = made.geometry.to_source(got)
        known = np.isfinite(expected)
        assert known.mean() > 0.1
        span = float(np.ptp(sitk.GetArrayViewFromImage(image)))
        assert np.abs(seen[known] - expected[known]).max() < 1e-3 * span
    moved = {s.detail["channel"] for s in made.steps if s.kind == "resample"}
    assert moved == {*names} - {reference}
    step = next(s for s in made.steps if s.kind == "resample")
    own = read_volume(folder / f"{step.detail['channel']}.nii.gz")
    np.testing.assert_array_equal(step.detail["affine"], own.geometry.affine)
    assert step.detail["digest"] == own.source_digest


def test_four_contrasts_of_one_grid_are_channels_without_a_question():
    folder = real_data("ms_lesions", "patient07")
    names = ("FLAIR", "T1", "T1POST", "T2")
    made = stack("p7", [Channel(n, read_volume(folder / f"{n}.nii.gz")) for n in names])
    assert made.voxels.shape[0] == 4
    np.testing.assert_array_equal(made.voxels[3], read_volume(folder / "T2.nii.gz").voxels[0])
