"""What two people did to one label map since the revision both began with, and how it becomes one again."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.correction import UNSEEN, Box, Canvas, StatusArray, Stroke, bounding_box, whole
from napari_apprentice.core.counting import count_values
from napari_apprentice.core.differences import KindArray
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import GeometryError, InputError

ONLY_MINE, ONLY_THEIRS, CONFLICT = 1, 2, 3
MINE, THEIRS = "mine", "theirs"
SLAB = 1 << 18  # voxels


def touched(base: Canvas | None, side: Canvas) -> NDArray[np.bool_]:
    """Voxels (z, y, x) that a person decided on since the base: another status, or another label that they know.

    Where a voxel is unseen its label is a model version's, which differs from window to window and is nobody's work.
    Without a base everything that is not unseen counts.
    """
    if base is None:
        return np.not_equal(side.status, UNSEEN)
    decided: NDArray[np.bool_] = (side.status != base.status) | ((side.labels != base.labels) & (side.status != UNSEEN))
    return decided


@dataclass(frozen=True, eq=False)
class Merge:
    """Two label maps of one case, and who changed what.

    Parameters
    ----------
    mine, theirs
        The two as they are; copies, nothing is changed in them.
    kinds
        (z, y, x) uint8, where the labels differ: 1 only I decided there, 2 only they did, 3 both (a conflict).
    status
        (z, y, x) uint8, the merged status where the labels are the same; mine elsewhere.
    reach
        A box around all that taking over may change; None where that is nothing.
    """

    mine: Canvas
    theirs: Canvas
    kinds: KindArray
    status: StatusArray
    reach: Box | None

    @classmethod
    def of(cls, base: Canvas | None, mine: Canvas, theirs: Canvas) -> "Merge":
        """Find out who changed what since `base`, the revision that both began with; None where there is none.

        Raises
        ------
        GeometryError
            They lie on different grids.
        InputError
            Theirs has a label that mine has no room for.
        """
        shapes = {c.labels.shape for c in (base, mine, theirs) if c is not None}
        if len(shapes) > 1:
            raise GeometryError(f"Label maps of shapes {sorted(shapes)} cannot be merged.")
        if theirs.labels.max(initial=0) > np.iinfo(mine.labels.dtype).max:
            raise InputError(f"Label {theirs.labels.max()} is not in this study's schema; add it, and merge then.")
        kinds, status = np.empty(mine.labels.shape, np.uint8), mine.status.copy()
        for z in _slabs(mine.labels):
            here = z, *whole(mine.labels.shape)[1:]
            before = _part(base, here) if base else None
            _settle(before, _part(mine, here), _part(theirs, here), kinds[z], status[z])
        return cls(mine, theirs, kinds, status, bounding_box((kinds != 0) | (status != mine.status)))

    @property
    def counts(self) -> dict[int, int]:
        """Voxels of each kind."""
        counted = count_values(self.kinds, 4)
        return {kind: int(counted[kind]) for kind in (ONLY_MINE, ONLY_THEIRS, CONFLICT)}

    def taking(self, canvas: Canvas, whose: str, box: Box, mask: NDArray[np.bool_]) -> Stroke | None:
        """The stroke that puts my or their labels and status into `canvas` at a place; None when they are there.

        Parameters
        ----------
        canvas
            What is on the screen; it is not changed.
        whose
            "mine" or "theirs".
        box, mask
            The place: a box, and its voxels (z, y, x) in it.
        """
        side = {MINE: self.mine, THEIRS: self.theirs}[whose]
        labels, status = canvas.labels[box].copy(), canvas.status[box].copy()
        labels[mask] = side.labels[box][mask]
        status[mask] = side.status[box][mask]
        return _stroke(canvas, box, labels, status)

    def taking_all(self, canvas: Canvas, whose: str, kinds: tuple[int, ...]) -> Stroke | None:
        """As `taking`, wherever the difference is of these kinds; and the status that both agree on, everywhere."""
        if self.reach is None:
            return None
        box, side = self.reach, {MINE: self.mine, THEIRS: self.theirs}[whose]
        found, mine, shown = self.kinds[box], _part(self.mine, box), _part(canvas, box)
        side, settled = _part(side, box), self.status[box]
        labels, status = shown.labels.copy(), shown.status.copy()
        for z in _slabs(labels):
            agreed = (found[z] == 0) & (labels[z] == mine.labels[z]) & (status[z] == mine.status[z])
            np.copyto(status[z], settled[z], where=agreed)
            where = np.logical_or.reduce([found[z] == kind for kind in kinds])
            np.copyto(labels[z], side.labels[z], where=where, casting="unsafe")  # they fit: see `of`
            np.copyto(status[z], side.status[z], where=where)
        return _stroke(canvas, box, labels, status)

    def shown_in(self, canvas: Canvas, box: Box, mask: NDArray[np.bool_]) -> str:
        """Whose labels a place has in `canvas`: "mine", "theirs", or "" where it has something else."""
        here = canvas.labels[box][mask]
        for name, side in ((MINE, self.mine), (THEIRS, self.theirs)):
            if np.array_equal(here, side.labels[box][mask]):
                return name
        return ""


def _changed(one: Canvas, two: Canvas) -> Box | None:
    """The smallest box around all that differs."""
    depth, flat = np.zeros(len(one.labels), np.bool_), np.zeros(one.labels.shape[1:], np.bool_)
    for z in _slabs(one.labels):
        differs = (one.labels[z] != two.labels[z]) | (one.status[z] != two.status[z])
        depth[z] = differs.any(axis=(1, 2))
        flat |= differs.any(axis=0)
    inner = bounding_box(flat[np.newaxis])
    found = np.flatnonzero(depth)
    return (slice(int(found[0]), int(found[-1]) + 1), *inner[1:]) if inner else None


def _settle(base: Canvas | None, mine: Canvas, theirs: Canvas, kinds: KindArray, status: StatusArray) -> None:
    """Write into `kinds` and `status`, which is a copy of mine, what `Merge` says of them."""
    by_me, by_them = touched(base, mine), touched(base, theirs)
    differ = mine.labels != theirs.labels
    kinds[...] = (by_me.view(np.uint8) + 2 * by_them.view(np.uint8)) * differ
    theirs_too = by_them & ~differ
    np.copyto(status, theirs.status, where=theirs_too)
    np.copyto(status, np.maximum(mine.status, theirs.status), where=theirs_too & by_me)


def _slabs(voxels: LabelArray) -> Iterator[slice]:
    """A few slices after the other: what is made of so little stays in the processor's cache."""
    step = max(1, SLAB // max(1, voxels[:1].size))
    return (slice(z, z + step) for z in range(0, len(voxels), step))


def _part(canvas: Canvas, box: Box) -> Canvas:
    return Canvas(canvas.labels[box], canvas.status[box])


def _stroke(canvas: Canvas, box: Box, labels: LabelArray, status: StatusArray) -> Stroke | None:
    inner = _changed(_part(canvas, box), Canvas(labels, status))
    if inner is None:
        return None
    z, y, x = (slice(o.start + i.start, o.start + i.stop) for o, i in zip(box, inner, strict=True))
    return Stroke(
        (z.start, y.start, x.start), canvas.labels[z, y, x].copy(), np.ascontiguousarray(labels[inner]),
        canvas.status[z, y, x].copy(), np.ascontiguousarray(status[inner]), "merge",
    )  # fmt: skip
