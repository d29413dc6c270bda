"""What a person changed or accepted: status per voxel, strokes, and the rules that protect them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.status_runs import StatusRuns
from napari_apprentice.core.volume import LabelArray, fitted
from napari_apprentice.errors import GeometryError, InputError

UNSEEN, ACCEPTED, EDITED = 0, 1, 2
StatusArray = NDArray[np.uint8]
Status = StatusArray | StatusRuns
Box = tuple[slice, slice, slice]
LARGE = 1 << 22  # voxels of a box above which its status is kept as runs
NO_LABELS: LabelArray = np.zeros((0, 0, 0), np.uint8)
"""Labels before and after of a stroke that changes none."""


@dataclass(frozen=True, eq=False)
class Stroke:
    """One undoable editing step, as the change inside its bounding box.

    Parameters
    ----------
    start
        First voxel (z, y, x) of the bounding box.
    labels_before, labels_after
        Label ids in the box, same shape; both empty where no label changes.
    status_before, status_after
        Status in the box, as arrays of the box's shape or as runs.
    tool
        paint, erase, fill, polygon, accept, revert, undo, redo ...
    seconds
        How long the person worked on it.
    """

    start: tuple[int, int, int]
    labels_before: LabelArray
    labels_after: LabelArray
    status_before: Status
    status_after: Status
    tool: str = "paint"
    seconds: float = 0.0

    @property
    def box(self) -> Box:
        """The bounding box as slices of a (z, y, x) array."""
        z, y, x = (slice(s, s + n) for s, n in zip(self.start, self.status_after.shape, strict=True))
        return z, y, x

    @property
    def changes_labels(self) -> bool:
        """Whether it may change labels; accepting changes the status only."""
        return self.labels_after.size > 0

    @property
    def voxels_changed(self) -> int:
        """Voxels whose label changed."""
        return int(np.count_nonzero(self.labels_before != self.labels_after))

    def inverse(self) -> "Stroke":
        """The step that undoes this one."""
        return Stroke(
            self.start,
            self.labels_after,
            self.labels_before,
            self.status_after,
            self.status_before,
            "undo",
            0.0,
        )


class Canvas:
    """The label map under correction and its status; the only place where voxels of a correction change.

    Parameters
    ----------
    labels
        (z, y, x) uint8 or uint16; taken over, not copied, so that a view of it can be painted on.
    status
        (z, y, x) uint8, 0 unseen, 1 accepted as it was, 2 edited; taken over, not copied.
    """

    def __init__(self, labels: LabelArray, status: StatusArray) -> None:
        if labels.shape != status.shape:
            raise GeometryError(f"Labels {labels.shape} and status {status.shape} have different shapes.")
        self.labels = labels
        self.status = status

    def paint(self, box: Box, after: LabelArray, tool: str = "paint", seconds: float = 0.0) -> Stroke | None:
        """Write labels into a box; what changed becomes edited. None when nothing changed."""
        return self.record(box, self.labels[box].copy(), after, tool, seconds)

    def record(
        self, box: Box, before: LabelArray, after: LabelArray, tool: str = "paint", seconds: float = 0.0
    ) -> Stroke | None:
        """Take note of a change that a paint tool may have written into `labels` already.

        Parameters
        ----------
        box
            Where; slices with start and stop.
        before, after
            Labels of the box before and after the change.

        Returns
        -------
        The stroke, or None when `before` equals `after`.
        """
        changed = before != after
        if not changed.any():
            return None
        status_before = self.status[box].copy()
        status_after = status_before.copy()
        status_after[changed] = EDITED
        stroke = Stroke(_start(box), before.copy(), after.copy(), status_before, status_after, tool, seconds)
        self.apply(stroke)
        return stroke

    def accept(self, box: Box | None = None) -> Stroke | None:
        """Mark what is unseen in a box (or everywhere) as accepted. None when nothing was unseen."""
        box = box or whole(self.labels.shape)
        before, after = _accepting(self.status[box])
        if before is after:
            return None
        stroke = Stroke(_start(box), NO_LABELS, NO_LABELS, before, after, "accept")
        self.apply(stroke)
        return stroke

    def replace(self, labels: LabelArray, status: StatusArray, tool: str = "revert") -> Stroke | None:
        """Put another label map and status in place, as one undoable step. None when nothing differs."""
        if labels.shape != self.labels.shape or status.shape != self.status.shape:
            raise GeometryError(
                f"A label map of shape {labels.shape} does not fit the case's grid {self.labels.shape}."
            )
        changed = (labels != self.labels) | (status != self.status)
        box = bounding_box(changed)
        if box is None:
            return None
        stroke = Stroke(
            _start(box), self.labels[box].copy(), fitted(labels[box], self.labels.dtype).copy(),
            self.status[box].copy(), status[box].copy(), tool,
        )  # fmt: skip
        self.apply(stroke)
        return stroke

    def apply(self, stroke: Stroke) -> None:
        """Write a stroke's outcome; also how a journal is replayed. InputError: there is no room for its labels."""
        if any(s.stop > n for s, n in zip(stroke.box, self.labels.shape, strict=True)):
            raise GeometryError("A stroke reaches outside the case's grid.")
        if stroke.changes_labels:
            self.labels[stroke.box] = fitted(stroke.labels_after, self.labels.dtype)
        _write_status(stroke, self.status)


