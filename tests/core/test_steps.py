"""Undo and redo worked out part by part are what they are when nothing was ever closed."""

import itertools
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from napari_apprentice.core.steps import REDO, UNDO, Steps


@dataclass(frozen=True)
class Made:
    """A stroke; its number says what undo and redo are about."""

    tool: str
    number: int


def _inverse(stroke: Made) -> Made:
    return Made("inverse", stroke.number)


def _story(verbs: list[str]) -> tuple[list[Made], list[int], list[int]]:
    """Strokes as the program would make them, and the numbers left to undo and to redo."""
    made, done, undone = [], [], []
    for number, verb in enumerate(verbs):
        source, target = (done, undone) if verb == UNDO else (undone, done)
        if verb == "paint":
            done.append(number)
            undone.clear()
            made.append(Made("paint", number))
        elif source:
            target.append(source.pop())
            made.append(Made(verb, target[-1]))
    return made, done, undone


@given(
    verbs=st.lists(st.sampled_from(["paint", "paint", UNDO, UNDO, REDO]), max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=5),
)
def test_parts_joined_are_the_whole(verbs: list[str], cuts: list[int]) -> None:
    made, done, undone = _story(verbs)
    edges = [0, *sorted(min(cut, len(made)) for cut in cuts), len(made)]
    parts = [Steps(made[a:b], _inverse) for a, b in itertools.pairwise(edges)]
    newest = parts.pop()
    while parts:
        newest.put_below(parts.pop())
    assert [stroke.number for stroke in newest.done] == done
    assert [stroke.number for stroke in newest.undone] == undone


def test_a_new_stroke_ends_redo_of_older_parts() -> None:
    newest = Steps([Made("paint", 3)], _inverse)
    assert not newest.redo_may_be_older
    newest.put_below(Steps([Made("paint", 1), Made(UNDO, 1)], _inverse))
    assert newest.undone == []
