import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_apprentice.core.geometry import CANONICAL, Geometry
from napari_apprentice.errors import GeometryError

SHAPE = (3, 4, 5)
ORIENTATIONS = [(p, s) for p in itertools.permutations(range(3)) for s in itertools.product((1.0, -1.0), repeat=3)]


def _axes(permutation: tuple[int, ...], signs: tuple[float, ...]) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, list(permutation)] * np.array(signs) * (1.0, 2.0, 3.0)
    affine[:3, 3] = (10.0, -20.0, 30.0)
    return affine


def _tilt(angles: tuple[float, float, float]) -> np.ndarray:
    turned = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = [i for i in range(3) if i != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        turned = turned @ turn
    return turned


@st.composite
def affines(draw: st.DrawFn) -> np.ndarray:
    """Any orientation, turned by up to 40 degrees about each axis, sheared, scaled and shifted."""
    permutation, signs = draw(st.sampled_from(ORIENTATIONS))
    angle = st.floats(-0.7, 0.7)
    tilt = _tilt((draw(angle), draw(angle), draw(angle)))
    shear = np.eye(3)
    shear[0, 1], shear[0, 2], shear[1, 2] = (draw(st.floats(-0.4, 0.4)) for _ in range(3))
    scale = [draw(st.floats(0.05, 20.0)) for _ in range(3)]
    affine = np.eye(4)
    affine[:3, :3] = tilt @ shear @ np.eye(3)[:, list(permutation)] * np.array(signs) * scale
    affine[:3, 3] = [draw(st.floats(-1e3, 1e3)) for _ in range(3)]
    return affine


@pytest.mark.parametrize(("permutation", "signs"), ORIENTATIONS)
def test_every_orientation_becomes_superior_posterior_left(permutation, signs):
    geometry = Geometry.from_source(SHAPE, _axes(permutation, signs))
    directions = geometry.affine[:3, :3] / np.linalg.norm(geometry.affine[:3, :3], axis=0)
    np.testing.assert_allclose(directions.T, CANONICAL, atol=1e-12)
    assert sorted(geometry.spacing) == [1.0, 2.0, 3.0]


@given(affines(), st.tuples(*(st.integers(1, 6),) * 3), st.integers(0, 2))
def test_there_and_back_is_the_same(affine, shape, lead):
    geometry = Geometry.from_source(shape, affine)
    voxels = np.arange(2**lead * np.prod(shape)).reshape((2,) * lead + shape)
    canonical = geometry.to_canonical(voxels)
    assert canonical.shape[lead:] == geometry.shape
    assert np.shares_memory(canonical, voxels)
    np.testing.assert_array_equal(geometry.to_source(canonical), voxels)


@given(affines(), st.data())
def test_each_voxel_stays_where_it_was(affine, data):
    geometry = Geometry.from_source(SHAPE, affine)
    where = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"))
    at = tuple(data.draw(st.integers(0, n - 1)) for n in geometry.shape)
    ijk = geometry.to_canonical(where)[(slice(None), *at)]
    scale = np.abs(affine).max()
    np.testing.assert_allclose(geometry.affine @ [*at, 1], affine @ [*ijk, 1], atol=1e-9 * scale)


@given(affines())
def test_json_keeps_every_bit(affine):
    geometry = Geometry.from_source(SHAPE, affine, {"srow_x": [0.1, 1 / 3, 1e-30, -0.0]})
    back = Geometry.from_json(json.loads(json.dumps(geometry.to_json())))
    assert back.source_affine.tobytes() == geometry.source_affine.tobytes()
    assert (back.source_shape, back.permutation, back.flips) == (
        geometry.source_shape,
        geometry.permutation,
        geometry.flips,
    )
    assert back.header == geometry.header
    assert geometry.difference(back) is None


def test_the_same_grid_stored_in_another_order_is_the_same():
    one = Geometry.from_source(SHAPE, np.eye(4))
    flipped = np.eye(4)
    flipped[0, 0], flipped[0, 3] = -1.0, SHAPE[0] - 1
    assert one.difference(Geometry.from_source(SHAPE, flipped)) is None


def test_differences_are_told_in_words():
    one = Geometry.from_source(SHAPE, np.eye(4))
    shifted = np.eye(4)
    shifted[0, 3] = 0.5
    assert "0.50 mm" in one.difference(Geometry.from_source(SHAPE, shifted))
    assert "shape" in one.difference(Geometry.from_source((5, 4, 3), np.eye(4)))
    shifted[0, 3] = 1e-5
    assert one.difference(Geometry.from_source(SHAPE, shifted)) is None


def test_a_grid_of_micrometres_one_voxel_aside_is_another_grid():
    affine = np.diag([2e-4, 2e-4, 2e-4, 1.0])  # a voxel of 0.2 um is far below a thousandth of a millimetre
    one = Geometry.from_source(SHAPE, affine)
    affine[0, 3] = 2e-4
    assert "0.0002 mm" in one.difference(Geometry.from_source(SHAPE, affine))
    affine[0, 3] = 1e-6
    assert one.difference(Geometry.from_source(SHAPE, affine)) is None


@pytest.mark.parametrize("column", [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0)])
def test_a_singular_affine_is_refused(column):
    affine = np.eye(4)
    affine[:3, 2] = column
    with pytest.raises(GeometryError, match="singular"):
        Geometry.from_source(SHAPE, affine)


def test_an_affine_of_nan_is_refused():
    with pytest.raises(GeometryError, match="not numbers"):
        Geometry.from_source(SHAPE, np.full((4, 4), np.nan))