def _write_status(stroke: Stroke, status: StatusArray) -> None:
    if isinstance(stroke.status_after, StatusRuns):
        stroke.status_after.write(status[stroke.box])
    else:
        status[stroke.box] = stroke.status_after


def unfounded(status: StatusArray, strokes: Iterable[Stroke]) -> NDArray[np.bool_]:
    """Voxels that were accepted as a prediction had them, and whose label nothing else says.

    Parameters
    ----------
    status
        (z, y, x), of the revision that the strokes were drawn on; not changed.
    strokes
        Oldest first.
    """
    status, told = status.copy(), status != UNSEEN
    for stroke in strokes:
        _write_status(stroke, status)
        if stroke.changes_labels:
            told[stroke.box] = True  # it has the labels of its whole box
    lost: NDArray[np.bool_] = (status != UNSEEN) & ~told
    return lost


def _accepting(status: StatusArray) -> tuple[Status, Status]:
    """Status before and after accepting; the same object where nothing was unseen."""
    runs = StatusRuns.of(status) if status.size > LARGE else None
    if runs is not None:
        return (runs, runs) if runs.values.all() else (runs, runs.mapped(_accepted))
    before = np.array(status)  # a slice across x is read from all over the scan: once
    return (before, before) if before.all() else (before, _accepted(before))


def _accepted(status: StatusArray) -> StatusArray:
    accepted: StatusArray = np.maximum(status, np.uint8(ACCEPTED))  # unseen to accepted; edited is more and stays
    return accepted


def _start(box: Box) -> tuple[int, int, int]:
    z, y, x = (int(s.start) for s in box)
    return z, y, x


def whole(shape: tuple[int, ...]) -> Box:
    """The box that is the whole grid."""
    z, y, x = (slice(0, n) for n in shape)
    return z, y, x


def bounding_box(mask: NDArray[Any]) -> Box | None:
    """Smallest box around the true voxels of a (z, y, x) mask; None when there are none."""
    z = _ends(mask, (1, 2))
    if z is None:
        return None
    flat: NDArray[np.bool_] = np.any(mask[z], axis=0)  # the other two are found in a single slice
    y, x = _ends(flat, 1), _ends(flat, 0)
    return None if y is None or x is None else (z, y, x)


def _ends(mask: NDArray[Any], other_axes: int | tuple[int, int]) -> slice | None:
    found = np.flatnonzero(np.any(mask, axis=other_axes))
    return slice(int(found[0]), int(found[-1]) + 1) if found.size else None


def fill_unseen(prediction: LabelArray, labels: LabelArray, status: StatusArray) -> LabelArray:
    """A prediction where nothing is known yet, the person's labels everywhere else; the wider number type of both."""
    filled: LabelArray = np.where(status == UNSEEN, prediction, labels)
    return filled


def compare(prediction: LabelArray, corrected: LabelArray, accept: str) -> StatusArray:
    """Status of a label map made elsewhere, against the prediction it may have started from.

    Parameters
    ----------
    accept
        "all": what equals the prediction was accepted. "edited": only differences are known.

    Returns
    -------
    (z, y, x) uint8 status.
    """
    if accept not in ("all", "edited"):
        raise InputError(f"--accept takes all or edited, not {accept!r}.")
    rest = ACCEPTED if accept == "all" else UNSEEN
    return np.where(prediction != corrected, np.uint8(EDITED), np.uint8(rest)).astype(np.uint8)
