import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

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


@given(KINDS)
def test_places_are_those_that_scipy_finds(kinds: np.ndarray) -> None:
    wanted = []
    for kind in np.unique(kinds[kinds != 0]):
        parts, count = ndimage.label(kinds == kind, structure=np.ones((3, 3, 3)))
        wanted += [(kind, (parts == part).tobytes()) for part in range(1, count + 1)]
    found = []
    for place in places_of(kinds).found:
        where = np.zeros(kinds.shape, np.bool_)
        where[place.box] = place.mask
        assert place.mask.any(axis=(1, 2)).all(), "the box is as small as can be"
        assert place.mask.any(axis=(0, 2)).all()
        assert place.mask.any(axis=(0, 1)).all()
        found.append((place.kind, where.tobytes()))
    assert sorted(found) == sorted(wanted)


def test_places_of_a_large_scan_are_found_in_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = (np.random.default_rng(0).random((30, 20, 20)) < 0.2).astype(np.uint8)
    whole = places_of(kinds)
    monkeypatch.setattr("napari_apprentice.core.connected.SLAB", 800)
    slabs = places_of(kinds)
    assert [(p.box, p.voxels) for p in slabs.found] == [(p.box, p.voxels) for p in whole.found]
    assert slabs.total == whole.total == ndimage.label(kinds, np.ones((3, 3, 3)))[1]
