import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_apprentice.core.differences import CHANGED, ONLY_FIRST, ONLY_SECOND, kinds_of, places_of
from napari_apprentice.errors import GeometryError

KINDS = arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 3))


def test_kinds_say_who_has_the_label() -> None:
    first = np.array([[[0, 1, 0, 1, 2]]], np.uint8)
    second = np.array([[[0, 0, 2, 2, 2]]], np.uint16)
    assert kinds_of(first, second).tolist() == [[[0, ONLY_FIRST, ONLY_SECOND, CHANGED, 0]]]
    assert kinds_of(second, first).tolist() == [[[0, ONLY_SECOND, ONLY_FIRST, CHANGED, 0]]]
    with pytest.raises(GeometryError):
        kinds_of(first, second[..., :3])


def test_the_largest_place_comes_first_and_lies_where_it_is() -> None:
    kinds = np.zeros((6, 9, 9), np.uint8)
    kinds[1, 1, 1] = ONLY_FIRST
    kinds[3:5, 4:8, 4:8] = ONLY_SECOND
    kinds[5, 8, 8] = ONLY_FIRST  # touches the big one at a corner only, but is another kind
    places = places_of(kinds)
    assert [(p.kind, p.voxels) for p in places.found] == [(ONLY_SECOND, 32), (ONLY_FIRST, 1), (ONLY_FIRST, 1)]
    assert places.found[0].box == (slice(3, 5), slice(4, 8), slice(4, 8))
    assert places.found[1].peak == (1, 1, 1)
    assert places.found[2].peak == (5, 8, 8)
    assert places_of(np.zeros((2, 2, 2), np.uint8)).found == ()


def test_of_very_many_places_the_largest_are_described() -> None:
    kinds = np.zeros((1, 1, 41), np.uint8)
    kinds[..., ::2] = CHANGED
    kinds[..., 20:23] = CHANGED
    places = places_of(kinds, most=3)
    assert (places.total, [p.voxels for p in places.found]) == (20, [3, 1, 1])


@given(KINDS)
def test_places_cover_every_difference_once(kinds: np.ndarray) -> None:
    places = places_of(kinds)
    covered = np.zeros_like(kinds)
    for place in places.found:
        assert not covered[place.box][place.mask].any()
        covered[place.box][place.mask] = place.kind
        assert place.voxels == place.mask.sum()
        assert kinds[place.peak] == place.kind
    np.testing.assert_array_equal(covered, kinds)
    assert places.total == len(places.found)
