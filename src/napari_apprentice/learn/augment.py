"""Random changes to patches, after nnU-Net's policy, batched on the device and cheap on a CPU.

Probabilities and ranges follow nnU-Net (Isensee et al., Nat Methods 18, 2021, supplement).
"""

import math
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional as F

from napari_apprentice.core.plan import Plan
from napari_apprentice.learn.patches import Batch

Rng = np.random.Generator


def augment(batch: Batch, plan: Plan, rng: Rng, noise: torch.Generator) -> Batch:
    """Change a batch at random: noise, sharpness, intensity, mirroring; patches were turned when they were cut.

    Parameters
    ----------
    batch
        As drawn.
    rng
        Decides what happens to which patch.
    noise
        Generator of the batch's device, for noise.

    Returns
    -------
    A batch of the same shape.
    """
    voxels = torch.stack([_intensities(v, rng, noise) for v in batch.voxels])
    return _mirror(replace(batch, voxels=voxels), plan.mirror_axes, rng)


def _intensities(voxels: torch.Tensor, rng: Rng, noise: torch.Generator) -> torch.Tensor:
    """One patch (c, z, y, x), all channels alike."""
    if rng.random() < 0.1:
        spread = float(rng.uniform(0, 0.1)) ** 0.5
        voxels = voxels + spread * torch.randn(voxels.shape, generator=noise, device=voxels.device)
    if rng.random() < 0.2:
        voxels = blur(voxels, float(rng.uniform(0.5, 1.0)))
    if rng.random() < 0.15:
        voxels = voxels * float(rng.uniform(0.75, 1.25))
    if rng.random() < 0.15:
        voxels = _contrast(voxels, float(rng.uniform(0.75, 1.25)))
    if rng.random() < 0.25:
        voxels = _coarse(voxels, float(rng.uniform(0.5, 1.0)))
    for chance, inverted in ((0.1, True), (0.3, False)):
        if rng.random() < chance:
            voxels = _gamma(voxels, float(rng.uniform(0.7, 1.5)), inverted)
    return voxels


def blur(voxels: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian over the last three axes of (c, z, y, x), sigma in voxels; borders are repeated."""
    radius = math.ceil(2.5 * sigma)
    place = torch.arange(-radius, radius + 1, dtype=voxels.dtype, device=voxels.device)
    kernel = torch.exp(-0.5 * (place / sigma) ** 2)
    kernel = kernel / kernel.sum()
    out = voxels[:, None]
    for axis in range(3):
        if voxels.shape[1 + axis] == 1:
            continue
        padding, shape = [0] * 6, [1, 1, 1]
        padding[4 - 2 * axis] = padding[5 - 2 * axis] = radius
        shape[axis] = -1
        out = F.conv3d(F.pad(out, padding, mode="replicate"), kernel.view(1, 1, *shape))
    return out[:, 0]


def _contrast(voxels: torch.Tensor, factor: float) -> torch.Tensor:
    """Stretch about the mean, inside the old range."""
    mean = voxels.mean((1, 2, 3), keepdim=True)
    low, high = voxels.amin((1, 2, 3), keepdim=True), voxels.amax((1, 2, 3), keepdim=True)
    return torch.minimum(torch.maximum((voxels - mean) * factor + mean, low), high)


def _coarse(voxels: torch.Tensor, zoom: float) -> torch.Tensor:
    """Throw resolution away: nearest down, linear up."""
    small = [max(1, round(n * zoom)) for n in voxels.shape[1:]]
    low = F.interpolate(voxels[None], size=small, mode="nearest-exact")
    return F.interpolate(low, size=voxels.shape[1:], mode="trilinear", align_corners=False)[0]


def _gamma(voxels: torch.Tensor, power: float, inverted: bool) -> torch.Tensor:
    """Bend the histogram; mean and spread stay as they were."""
    values = -voxels if inverted else voxels
    axes = (1, 2, 3)
    mean, spread = values.mean(axes, keepdim=True), values.std(axes, keepdim=True, correction=0)
    low, high = values.amin(axes, keepdim=True), values.amax(axes, keepdim=True)
    bent = ((values - low) / (high - low + 1e-7)).clamp(0, 1) ** power
    bent = (bent - bent.mean(axes, keepdim=True)) / (bent.std(axes, keepdim=True, correction=0) + 1e-7)
    values = bent * spread + mean
    return -values if inverted else values


def _mirror(batch: Batch, axes: tuple[int, ...], rng: Rng) -> Batch:
    """Flip each patch along each allowed axis (0 z, 1 y, 2 x) with chance one half."""
    voxels, target, edited = list(batch.voxels), list(batch.target), list(batch.edited)
    for i in range(len(voxels)):
        flips = [a - 3 for a in axes if rng.random() < 0.5]
        if flips:
            voxels[i], target[i], edited[i] = (t[i].flip(flips) for t in (voxels, target, edited))
    return Batch(torch.stack(voxels), torch.stack(target), torch.stack(edited))
