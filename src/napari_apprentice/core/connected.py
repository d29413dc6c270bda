"""Voxels of one kind that touch each other, found by their runs along x: where two label maps differ is little."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Ints = NDArray[np.int64]
SLAB = 1 << 24  # voxels that are looked at together, so that what is needed meanwhile stays small
ROWS_BEFORE = ((-1, -1), (-1, 0), (-1, 1), (0, -1))  # (z, y) of the rows that touch one and come before it


@dataclass(frozen=True, eq=False)
class Runs:
    """Voxels of one kind beside each other along x, in order of place.

    Parameters
    ----------
    z, y, start, stop, kind
        Of each run; `stop` is the voxel after the last.
    shape
        Of the whole, (z, y, x).
    """

    z: Ints
    y: Ints
    start: Ints
    stop: Ints
    kind: NDArray[np.uint8]
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, kinds: NDArray[np.uint8]) -> "Runs":
        """All runs of (z, y, x) kinds; 0 is none."""
        depth, height, width = kinds.shape
        step = max(1, SLAB // max(1, height * width))
        found = [_runs(kinds[z : z + step], z) for z in range(0, depth, step)]
        parts = [np.concatenate(part) for part in zip(*found, strict=True)] if found else [np.zeros(0, np.int64)] * 5
        z, y, start, stop, kind = parts
        return cls(z, y, start, stop, kind.astype(np.uint8), (depth, height, width))

    def __len__(self) -> int:
        return len(self.z)

    def chosen(self, which: NDArray[np.bool_] | Ints) -> "Runs":
        """Some of them."""
        return Runs(
            self.z[which], self.y[which], self.start[which], self.stop[which], self.kind[which], self.shape
        )  # fmt: skip

    def components(self) -> tuple[int, Ints]:
        """How many there are that do not touch each other (26 neighbours), and which one each run belongs to.

        They are numbered in order of their first run. Whoever calls sees to it that all are of one kind.
        """
        # One row after the other in a line, with room between them and between slices, so that only neighbours meet.
        pitch, rows = self.shape[2] + 2, self.shape[1] + 1
        begin = (self.z * rows + self.y) * pitch + self.start
        end = begin + self.stop - self.start
        here, there = [], []
        for dz, dy in ROWS_BEFORE:
            shift = (dz * rows + dy) * pitch
            first = np.searchsorted(end, begin + shift)
            count = np.searchsorted(begin, end + shift, "right") - first
            here.append(np.repeat(np.arange(len(self)), count))
            there.append(_ranges(first, count))
        one, two = np.concatenate(here), np.concatenate(there)
        touching = coo_array((np.ones(len(one), np.uint8), (one, two)), shape=(len(self), len(self)))
        number, part = connected_components(touching, directed=False)
        return int(number), part.astype(np.int64)

    def mask(self, box: tuple[slice, slice, slice]) -> NDArray[np.bool_]:
        """The voxels of all runs inside a box that holds them."""
        z, y, x = box
        mask = np.zeros((z.stop - z.start, y.stop - y.start, x.stop - x.start), np.bool_)
        row = (self.z - z.start) * mask.shape[1] + self.y - y.start
        mask.reshape(-1)[_ranges(row * mask.shape[2] + self.start - x.start, self.stop - self.start)] = True
        return mask


def _runs(kinds: NDArray[np.uint8], first: int) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """Runs of a slab whose first slice is `first`."""
    depth, height, width = kinds.shape
    nothing = np.zeros(0, np.int64)
    if not kinds.any():
        return nothing, nothing, nothing, nothing, nothing
    beside = np.zeros((depth * height, width + 2), np.uint8)
    beside[:, 1:-1] = kinds.reshape(-1, width)
    edges = np.flatnonzero(beside[:, 1:] != beside[:, :-1])
    row, x = np.divmod(edges, width + 1)
    begins, ends = beside[row, x + 1] != 0, beside[row, x] != 0
    z, y = np.divmod(row[begins], height)
    return z + first, y, x[begins], x[ends], beside[row, x + 1][begins].astype(np.int64)


def _ranges(first: Ints, count: Ints) -> Ints:
    """`first`, `first` + 1 ... so many of each, one after the other."""
    before = np.cumsum(count) - count
    ranges: Ints = np.arange(int(count.sum())) + np.repeat(first - before, count)
    return ranges
