"""Patches turned and scaled: read from the scan around them, so that what comes into view is real.

Probabilities and ranges follow nnU-Net (Isensee et al., Nat Methods 18, 2021, supplement).
"""

import itertools
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from napari_apprentice.core.plan import Plan, Triple
from napari_apprentice.learn.device import sent
from napari_apprentice.learn.loss import IGNORE

LARGEST_TURN = math.pi / 6
SMALLEST, LARGEST = 0.7, 1.4
Matrix = NDArray[np.float64]


def draw_turn(plan: Plan, rng: np.random.Generator) -> Matrix | None:
    """(3, 3), from places in a patch to places around its middle, voxels in (x, y, z) order; None in 64 %.

    Rotation happens in mm, so that nothing is sheared.
    """
    turn, scale = rng.random() < 0.2, rng.random() < 0.2
    angles, factor = rng.uniform(-LARGEST_TURN, LARGEST_TURN, 3), rng.uniform(SMALLEST, LARGEST)
    if not turn and not scale:
        return None
    return _matrix(plan, angles if turn else np.zeros(3), factor if scale else 1.0)


def margin(plan: Plan, matrix: Matrix) -> Triple:
    """Voxels (z, y, x) beyond each side of a patch that it looks at when it is turned."""
    half = np.array(plan.patch[::-1]) / 2
    beyond = np.ceil(np.maximum(np.abs(matrix) @ half - half, 0))[::-1]
    return int(beyond[0]), int(beyond[1]), int(beyond[2])


def largest_margin(plan: Plan) -> Triple:
    """Voxels (z, y, x) beyond each side of a patch that any turn may look at."""
    angles = np.linspace(-LARGEST_TURN, LARGEST_TURN, 5)
    found = [margin(plan, _matrix(plan, np.array(a), LARGEST)) for a in itertools.product(angles, repeat=3)]
    # one more than the largest found on a raster of angles; a patch that still looks beyond sees the padding
    z, y, x = (int(n) + (1 if n else 0) for n in np.max(found, axis=0))
    return z, y, x


def turned(
    voxels: torch.Tensor, target: torch.Tensor, edited: torch.Tensor, matrix: Matrix, patch: Triple
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A patch from its surroundings.

    Parameters
    ----------
    voxels, target, edited
        (c, z, y, x) float, (z, y, x) uint8 and bool: the patch and as much on each side as `margin` says.

    Returns
    -------
    The same of size `patch`: voxels trilinear, the others nearest; target is 255 where it looks beyond.
    """
    outer = np.array(target.shape[::-1]) / 2
    inner = np.array(patch[::-1]) / 2
    theta = np.concatenate([np.diag(1 / outer) @ matrix @ np.diag(inner), np.zeros((3, 1))], axis=1)
    grid = F.affine_grid(sent(theta[None].astype(np.float32), target.device), [1, 1, *patch], align_corners=False)
    seen = F.grid_sample(voxels.float()[None], grid, "bilinear", "zeros", False)[0]
    # row + 1, so that the zeros of the padding come back as "outside"
    whole = torch.stack([target.float() + 1, edited.float()])[None]
    moved = F.grid_sample(whole, grid, "nearest", "zeros", False)[0]
    rows = torch.where(moved[0] == 0, float(IGNORE), moved[0] - 1)
    return seen, rows.to(target.dtype), moved[1] > 0.5


def _matrix(plan: Plan, angles: NDArray[np.float64], factor: float) -> Matrix:
    spacing = _spacing(plan)[::-1]
    flat = plan.patch[0] == 1 or plan.spacing[0] > 3 * max(plan.spacing[1:])
    factors = np.array([factor, factor, 1.0 if flat else factor])
    matrix: Matrix = np.diag(1 / spacing) @ _rotation(angles, flat) @ np.diag(factors * spacing)
    return matrix


def _spacing(plan: Plan) -> NDArray[np.float64]:
    """Millimetres along (z, y, x); an axis that stays as it is in each scan is taken to be like the others."""
    spacing = np.array(plan.spacing)
    return np.where(spacing == 0, spacing.max() or 1.0, spacing)


def _rotation(angles: NDArray[np.float64], flat: bool) -> NDArray[np.float64]:
    """Rotation about z, and about y and x too unless slices are thick or there is only one."""
    (cz, cy, cx), (sz, sy, sx) = np.cos(angles), np.sin(angles)
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    if flat:
        return about_z
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    turned_about: NDArray[np.float64] = about_z @ about_y @ about_x
    return turned_about
