"""Voxels of one grid on another: the only place that resamples, and always an explicit, recorded step."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_apprentice.core.geometry import Geometry


def index_map(source: Geometry, target: Geometry) -> NDArray[np.float64]:
    """(4, 4) float64: canonical index (z, y, x, 1) of the target grid to that of the source grid."""
    steps: NDArray[np.float64] = np.linalg.solve(source.affine, target.affine).astype(np.float64)
    return steps


def offset_within(outer: Geometry, inner: Geometry, tolerance_mm: float = 1e-2) -> tuple[int, int, int] | None:
    """Where a grid begins on another's lattice, in voxels (z, y, x); None when it lies between its voxels.

    The inner grid may reach beyond the outer one; only a flip or a shift by whole voxels in canonical
    orientation counts as the same lattice.
    """
    steps = index_map(outer, inner)
    offset = np.round(steps[:3, 3])
    moved = np.eye(4)
    moved[:3, 3] = offset
    corners = np.array([[a, b, c, 1.0] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    corners[:, :3] *= np.array(inner.shape) - 1
    apart = np.linalg.norm((corners @ (outer.affine @ (steps - moved)).T)[:, :3], axis=1).max()
    return (int(offset[0]), int(offset[1]), int(offset[2])) if apart <= tolerance_mm else None


def embed(voxels: NDArray[Any], offset: tuple[int, int, int], shape: tuple[int, int, int]) -> NDArray[Any]:
    """Place (z, y, x) voxels at an offset into zeros of another shape; what reaches beyond is cut off."""
    out = np.zeros(shape, voxels.dtype)
    into = tuple(slice(max(0, o), max(0, min(n, o + m))) for o, n, m in zip(offset, shape, voxels.shape, strict=True))
    taken = tuple(slice(s.start - o, max(s.start - o, s.stop - o)) for s, o in zip(into, offset, strict=True))
    out[into] = voxels[taken]
    return out


def resample(
    voxels: NDArray[Any], source: Geometry, target: Geometry, *, linear: bool, outside: float = 0.0
) -> NDArray[Any]:
    """Sample voxels (z, y, x) of the source grid at the voxel centres of the target grid.

    Parameters
    ----------
    linear
        True for intensities (trilinear, float32 out); False for labels (nearest, type kept).
    outside
        Value of target voxels whose centre lies outside of the source's voxel centres by more than
        half a voxel.

    Returns
    -------
    (z, y, x) of the target's shape.
    """
    steps = index_map(source, target)
    sampled: NDArray[Any] = ndimage.affine_transform(
        voxels.astype(np.float32, copy=False) if linear else voxels,
        steps[:3, :3],
        steps[:3, 3],
        output_shape=target.shape,
        order=1 if linear else 0,
        mode="nearest",
        prefilter=False,
    )
    sampled[_outside(steps, source.shape, target.shape)] = outside
    return sampled


def _outside(
    steps: NDArray[np.float64], source: tuple[int, int, int], target: tuple[int, int, int]
) -> NDArray[np.bool_]:
    """Mask (z, y, x) of target voxels that lie outside of the source, slab by slab to stay small."""
    mask = np.zeros(target, bool)
    y, x = np.meshgrid(np.arange(target[1]), np.arange(target[2]), indexing="ij")
    for z in range(target[0]):
        for axis, size in enumerate(source):
            place = steps[axis, 0] * z + steps[axis, 1] * y + steps[axis, 2] * x + steps[axis, 3]
            mask[z] |= (place < -0.5) | (place > size - 0.5)
    return mask
