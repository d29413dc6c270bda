"""Where the sliding windows lie, and how much each of them counts at each voxel.

Windows are placed as in MONAI's SlidingWindowInferer and weighted with its Gaussian. The share of a window
at a voxel is its weight there by the sum of all windows' weights there. Adding up `share * logits` gives the
mean itself: no map of weights is kept for the scan, and nothing is divided at the end.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from monai.data.utils import compute_importance_map
from numpy.typing import NDArray

from napari_apprentice.learn.device import sent

SIGMA = 0.125  # of the patch, as in MONAI and nnU-Net
KEPT = 64  # patterns of shares; a row of windows has up to 25, but for very small steps


@dataclass(frozen=True, eq=False)
class Axis:
    """The windows along one axis.

    Parameters
    ----------
    starts
        First voxel of each window, ascending.
    edges
        Where windows begin or end, ascending; between two of them the same windows lie over each voxel.
    """

    patch: int
    starts: tuple[int, ...]
    edges: tuple[int, ...]

    @classmethod
    def placed(cls, size: int, patch: int, step: float) -> "Axis":
        """Windows over `size` voxels (at least `patch`), shifted by `step` of the patch."""
        starts = _starts(size, patch, max(1, int(patch * step)))
        edges = tuple(sorted({e for s in starts for e in (s, s + patch)}))
        return cls(patch, starts, edges)

    def segments_of(self, window: int) -> range:
        """Which segments (between two edges) a window covers."""
        first = self.edges.index(self.starts[window])
        return range(first, self.edges.index(self.starts[window] + self.patch))

    def windows_over(self, segment: int) -> tuple[int, ...]:
        """Which windows cover a segment."""
        place = self.edges[segment]
        return tuple(i for i, s in enumerate(self.starts) if s <= place < s + self.patch)

    def neighbours(self, window: int) -> tuple[int, ...]:
        """How far the windows begin from this one that overlap with it, itself (0) included."""
        place = self.starts[window]
        return tuple(s - place for s in self.starts if abs(s - place) < self.patch)

    @property
    def segments(self) -> tuple[tuple[int, int], ...]:
        """(first voxel, first voxel after) of each segment."""
        return tuple(pairwise(self.edges))


def _starts(size: int, patch: int, interval: int) -> tuple[int, ...]:
    count = math.ceil((size - patch) / interval) + 1
    return tuple(min(i * interval, size - patch) for i in range(count))


class Shares:
    """How much a window counts at each of its voxels; over every voxel the shares of all windows add up to 1.

    Where windows have the same neighbours they have the same shares, so few are ever computed.
    """

    def __init__(self, axes: tuple[Axis, ...], device: torch.device) -> None:
        self._axes = axes
        patch = tuple(a.patch for a in axes)
        bell = compute_importance_map(patch, mode="gaussian", sigma_scale=SIGMA)
        self._bell = torch.as_tensor(bell, dtype=torch.float64, device="cpu")
        self._device = device
        self._found: OrderedDict[tuple[tuple[int, ...], ...], torch.Tensor] = OrderedDict()
        self._last: dict[int, tuple[tuple[tuple[int, ...], ...], torch.Tensor]] = {}  # by axis

    def of(self, window: tuple[int, ...]) -> torch.Tensor:
        """(z, y, x) float32 of the patch."""
        pattern = tuple(a.neighbours(i) for a, i in zip(self._axes, window, strict=True))
        if pattern not in self._found:
            self._found[pattern] = self._computed(pattern)
            if len(self._found) > KEPT:
                self._found.popitem(last=False)
        self._found.move_to_end(pattern)
        return self._found[pattern]

    def _computed(self, pattern: tuple[tuple[int, ...], ...]) -> torch.Tensor:
        return sent((self._bell / self._total(pattern)).float(), self._device)

    def _total(self, pattern: tuple[tuple[int, ...], ...]) -> torch.Tensor:
        """All bells over a window, added up axis after axis; what it was last along the first ones is kept."""
        if not pattern:
            return self._bell
        axis = len(pattern) - 1
        if axis not in self._last or self._last[axis][0] != pattern:
            before = self._total(pattern[:-1])
            total = torch.zeros_like(before)
            for shift in pattern[-1]:
                length = before.shape[axis] - abs(shift)
                total.narrow(axis, max(0, shift), length).add_(before.narrow(axis, max(0, -shift), length))
            self._last[axis] = pattern, total
        return self._last[axis][1]


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
