"""Onto the plan's spacing and back to the scan's own grid.

Both grids share the outer faces of their first and last voxels, so centres stay where they are in mm:
voxel i of n lies at (i + 0.5) / n. That is `align_corners=False` here and `grid_mode=True` in scipy.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from napari_apprentice.learn.device import sent

Shape = tuple[int, int, int]
Spacing = tuple[float, float, float]


def target_shape(shape: Shape, spacing: Spacing, target: Spacing) -> Shape:
    """Voxels (z, y, x) that cover the same field at another spacing; at least one. 0 keeps an axis as it is."""
    z, y, x = (max(1, round(n * s / t)) if t else n for n, s, t in zip(shape, spacing, target, strict=True))
    return z, y, x


def resample_voxels(voxels: torch.Tensor, shape: Shape) -> torch.Tensor:
    """(c, z, y, x) float to another grid over the same field, trilinear."""
    if tuple(voxels.shape[1:]) == shape:
        return voxels
    return F.interpolate(voxels[None], size=shape, mode="trilinear", align_corners=False)[0]


def resample_labels(labels: torch.Tensor, shape: Shape) -> torch.Tensor:
    """(z, y, x) whole numbers to another grid over the same field; the type is kept.

    Each voxel takes the label with the largest trilinear share. Nearest neighbours would shift labels by
    half a voxel wherever a new centre falls between two old ones, as at every even factor.
    """
    if tuple(labels.shape) == shape:
        return labels
    best = torch.zeros(shape, device=labels.device)
    out = labels.new_zeros(shape)
    for value in torch.unique(labels).tolist():
        share = resample_voxels((labels == value).float()[None], shape)[0]
        wins = share > best
        best, out = torch.where(wins, share, best), torch.where(wins, labels.new_tensor(value), out)
    return out


@dataclass(frozen=True, eq=False)
class Linear:
    """Linear interpolation along one axis: new voxel i is `low[i] + share[i] * (high[i] - low[i])`.

    Parameters
    ----------
    low, high
        (new,) int64, old voxels; neighbours, or the same at an end of the axis.
    share
        (new,) float32 from 0 to 1.
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    share: NDArray[np.float32]

    @classmethod
    def between(cls, old: int, new: int) -> "Linear":
        """From `old` voxels to `new` over the same field."""
        place = np.clip(_centres(old, new), 0, old - 1)
        low = np.floor(place).astype(np.int64)
        share = (place - low).astype(np.float32)
        return cls(low, np.minimum(low + 1, old - 1), share)

    def part(self, start: int, stop: int) -> "Linear":
        """Of the new voxels from `start` to `stop` - 1 alone."""
        return Linear(self.low[start:stop], self.high[start:stop], self.share[start:stop])

    def moved(self, start: int) -> "Linear":
        """The same where the old voxels before `start` are left out."""
        return Linear(self.low - start, self.high - start, self.share)

    def used(self) -> NDArray[np.int64]:
        """Old voxels that count at all, ascending."""
        return np.union1d(self.low, self.high[self.share > 0])

    def renumbered(self) -> "Linear":
        """The same where only the `used` old voxels are there."""
        used = self.used()
        high = np.where(self.share > 0, self.high, self.low)
        return Linear(np.searchsorted(used, self.low), np.searchsorted(used, high), self.share)

    def apply(self, values: torch.Tensor, axis: int) -> torch.Tensor:
        """Interpolate a float tensor along an axis."""
        size = values.shape[axis]
        if len(self.low) == size and not self.share.any() and (self.low == np.arange(size)).all():
            return values
        low, high, share = self._on(values.device)
        shape = [-1 if a == axis else 1 for a in range(values.ndim)]
        start = _picked(values, axis, low)
        if not self.share.any():
            return start
        return start.lerp_(_picked(values, axis, high), share.view(shape))

    def _on(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Itself on a device; copied once, for each label of a slab asks for it."""
        if device not in self._copies:
            low, high, share = (sent(v, device) for v in (self.low, self.high, self.share))
            self._copies[device] = low, high, share
        return self._copies[device]

    @cached_property
    def _copies(self) -> dict[torch.device, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        return {}


def _picked(values: torch.Tensor, axis: int, places: torch.Tensor) -> torch.Tensor:
    """Those places along an axis; along the last one a CPU gathers three times as fast as it selects."""
    if axis == values.ndim - 1:
        return values.gather(axis, places.expand(*values.shape[:-1], -1))
    return values.index_select(axis, places)


def resample_labels_along(labels: torch.Tensor, lines: "tuple[Linear, ...]") -> torch.Tensor:
    """`resample_labels` for a part of a grid: (z, y, x) whole numbers, and how to interpolate along each axis."""
    shape = tuple(len(line.low) for line in lines)
    if shape == tuple(labels.shape) and not any(line.share.any() for line in lines):
        return labels
    best, out = torch.zeros(shape, device=labels.device), labels.new_zeros(shape)
    for value in torch.unique(labels).tolist():
        share = (labels == value).float()
        for axis, line in enumerate(lines):
            share = line.apply(share, axis)
        wins = share > best
        best, out = torch.where(wins, share, best), torch.where(wins, labels.new_tensor(value), out)
    return out


def _centres(old: int, new: int) -> NDArray[np.float64]:
    """Where the new voxels' centres lie, in old voxel indices."""
    return (np.arange(new, dtype=np.float64) + 0.5) * (old / new) - 0.5
