"""What a person must find in a study, worked out in plain numpy and without the program.

Only what is known of a label map counts here: the status of every voxel, and the label of those with status 1 or
2. What is unseen shows a prediction, and may be another one the next time.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from napari_apprentice.core.correction import ACCEPTED, EDITED, UNSEEN

State = tuple[np.ndarray, np.ndarray]  # labels and status (z, y, x), never changed in place
Box = tuple[slice, slice, slice]


def key(state: State) -> bytes:
    """Equal for two states when what is known of them is."""
    labels, status = state
    return status.tobytes() + np.where(status > 0, labels, 0).astype(np.uint16).tobytes()


def painted(state: State, box: Box, label: int) -> State:
    labels, status = (array.copy() for array in state)
    status[box][labels[box] != label] = EDITED
    labels[box] = label
    return labels, status


def accepted(state: State, box: Box) -> State:
    labels, status = (array.copy() for array in state)
    part = status[box]
    part[part == UNSEEN] = ACCEPTED
    return labels, status


@dataclass(frozen=True, eq=False)
class Moment:
    """One moment of somebody's work on a case.

    Parameters
    ----------
    now
        What the canvas holds.
    parent
        Number of the revision it started from; 0 for none.
    since
        Every change that is in no revision yet: its verb, the state before, the state after.
    done, undone
        What undo and redo can take back and bring back.
    """

    now: State
    parent: int
    since: tuple[tuple[str, State, State], ...] = ()
    done: tuple[tuple[State, State], ...] = ()
    undone: tuple[tuple[State, State], ...] = ()

    @property
    def facts(self) -> tuple[bytes, int]:
        return key(self.now), len(self.since)

    def drawn(self, after: State, verb: str = "paint") -> "Moment":
        """After a stroke that leads there; the same moment when nothing changed."""
        if all(np.array_equal(a, b) for a, b in zip(self.now, after, strict=True)):
            return self
        step = (self.now, after)
        return replace(self, now=after, since=(*self.since, (verb, *step)), done=(*self.done, step), undone=())

    def undo(self) -> "Moment":
        if not self.done:
            return self
        (before, after), rest = self.done[-1], self.done[:-1]
        since, undone = (*self.since, ("undo", after, before)), (*self.undone, (before, after))
        return replace(self, now=before, since=since, done=rest, undone=undone)

    def redo(self) -> "Moment":
        if not self.undone:
            return self
        (before, after), rest = self.undone[-1], self.undone[:-1]
        since, done = (*self.since, ("redo", before, after)), (*self.done, (before, after))
        return replace(self, now=after, since=since, done=done, undone=rest)

    def saved(self, number: int) -> "Moment":
        return replace(self, parent=number, since=())

    def walked(self, since: tuple[tuple[str, State, State], ...]) -> "Moment":
        """With undo and redo as these changes leave them; one that is older than they may be taken back first."""
        done: list[tuple[State, State]] = []
        undone: list[tuple[State, State]] = []
        for verb, before, after in since:
            if verb == "undo":
                undone.append(done.pop() if done else (after, before))
            elif verb == "redo":
                done.append(undone.pop() if undone else (before, after))
            else:
                done.append((before, after))
                undone.clear()
        return replace(self, done=tuple(done), undone=tuple(undone))


@dataclass
class Work:
    """Somebody's work on a case, and what of it was acknowledged.

    Parameters
    ----------
    trail
        The moment that is durable for certain, and every moment after it.
    size
        Bytes of the study's journal at that moment; 0 when it had none of this work.
    """

    case_id: str
    trail: list[Moment]
    size: int = 0

    @property
    def now(self) -> Moment:
        return self.trail[-1]

    def go(self, step: Callable[[Moment], Moment]) -> bool:
        """Take a step; whether anything changed."""
        after = step(self.now)
        changed = after is not self.now
        if changed:
            self.trail.append(after)
        return changed

    def acknowledge(self, size: int) -> None:
        self.trail, self.size = [self.now], size
