"""Where the sliding windows lie, and how much each of them counts at each voxel.

Windows are placed as in MONAI's SlidingWindowInferer and weighted with its Gaussian. That Gaussian is a
product over the axes, so the share of a window at a voxel is one too: along each axis the weights of the
windows over a voxel are divided by their sum. Adding up `share * logits` then gives the mean itself; no
map of weights is kept, and nothing is divided at the end.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

SIGMA = 0.125  # of the patch, as in MONAI and nnU-Net


@dataclass(frozen=True, eq=False)
class Axis:
    """The windows along one axis.

    Parameters
    ----------
    starts
        First voxel of each window, ascending.
    edges
        Where windows begin or end, ascending; between two of them the same windows lie over each voxel.
    shares
        (windows, patch) float32; over each voxel they add up to 1.
    """

    patch: int
    starts: tuple[int, ...]
    edges: tuple[int, ...]
    shares: NDArray[np.float32]

    @classmethod
    def placed(cls, size: int, patch: int, step: float) -> "Axis":
        """Windows over `size` voxels (at least `patch`), shifted by `step` of the patch."""
        starts = _starts(size, patch, max(1, int(patch * step)))
        edges = tuple(sorted({e for s in starts for e in (s, s + patch)}))
        return cls(patch, starts, edges, _shares(size, patch, starts))

    def segments_of(self, window: int) -> range:
        """Which segments (between two edges) a window covers."""
        first = self.edges.index(self.starts[window])
        return range(first, self.edges.index(self.starts[window] + self.patch))

    def windows_over(self, segment: int) -> tuple[int, ...]:
        """Which windows cover a segment."""
        place = self.edges[segment]
        return tuple(i for i, s in enumerate(self.starts) if s <= place < s + self.patch)

    @property
    def segments(self) -> tuple[tuple[int, int], ...]:
        """(first voxel, first voxel after) of each segment."""
        return tuple(pairwise(self.edges))


def _starts(size: int, patch: int, interval: int) -> tuple[int, ...]:
    count = math.ceil((size - patch) / interval) + 1
    return tuple(min(i * interval, size - patch) for i in range(count))


def _shares(size: int, patch: int, starts: tuple[int, ...]) -> NDArray[np.float32]:
    away = np.arange(patch) - (patch - 1) / 2
    bell = np.exp(-(away**2) / (2 * (SIGMA * patch) ** 2))
    total = np.zeros(size)
    for start in starts:
        total[start : start + patch] += bell
    return np.stack([bell / total[s : s + patch] for s in starts]).astype(np.float32)


class Rows:
    """Rows of windows along z, and in which order to do them: what somebody looks at is finished first.

    Parameters
    ----------
    axis
        The windows along z.
    """

    def __init__(self, axis: Axis) -> None:
        self._axis = axis
        self._over = [set(axis.windows_over(s)) for s in range(len(axis.segments))]
        self._done: set[int] = set()

    def next(self, focus: float) -> int | None:
        """A row over the unfinished segment nearest to `focus`, in voxels along z; None when all are done."""
        open_segments = [s for s, over in enumerate(self._over) if over - self._done]
        if not open_segments:
            return None
        nearest = min(open_segments, key=lambda s: (_away(self._axis.segments[s], focus), s))
        return min(self._over[nearest] - self._done)

    def finish(self, row: int) -> None:
        """A row is done."""
        self._done.add(row)

    def needed(self, place: int) -> bool:
        """Whether a row that is not done yet reads voxel `place`."""
        starts, patch = self._axis.starts, self._axis.patch
        return any(i not in self._done and s <= place < s + patch for i, s in enumerate(starts))

    def complete(self) -> NDArray[np.bool_]:
        """Per voxel along z, whether every row over it is done."""
        found = np.zeros(self._axis.edges[-1], dtype=bool)
        for (start, stop), over in zip(self._axis.segments, self._over, strict=True):
            found[start:stop] = over <= self._done
        return found


def _away(segment: tuple[int, int], focus: float) -> float:
    start, stop = segment
    return max(start - focus, focus - (stop - 1), 0.0)
