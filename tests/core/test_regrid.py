"""Grids onto grids, with SimpleITK as the judge of what is sampled where."""

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.regrid import embed, offset_within, resample

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def _rotation(a: float, b: float, c: float) -> np.ndarray:
    around_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    around_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    around_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(around_x @ around_y @ around_z)


def _geometry(shape, spacing, origin=(0.0, 0.0, 0.0), turn=(0.0, 0.0, 0.0)) -> Geometry:
    affine = np.eye(4)
    affine[:3, :3] = _rotation(*turn) @ np.diag(spacing)
    affine[:3, 3] = origin
    return Geometry.from_source(shape, affine)


def _image(voxels: np.ndarray, geometry: Geometry) -> sitk.Image:
    image = sitk.GetImageFromArray(geometry.to_source(voxels).T)
    lps = LPS @ geometry.source_affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    return image


def _judge(voxels: np.ndarray, source: Geometry, target: Geometry, how: int) -> np.ndarray:
    like = _image(np.zeros(target.shape, np.float32), target)
    out = sitk.Resample(_image(voxels, source), like, sitk.Transform(), how, 0.0, sitk.sitkUnknown)
    return np.asarray(target.to_canonical(sitk.GetArrayFromImage(out).T))


SOURCE = _geometry((23, 19, 11), (1.1, 0.9, 2.7), (-12.3, 4.1, 7.7), (0.2, -0.1, 0.4))
TARGETS = (
    _geometry((17, 21, 13), (1.3, 1.2, 1.9), (-10.0, 3.0, 9.0)),
    _geometry((20, 15, 12), (-1.0, 0.8, 2.5), (9.0, 5.0, 6.0), (-0.3, 0.2, 0.1)),
    _geometry((9, 9, 40), (2.1, 2.2, 0.7), (-30.0, -5.0, 1.0), (0.0, 0.5, 0.0)),
)


@pytest.mark.parametrize("target", TARGETS)
def test_linear_sampling_agrees_with_simpleitk(target):
    voxels = np.random.default_rng(0).normal(size=SOURCE.shape).astype(np.float32)
    ours, theirs = resample(voxels, SOURCE, target, linear=True), _judge(voxels, SOURCE, target, sitk.sitkLinear)
    assert np.abs(ours - theirs).max() < 1e-4
    assert (ours != 0).any()
    assert (ours == 0).any()


@pytest.mark.parametrize("target", TARGETS)
def test_nearest_sampling_agrees_with_simpleitk(target):
    voxels = np.random.default_rng(1).integers(1, 200, SOURCE.shape).astype(np.uint8)
    ours = resample(voxels, SOURCE, target, linear=False)
    theirs = _judge(voxels, SOURCE, target, sitk.sitkNearestNeighbor)
    assert ours.dtype == np.uint8
    np.testing.assert_array_equal(ours, theirs)


def test_a_flipped_grid_is_resampled_onto_itself():
    flipped = _geometry((23, 19, 11), (-1.0, 1.0, 1.0), (22.0, 0.0, 0.0))
    plain = _geometry((23, 19, 11), (1.0, 1.0, 1.0))
    voxels = np.random.default_rng(2).integers(0, 9, plain.shape).astype(np.uint16)
    np.testing.assert_array_equal(resample(voxels, flipped, plain, linear=False), voxels)


shapes = st.tuples(*[st.integers(1, 7)] * 3)
offsets = st.tuples(*[st.integers(-4, 6)] * 3)
angles = st.tuples(*[st.floats(-0.6, 0.6)] * 3)


def _shifted(outer: Geometry, offset, shape) -> Geometry:
    affine = outer.affine.copy()
    affine[:3, 3] = (outer.affine @ [*offset, 1.0])[:3]
    return Geometry(shape, affine, (0, 1, 2), (False, False, False))


@settings(deadline=None, max_examples=60)
@given(shapes, shapes, offsets, angles)
def test_a_part_of_a_grid_is_found_and_put_back_exactly(outer_shape, inner_shape, offset, turn):
    outer = _geometry(outer_shape, (0.7, 1.3, 3.1), (-100.0, 30.0, 5.0), turn)
    inner = _shifted(outer, offset, inner_shape)
    assert offset_within(outer, inner) == offset
    voxels = np.arange(1, 1 + np.prod(inner_shape), dtype=np.uint16).reshape(inner_shape)
    out = embed(voxels, offset, outer.shape)
    for z, y, x in np.ndindex(*outer.shape):
        at = (z - offset[0], y - offset[1], x - offset[2])
        inside = all(0 <= a < n for a, n in zip(at, inner_shape, strict=True))
        assert out[z, y, x] == (voxels[at] if inside else 0)


@pytest.mark.parametrize(("shift", "found"), [(0.5, False), (0.1, False), (1e-5, True), (-1e-3, True)])
def test_only_rounding_counts_as_the_same_lattice(shift, found):
    moved = _geometry((4, 5, 6), (1.0, 1.0, 2.0), (shift, 0.0, 0.0))
    assert (offset_within(_geometry((4, 5, 6), (1.0, 1.0, 2.0)), moved) is not None) == found


def test_other_spacing_or_turn_is_another_lattice():
    plain = _geometry((9, 9, 9), (1.0, 1.0, 1.0))
    assert offset_within(plain, _geometry((9, 9, 9), (1.0, 1.0, 2.0))) is None
    assert offset_within(plain, _geometry((9, 9, 9), (1.0, 1.0, 1.0), turn=(0.01, 0.0, 0.0))) is None
