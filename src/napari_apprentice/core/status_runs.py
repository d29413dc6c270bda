"""Status of a box as runs of equal voxels: a scan nobody has looked at takes a few kilobytes, not its whole size."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_WORTH = 8  # voxels per run from which on runs take less memory than voxels, with room to spare


@dataclass(frozen=True, eq=False)
class StatusRuns:
    """Status (z, y, x) of a box, run by run in C order; no run crosses a plane of the first axis.

    Parameters
    ----------
    shape
        Of the box, (z, y, x).
    values
        (n,) uint8, the status of each run.
    lengths
        (n,) uint32, voxels of each run.
    """

    shape: tuple[int, int, int]
    values: NDArray[np.uint8]
    lengths: NDArray[np.uint32]

    @classmethod
    def of(cls, status: NDArray[np.uint8]) -> "StatusRuns | None":
        """Runs of a status (z, y, x); None where they would take more memory than the voxels.

        Plane by plane, so that no second array of the scan's size is made.
        """
        most = status.size // _WORTH + len(status)
        values: list[NDArray[np.uint8]] = []
        lengths: list[NDArray[np.uint32]] = []
        count = 0
        for plane in status:
            flat = np.ascontiguousarray(plane).reshape(-1)
            changes = () if _all_alike(flat) else np.flatnonzero(flat[1:] != flat[:-1])
            ends = np.append(changes, flat.size - 1).astype(np.int64)
            values.append(flat[ends])
            lengths.append(np.diff(ends, prepend=-1).astype(np.uint32))
            count += len(ends)
            if count > most:
                return None
        z, y, x = status.shape
        return cls((z, y, x), np.concatenate(values), np.concatenate(lengths))

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        return self.values.nbytes + self.lengths.nbytes

    def mapped(self, change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> "StatusRuns":
        """The same runs with other values."""
        return StatusRuns(self.shape, change(self.values), self.lengths)

    def write(self, target: NDArray[np.uint8]) -> None:
        """Fill a status array of this shape."""
        size = self.shape[1] * self.shape[2]
        edges = np.searchsorted(np.cumsum(self.lengths, dtype=np.int64), np.arange(1, self.shape[0] + 1) * size) + 1
        first = 0
        for plane, last in zip(target, edges.tolist(), strict=True):
            if last - first == 1:
                plane[...] = self.values[first]
            else:
                plane[...] = np.repeat(self.values[first:last], self.lengths[first:last]).reshape(plane.shape)
            first = last

    def expand(self) -> NDArray[np.uint8]:
        """The status as an array (z, y, x) uint8."""
        status = np.empty(self.shape, np.uint8)
        self.write(status)
        return status

    def __array__(self, dtype: object = None, copy: object = None) -> NDArray[np.uint8]:
        return self.expand()

    def is_sound(self) -> bool:
        """Whether the runs fill the planes exactly; those from a file may not."""
        size = self.shape[1] * self.shape[2]
        ends = np.cumsum(self.lengths, dtype=np.int64)
        whole = len(self.values) == len(self.lengths) and bool(self.lengths.all())
        planes = np.arange(1, self.shape[0] + 1, dtype=np.int64) * size
        at = np.searchsorted(ends, planes)
        return whole and len(ends) > 0 and int(ends[-1]) == planes[-1] and bool((ends[at] == planes).all())


def _all_alike(flat: NDArray[np.uint8]) -> bool:
    # Eight at a time: most planes of a scan are, and this is what accepting a scan takes.
    words = flat[: flat.size // 8 * 8].view(np.uint64)
    rest = flat if words.size == 0 else np.append(flat[:8], flat[words.size * 8 :])
    return bool((rest == rest[0]).all()) and bool((words == words[:1]).all())
