import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_apprentice.core.correction import Canvas
from napari_apprentice.core.differences import places_of
from napari_apprentice.core.merging import CONFLICT, MINE, ONLY_MINE, ONLY_THEIRS, THEIRS, Merge, touched
from napari_apprentice.errors import GeometryError, InputError

SHAPE = (2, 3, 4)
ALL = (ONLY_MINE, ONLY_THEIRS, CONFLICT)
SIDES = st.builds(
    Canvas, arrays(np.uint8, SHAPE, elements=st.integers(0, 2)), arrays(np.uint8, SHAPE, elements=st.integers(0, 2))
)
BASES = st.none() | SIDES


def copy_of(side: Canvas) -> Canvas:
    return Canvas(side.labels.copy(), side.status.copy())


def after(merge: Merge, whose: str, kinds: tuple[int, ...]) -> Canvas:
    canvas = copy_of(merge.mine)
    stroke = merge.taking_all(canvas, whose, kinds)
    if stroke is not None:
        canvas.apply(stroke)
    return canvas


def same(one: Canvas, two: Canvas) -> bool:
    return np.array_equal(one.labels, two.labels) and np.array_equal(one.status, two.status)


def row(labels: list[int], status: list[int]) -> Canvas:
    return Canvas(np.array([[labels]], np.uint8), np.array([[status]], np.uint8))


def test_each_voxel_belongs_to_who_decided_on_it() -> None:
    base = row([0, 0, 0, 1, 1, 0], [0, 0, 0, 2, 2, 0])
    mine = row([1, 0, 1, 2, 1, 1], [2, 0, 2, 2, 2, 0])  # the last is another model version's guess
    theirs = row([0, 1, 2, 0, 1, 0], [0, 2, 2, 2, 2, 0])
    merge = Merge.of(base, mine, theirs)
    assert merge.kinds.tolist() == [[[ONLY_MINE, ONLY_THEIRS, CONFLICT, CONFLICT, 0, 0]]]
    assert merge.counts == {ONLY_MINE: 1, ONLY_THEIRS: 1, CONFLICT: 2}
    assert after(merge, THEIRS, (ONLY_THEIRS,)).labels.tolist() == [[[1, 1, 1, 2, 1, 1]]]
    assert after(merge, THEIRS, ALL).labels.tolist() == [[[0, 1, 2, 0, 1, 1]]]


def test_what_they_accepted_is_accepted_and_mine_stays_edited() -> None:
    base = row([1, 1, 1, 1], [0, 0, 0, 2])
    mine = row([1, 1, 1, 1], [0, 2, 1, 2])
    theirs = row([1, 1, 1, 1], [1, 1, 2, 0])  # the last was put back to what is unseen
    merged = after(Merge.of(base, mine, theirs), THEIRS, (ONLY_THEIRS,))
    assert merged.status.tolist() == [[[1, 2, 2, 0]]]


@given(BASES, SIDES)
def test_merging_with_itself_changes_nothing(base: Canvas | None, side: Canvas) -> None:
    merge = Merge.of(base, side, copy_of(side))
    assert not merge.kinds.any()
    for whose in (MINE, THEIRS):
        assert merge.taking_all(side, whose, ALL) is None


@given(BASES, SIDES, SIDES)
def test_theirs_where_i_did_nothing_never_changes_what_i_did(base: Canvas | None, mine: Canvas, theirs: Canvas) -> None:
    merge = Merge.of(base, mine, theirs)
    merged, did = after(merge, THEIRS, (ONLY_THEIRS,)), touched(base, mine)
    np.testing.assert_array_equal(merged.labels[did], mine.labels[did])
    assert (merged.status[did] >= mine.status[did]).all()
    they = touched(base, theirs) & ~did
    np.testing.assert_array_equal(merged.labels[they], theirs.labels[they])
    np.testing.assert_array_equal(merged.status[they], theirs.status[they])


