"""The order in which undo takes strokes back and redo brings them back, worked out part by part."""

from collections.abc import Callable, Iterable
from typing import Generic, Protocol, Self, TypeVar

UNDO, REDO = "undo", "redo"


class Tooled(Protocol):
    """Anything that was done with a tool; undo and redo are tools."""

    @property
    def tool(self) -> str:
        """Name of the tool."""


T = TypeVar("T", bound=Tooled)


class Steps(Generic[T]):
    """A part of a case's strokes, in order, and what is left to undo and to redo after it.

    A part may begin with an undo of a stroke of an older part. `put_below` joins the two.

    Parameters
    ----------
    strokes
        Oldest first, undos and redos among them.
    inverse
        Makes the stroke that an undo took back, where it is in an older part.
    """

    def __init__(self, strokes: Iterable[T], inverse: Callable[[T], T]) -> None:
        self._inverse = inverse
        self.done: list[T] = []
        self.undone: list[T] = []
        self._taken = 0  # strokes of older parts that were taken back
        self._brought = 0  # strokes taken back in older parts that were brought back
        self._fresh = False  # whether something was drawn: what older parts took back is lost to redo
        for stroke in strokes:
            self.add(stroke)

    def add(self, stroke: T) -> None:
        """Take note of the next stroke."""
        if stroke.tool == UNDO:
            self._taken += not self.done
            self.undone.append(self.done.pop() if self.done else self._inverse(stroke))
        elif stroke.tool == REDO:
            self._brought += not self.undone and not self._fresh
            self.done.append(self.undone.pop() if self.undone else stroke)
        else:
            self.done.append(stroke)
            self.undone.clear()
            self._fresh = True

    @property
    def redo_may_be_older(self) -> bool:
        """Whether an older part may have something to redo."""
        return not self._fresh

    def put_below(self, older: Self) -> None:
        """Join the part that came just before."""
        left = len(older.done) - self._taken
        self.done[:0] = older.done[: max(left, 0)]
        self._taken = max(-left, 0) + older._taken
        if not self._fresh:
            left = len(older.undone) - self._brought
            self.undone[:0] = older.undone[: max(left, 0)]
            self._brought = max(-left, 0) + older._brought
            self._fresh = older._fresh
