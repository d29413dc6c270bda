"""Onto the plan's spacing and back to the scan's own grid.

Both grids share the outer faces of their first and last voxels, so centres stay where they are in mm:
voxel i of n lies at (i + 0.5) / n. That is `align_corners=False` here and `grid_mode=True` in scipy.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

Shape = tuple[int, int, int]
Spacing = tuple[float, float, float]


def target_shape(shape: Shape, spacing: Spacing, target: Spacing) -> Shape:
    """Voxels (z, y, x) that cover the same field at another spacing; at least one."""
    z, y, x = (max(1, round(n * s / t)) for n, s, t in zip(shape, spacing, target, strict=True))
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


def slabs(values: torch.Tensor, shape: Shape, budget: int = 2**26) -> Iterator[tuple[slice, torch.Tensor]]:
    """Trilinear resampling of (c, z, y, x), slab by slab along z, so that memory stays bounded.

    Yields the z range of the new grid, and its (c, slab, y, x); at most `budget` numbers at once. Put
    together the slabs equal `resample_voxels`.
    """
    thick = max(1, budget // max(1, values.shape[0] * shape[1] * shape[2]))
    low, high, share = _linear(values.shape[1], shape[0], values.device)
    for start in range(0, shape[0], thick):
        part = slice(start, min(start + thick, shape[0]))
        weight = share[part, None, None].to(values.dtype)
        lerped = torch.lerp(values[:, low[part]], values[:, high[part]], weight)
        if tuple(lerped.shape[2:]) != shape[1:]:
            lerped = F.interpolate(lerped, size=shape[1:], mode="bilinear", align_corners=False)
        yield part, lerped


def _centres(old: int, new: int) -> NDArray[np.float64]:
    """Where the new voxels' centres lie, in old voxel indices."""
    return (np.arange(new, dtype=np.float64) + 0.5) * (old / new) - 0.5


def _linear(old: int, new: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    place = np.clip(_centres(old, new), 0, old - 1)
    low = np.floor(place).astype(np.int64)
    share = torch.from_numpy((place - low).astype(np.float32))
    high = np.minimum(low + 1, old - 1)
    return torch.from_numpy(low).to(device), torch.from_numpy(high).to(device), share.to(device)