@given(BASES, SIDES, SIDES)
def test_conflicts_are_the_same_seen_from_either_side(base: Canvas | None, mine: Canvas, theirs: Canvas) -> None:
    here, there = Merge.of(base, mine, theirs), Merge.of(base, theirs, mine)
    np.testing.assert_array_equal(here.kinds == CONFLICT, there.kinds == CONFLICT)
    np.testing.assert_array_equal(here.kinds == ONLY_MINE, there.kinds == ONLY_THEIRS)
    agreed = (mine.labels == theirs.labels) & (touched(base, mine) | touched(base, theirs))
    np.testing.assert_array_equal(here.status[agreed], there.status[agreed])


@given(BASES, SIDES, SIDES, st.randoms(use_true_random=False))
def test_place_by_place_is_the_same_as_all_at_once_and_goes_back(
    base: Canvas | None, mine: Canvas, theirs: Canvas, random: object
) -> None:
    merge, canvas = Merge.of(base, mine, theirs), copy_of(mine)
    places = list(places_of(merge.kinds).found)
    random.shuffle(places)
    strokes = []
    for place in places:
        stroke = merge.taking(canvas, THEIRS, place.box, place.mask)
        assert stroke is not None, "a place is where the labels differ"
        canvas.apply(stroke)
        strokes.append(stroke)
        assert merge.shown_in(canvas, place.box, place.mask) == THEIRS
    differs = merge.kinds != 0
    np.testing.assert_array_equal(canvas.labels[differs], theirs.labels[differs])
    np.testing.assert_array_equal(canvas.labels[~differs], mine.labels[~differs])
    for stroke in reversed(strokes):
        canvas.apply(stroke.inverse())
    assert same(canvas, mine)
    for place in places:
        assert merge.shown_in(canvas, place.box, place.mask) == MINE
        assert merge.taking(canvas, MINE, place.box, place.mask) is None


def test_painting_meanwhile_is_neither_mine_nor_theirs_and_stays_out_of_the_rest() -> None:
    base, mine, theirs = row([0, 0], [0, 0]), row([1, 0], [2, 0]), row([2, 0], [2, 1])
    merge, canvas = Merge.of(base, mine, theirs), row([3, 3], [2, 2])
    (place,) = places_of(merge.kinds).found
    assert merge.shown_in(canvas, place.box, place.mask) == ""
    stroke = merge.taking_all(canvas, THEIRS, (ONLY_THEIRS,))
    assert stroke is None, "what was painted since the merge began keeps label and status"


def test_what_does_not_fit_is_refused() -> None:
    small = Canvas(np.zeros((1, 1, 1), np.uint8), np.zeros((1, 1, 1), np.uint8))
    with pytest.raises(GeometryError):
        Merge.of(None, small, row([1, 1], [2, 2]))
    large = Canvas(np.full((1, 1, 1), 300, np.uint16), np.ones((1, 1, 1), np.uint8))
    with pytest.raises(InputError, match="Label 300"):
        Merge.of(None, small, large)
    assert Merge.of(None, large, small).kinds.tolist() == [[[ONLY_MINE]]]


@given(BASES, SIDES, SIDES, SIDES)
def test_slice_by_slice_is_the_same_as_the_whole(
    base: Canvas | None, mine: Canvas, theirs: Canvas, shown: Canvas
) -> None:
    whole = Merge.of(base, mine, theirs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_apprentice.core.merging.SLAB", 1)
        sliced = Merge.of(base, mine, theirs)
        canvas, stroke = copy_of(shown), sliced.taking_all(shown, THEIRS, (ONLY_THEIRS,))
    if stroke is not None:
        canvas.apply(stroke)
    np.testing.assert_array_equal(sliced.kinds, whole.kinds)
    np.testing.assert_array_equal(sliced.status, whole.status)
    where = whole.kinds == ONLY_THEIRS
    agreed = (whole.kinds == 0) & (shown.labels == mine.labels) & (shown.status == mine.status)
    np.testing.assert_array_equal(canvas.labels, np.where(where, theirs.labels, shown.labels))
    status = np.where(where, theirs.status, np.where(agreed, whole.status, shown.status))
    np.testing.assert_array_equal(canvas.status, status)
