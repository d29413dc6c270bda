"""Masked Dice and cross-entropy: what nobody looked at teaches nothing."""

from collections.abc import Sequence

import torch
from torch.nn import functional as F

IGNORE = 255
_SMOOTH = 1e-5


def loss(logits: Sequence[torch.Tensor], target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Masked soft Dice plus masked cross-entropy, 1:1, over deep-supervision maps.

    Parameters
    ----------
    logits
        Largest map first, each (b, 1 + labels, z, y, x); computed on in float32 whatever they are.
    target
        (b, z, y, x) uint8 output rows; 255 is unknown and gives a gradient of exactly 0.
    weight
        (b, z, y, x) cross-entropy weights.

    Returns
    -------
    Scalar float32. Maps weigh 1, 1/2, 1/4 ..., normalised to 1 (nnU-Net, Isensee et al. 2021).
    """
    scales = [0.5**i for i in range(len(logits))]
    total = logits[0].new_zeros((), dtype=torch.float32)
    for scale, level in zip(scales, logits, strict=True):
        step = [n // m for n, m in zip(target.shape[1:], level.shape[2:], strict=True)]
        # the middle of each block, so that lower maps are not shifted by half a block
        pick = (slice(None), *(slice(s // 2, None, s) for s in step))
        total = total + scale * single(level.float(), target[pick], weight[pick])
    return total / sum(scales)


def single(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """`loss` of one map whose size is the target's."""
    valid = target != IGNORE
    # without the mask on the logits a NaN under an unknown voxel would still reach the sum
    logits = torch.where(valid[:, None], logits, 0.0)
    return _dice(logits, target, valid) + _cross_entropy(logits, target, weight * valid)


def _cross_entropy(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Weighted mean over valid voxels; 0 when there are none."""
    each = F.cross_entropy(logits, target.long(), reduction="none", ignore_index=IGNORE)
    return (each * weight).sum() / weight.sum().clamp_min(1e-8)


def _dice(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """1 - soft Dice over the whole batch, mean over labels, background left out."""
    rows = torch.arange(1, logits.shape[1], device=logits.device).view(1, -1, 1, 1, 1)
    probability = logits.softmax(1)[:, 1:] * valid[:, None]
    truth = (target[:, None] == rows).float()
    axes = (0, 2, 3, 4)
    both = (probability * truth).sum(axes)
    either = probability.sum(axes) + truth.sum(axes)
    return 1 - ((2 * both + _SMOOTH) / (either + _SMOOTH)).mean()
