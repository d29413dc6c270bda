"""Corrections on a coarser grid: what a person said of a few voxels is not outvoted by those nobody looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_apprentice.core.correction import ACCEPTED, StatusArray
from napari_apprentice.core.correction import UNSEEN as NOT_SEEN
from napari_apprentice.learn.loss import UNSEEN
from napari_apprentice.learn.resample import Linear, resample_labels_along

Rows = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Coarser:
    """A part of a grid along one axis that becomes coarser: each old voxel belongs to the new one its centre is in.

    Parameters
    ----------
    first
        (new + 1,) int64: first old voxel of each new one, and the first behind them all.
    """

    first: NDArray[np.int64]

    @classmethod
    def between(cls, old: int, new: int, part: slice) -> "Coarser | None":
        """From `old` voxels to a part of `new` over the same field; None where these are not fewer."""
        if new >= old:
            return None
        place = np.arange(part.start, part.stop + 1)
        return cls(-((new - 2 * old * place) // (2 * new)))  # the first with (i + 0.5) * new / old >= place

    def moved(self, start: int) -> "Coarser":
        """The same where the old voxels before `start` are left out."""
        return Coarser(self.first - start)

    def joined(self, values: NDArray[Any], axis: int, how: np.ufunc, kind: type[np.generic]) -> NDArray[Any]:
        """Old voxels put together along an axis, by `np.add` or `np.maximum`, in numbers of a kind."""
        inside = np.moveaxis(np.moveaxis(values, axis, 0)[: self.first[-1]], 0, axis)
        joined: NDArray[Any] = how.reduceat(inside, self.first[:-1], axis=axis, dtype=kind)
        return joined


Axes = Sequence[Coarser | None]


def with_all_known(
    found: tuple[Rows, StatusArray], own: tuple[Rows, StatusArray], axes: Axes, lines: Sequence[Linear]
) -> tuple[Rows, StatusArray]:
    """Add what linear interpolation has lost: new voxels in which some old ones are known.

    Such a voxel takes the row that most known ones in it have; where two rows are equal it stays unseen. It is
    edited as soon as one of them is. What interpolation knows stays as it is.

    Parameters
    ----------
    found
        (z, y, x) rows and status on the new grid, as they were interpolated.
    own
        Those of the scan's own grid.
    axes, lines
        From the latter to the former: along axes that become coarser, and (the others) by interpolation.
    """
    rows, status = own
    kept = [line if axis is None else _unchanged(axis) for axis, line in zip(axes, lines, strict=True)]
    most = _along(_most(rows, axes), kept)
    worked = _along(_joined(status, axes, np.maximum, np.uint8), kept)
    target = np.where(found[0] == UNSEEN, most, found[0])
    known = target != UNSEEN
    return target, np.where(known, np.maximum(np.maximum(found[1], worked), ACCEPTED), NOT_SEEN).astype(np.uint8)


def _most(rows: Rows, axes: Axes) -> Rows:
    """The row that most of the known voxels have; unseen where none is known, or no row has more than the others."""
    out = np.full_like(_joined(rows, axes, np.maximum, np.uint8), UNSEEN)
    best = np.zeros(out.shape, np.int32)
    for row in np.unique(rows):
        if row < UNSEEN:
            count = _joined(rows == row, axes, np.add, np.int32)
            out[count > best] = row
            out[(count == best) & (count > 0)] = UNSEEN
            np.maximum(best, count, out=best)
    return out


def _joined(values: NDArray[Any], axes: Axes, how: np.ufunc, kind: type[np.generic]) -> NDArray[Any]:
    for number, axis in enumerate(axes):
        if axis is not None:
            values = axis.joined(values, number, how, kind)
    return values


def _along(values: Rows, lines: Sequence[Linear]) -> Rows:
    z, y, x = lines
    along: Rows = resample_labels_along(torch.from_numpy(values), (z, y, x)).numpy()
    return along


def _unchanged(axis: Coarser) -> Linear:
    size = len(axis.first) - 1
    return Linear.between(size, size)
