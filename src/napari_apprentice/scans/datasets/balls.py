"""Spheres in millimetres as a label map."""

from collections.abc import Sequence

import numpy as np

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.volume import LabelMap
from napari_apprentice.scans.datasets.found import Ball


def label_map_of(balls: Sequence[Ball], geometry: Geometry) -> LabelMap:
    """Label 1 at every voxel (z, y, x) whose centre lies in a sphere, at the nearest voxel of a smaller one.

    Spheres whose centre lies outside of the grid are left out; `warnings` count them.
    """
    voxels = np.zeros(geometry.shape, np.uint8)
    back = np.linalg.inv(geometry.affine)
    inside = [_paint(voxels, ball, geometry.affine, back) for ball in balls]
    lost = inside.count(False)
    warnings = (f"{lost} of {len(balls)} spheres lie outside of the scan and were left out.",) if lost else ()
    return LabelMap(voxels, geometry, warnings=warnings)


def _paint(voxels: np.ndarray, ball: Ball, affine: np.ndarray, back: np.ndarray) -> bool:
    centre = back[:3, :3] @ np.array(ball.centre) + back[:3, 3]
    nearest = np.round(centre).astype(int)
    shape = np.array(voxels.shape)
    if (nearest < 0).any() or (nearest >= shape).any():
        return False
    radius = ball.diameter / 2
    # A ball of radius r reaches r * |row| along an index axis: the image of a ball under a linear map.
    reach = radius * np.linalg.norm(back[:3, :3], axis=1)
    low = np.maximum(np.ceil(centre - reach), 0).astype(int)
    high = np.minimum(np.floor(centre + reach), shape - 1).astype(int)
    box = tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))
    steps = np.stack(np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(low, high, strict=True)), indexing="ij"), -1)
    apart = np.linalg.norm((steps - centre) @ affine[:3, :3].T, axis=-1)
    voxels[box][apart <= radius] = 1
    voxels[tuple(nearest)] = 1
    return True
