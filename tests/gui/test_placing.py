"""Where scans lie in napari's world, and when a layer still is where its file says."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import OBLIQUE
from napari_apprentice.core.geometry import CANONICAL, Geometry
from napari_apprentice.gui.placing import geometry_in, is_oblique, metadata_of, origin_of, part_in, place_of

UPRIGHT = np.array([[-0.9, 0, 0, 40.0], [0, 0, 3.0, -60], [0, 1.1, 0, 25], [0, 0, 0, 1]])


def layer(geometry: Geometry, **changed: object) -> SimpleNamespace:
    place = {k: np.array(v) for k, v in place_of(geometry).items() if k in ("scale", "translate")}
    still = {"rotate": np.eye(3), "shear": np.zeros(3), "affine": np.eye(4), "metadata": metadata_of(geometry)}
    return SimpleNamespace(**{**place, **still, **changed})


@given(st.tuples(*[st.floats(0, 1)] * 3))
def test_every_voxel_of_an_upright_scan_lies_where_it_is_in_the_patient(where: tuple[float, float, float]) -> None:
    geometry = Geometry.from_source((5, 6, 7), UPRIGHT)
    index = np.array(where) * (np.array(geometry.shape) - 1)
    on_screen = origin_of(geometry) + index * geometry.spacing
    np.testing.assert_allclose(on_screen, CANONICAL @ (geometry.affine @ [*index, 1])[:3], atol=1e-9)
    assert not is_oblique(geometry)


def test_an_oblique_scan_has_its_centre_where_it_is_in_the_patient() -> None:
    geometry = Geometry.from_source((5, 6, 7), OBLIQUE)
    middle = (np.array(geometry.shape) - 1) / 2
    on_screen = origin_of(geometry) + middle * geometry.spacing
    np.testing.assert_allclose(on_screen, CANONICAL @ (geometry.affine @ [*middle, 1])[:3], atol=1e-9)
    assert is_oblique(geometry)


def test_two_grids_of_one_patient_lie_over_each_other() -> None:
    coarse = UPRIGHT @ np.diag([2, 2, 2, 1])
    coarse[:3, 3] = UPRIGHT[:3, 3]
    fine, rough = Geometry.from_source((9, 9, 9), UPRIGHT), Geometry.from_source((5, 5, 5), coarse)
    np.testing.assert_allclose(origin_of(fine), origin_of(rough), atol=1e-9)


def test_the_grid_is_known_again_bit_for_bit() -> None:
    geometry = Geometry.from_source((5, 6, 7), OBLIQUE, {"format": "nifti", "qform_code": 1})
    found = geometry_in(layer(geometry), geometry.shape)
    assert found is not None
    assert found.source_affine.tobytes() == geometry.source_affine.tobytes()
    assert found.to_json() == geometry.to_json()


@pytest.mark.parametrize(
    "changed",
    [
        {"scale": (9.0, 9.0, 9.0)}, {"translate": (0.0, 0.0, 1.0)}, {"metadata": {}}, {"metadata": {"apprentice": 1}},
        {"rotate": np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0.0]])}, {"shear": np.array([0.1, 0, 0])},
    ],
)  # fmt: skip
def test_a_layer_that_was_moved_is_not_on_its_grid_any_more(changed: dict[str, object]) -> None:
    geometry = Geometry.from_source((5, 6, 7), OBLIQUE)
    assert geometry_in(layer(geometry, **changed), geometry.shape) is None


def test_a_voxel_of_ten_nanometres_is_not_nothing() -> None:
    geometry = Geometry.from_source((50, 60, 70), np.diag([1e-5, 1e-5, 1e-5, 1.0]))
    z, y, x = place_of(geometry)["translate"]
    assert geometry_in(layer(geometry), geometry.shape) is not None
    assert geometry_in(layer(geometry, translate=np.array([z, y, x + 3e-5])), geometry.shape) is None
    between = layer(geometry, translate=np.array([z, y, x + 2.4e-5]))
    assert part_in(between, (50, 60, 40), geometry) is None


def test_a_layer_that_was_cropped_is_not_on_its_grid_any_more() -> None:
    geometry = Geometry.from_source((5, 6, 7), OBLIQUE)
    assert geometry_in(layer(geometry), (1, 2, 3)) is None


@pytest.mark.parametrize("affine", [UPRIGHT, OBLIQUE, OBLIQUE[:, [2, 0, 1, 3]] @ np.diag([-1, 1, -1, 1])])
def test_a_piece_of_a_scan_is_found_where_it_is_in_the_patient(affine: np.ndarray) -> None:
    geometry = Geometry.from_source((5, 6, 7), affine, {"format": "nifti"})
    start, shape = (1, 2, 1), (2, 1, 3)
    piece = layer(geometry, translate=origin_of(geometry) + np.array(start) * geometry.spacing)
    found = part_in(piece, shape, geometry)
    assert found is not None
    assert found.shape == shape
    assert found.header == {}
    for index in ((0, 0, 0), (1, 0, 2)):
        whole = geometry.affine @ [*np.add(index, start), 1]
        np.testing.assert_allclose(found.affine @ [*index, 1], whole, atol=1e-12)
    voxels = np.arange(np.prod(geometry.shape)).reshape(geometry.shape)
    box = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
    assert np.isin(found.to_source(voxels[box]), geometry.to_source(voxels)).all()


@pytest.mark.parametrize(
    ("away", "shape"), [((0.5, 0, 0), (2, 2, 2)), ((-1, 0, 0), (2, 2, 2)), ((4, 0, 0), (9, 2, 2)), ((0, 0, 0), (2, 2))]
)
def test_what_lies_beside_a_scan_or_between_its_voxels_is_no_piece_of_it(
    away: tuple[float, ...], shape: tuple[int, ...]
) -> None:
    geometry = Geometry.from_source((5, 6, 7), OBLIQUE)
    moved = layer(geometry, translate=origin_of(geometry) + np.array(away) * geometry.spacing)
    assert part_in(moved, shape, geometry) is None
