"""Sides of the patient and places in the file, against the affine itself."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.gui.anatomy import edge_letters, file_index, letters_towards, patient_position

SHAPE = (5, 7, 9)
AXIAL, CORONAL, SAGITTAL = (1, 2), (0, 2), (0, 1)


def oriented(order: tuple[int, ...], signs: tuple[int, ...]) -> Geometry:
    """One of the 48 ways a file's axes can run along the patient's."""
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3)[list(order)] * np.array(signs)[:, None]).T * (0.8, 1.0, 3.0)
    affine[:3, 3] = (11.0, -7.0, 30.0)
    return Geometry.from_source(SHAPE, affine)


ORIENTATIONS = st.tuples(st.permutations(range(3)).map(tuple), st.tuples(*[st.sampled_from((-1, 1))] * 3))


@given(ORIENTATIONS)
def test_every_orientation_of_a_file_is_shown_the_radiological_way(how: tuple) -> None:
    geometry = oriented(*how)
    assert edge_letters(geometry, AXIAL) == ("A", "P", "R", "L")
    assert edge_letters(geometry, CORONAL) == ("I", "S", "R", "L")
    assert edge_letters(geometry, SAGITTAL) == ("I", "S", "A", "P")


def test_letters_follow_a_transposed_view_and_a_flipped_camera() -> None:
    geometry = oriented((0, 1, 2), (1, 1, 1))
    assert edge_letters(geometry, (2, 1)) == ("R", "L", "A", "P")
    assert edge_letters(geometry, CORONAL, vertical="up") == ("S", "I", "R", "L")
    assert edge_letters(geometry, AXIAL, horizontal="left") == ("A", "P", "L", "R")


@pytest.mark.parametrize(("degrees", "letters"), [(0, "A"), (15, "A"), (25, "AR"), (44, "AR"), (46, "RA"), (80, "R")])
def test_an_oblique_direction_is_named_by_two_letters(degrees: float, letters: str) -> None:
    angle = np.radians(degrees)
    assert letters_towards((np.sin(angle), np.cos(angle), 0)) == letters


def test_a_slanted_scan_says_so_at_opposite_edges() -> None:
    turn = np.radians(30)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    assert edge_letters(Geometry.from_source(SHAPE, affine), AXIAL) == ("AL", "PR", "RA", "LP")


@given(ORIENTATIONS, st.tuples(*(st.integers(0, n - 1) for n in SHAPE)))
def test_a_voxel_is_found_again_in_the_file(how: tuple, source: tuple[int, int, int]) -> None:
    geometry = oriented(*how)
    marked = np.zeros(SHAPE)
    marked[source] = 1
    canonical = np.argwhere(geometry.to_canonical(marked))[0]
    assert file_index(geometry, canonical.tolist()) == source
    right, anterior, superior = (geometry.source_affine @ [*source, 1])[:3]
    text = patient_position(geometry, canonical)
    for value, (less, more) in zip((right, anterior, superior), ("LR", "PA", "IS"), strict=True):
        assert f"{more if value >= 0 else less} {abs(value):.1f}" in text


def test_letters_are_those_of_nibabel() -> None:
    nib = pytest.importorskip("nibabel")
    for order, signs in itertools.product(itertools.permutations(range(3)), itertools.product((-1, 1), repeat=3)):
        geometry = oriented(order, signs)
        found = "".join(letters_towards(geometry.source_affine[:3, axis]) for axis in range(3))
        assert found == "".join(nib.aff2axcodes(geometry.source_affine))
