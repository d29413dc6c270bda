"""Masked Dice and cross-entropy: what nobody looked at teaches nothing.

Everything is made of sums over voxels, so that a batch may be computed on in parts, one after another or on
several devices, and the loss is still that of the whole batch: see `learn.stepper`.
"""

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from napari_apprentice.core.plan import MOST_OPEN

IGNORE = 255  # outside the scan
UNSEEN = 254  # in the scan, and nobody looked at it
FIRST_OPEN = UNSEEN - MOST_OPEN  # from here: background, or one of some labels that did not exist then
_SMOOTH = 1e-5


def loss(
    logits: Sequence[torch.Tensor], target: torch.Tensor, weight: torch.Tensor, open_rows: Sequence[torch.Tensor] = ()
) -> torch.Tensor:
    """Masked soft Dice plus masked cross-entropy, 1:1, over deep-supervision maps.

    Parameters
    ----------
    logits
        Largest map first, each (b, 1 + labels, z, y, x); computed on in float32 whatever they are.
    target
        (b, z, y, x) uint8 output rows; 254 and 255 are unknown and give a gradient of exactly 0.
    weight
        (b, z, y, x) cross-entropy weights.
    open_rows
        The numbers of the rows that a voxel with target 250 + i may be of, 0 for background among them; int64.

    Returns
    -------
    Scalar float32. Maps weigh 1, 1/2, 1/4 ..., normalised to 1 (nnU-Net, Isensee et al. 2021).
    """
    return value(sums(logits, target, weight, open_rows))


def sums(
    logits: Sequence[torch.Tensor], target: torch.Tensor, weight: torch.Tensor, open_rows: Sequence[torch.Tensor] = ()
) -> torch.Tensor:
    """What `value` needs of a part of a batch; the sums of all parts, added up, are those of the batch.

    Returns
    -------
    (maps, 3 * labels + 2) float32: per label the overlap, the probability and the truth; then the weighted
    cross-entropy and its weights.
    """
    found = []
    for level in logits:
        step = [n // m for n, m in zip(target.shape[1:], level.shape[2:], strict=True)]
        # the middle of each block, so that lower maps are not shifted by half a block
        pick = (slice(None), *(slice(s // 2, None, s) for s in step))
        found.append(_of_map(level.float(), target[pick], weight[pick], open_rows))
    return torch.stack(found)


def width(labels: int) -> int:
    """Numbers per map in `sums`."""
    return 3 * labels + 2


def value(summed: torch.Tensor) -> torch.Tensor:
    """The loss of a batch from its `sums`."""
    both, probable, true = summed[:, :-2].reshape(len(summed), 3, -1).unbind(1)
    dice = 1 - ((2 * both + _SMOOTH) / (probable + true + _SMOOTH)).mean(1)
    # the mean over known voxels; 0 when there are none
    entropy = summed[:, -2] / summed[:, -1].clamp_min(1e-8)
    scales = 0.5 ** torch.arange(len(summed), device=summed.device)
    weighed: torch.Tensor = ((dice + entropy) * scales).sum() / scales.sum()
    return weighed


def single(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """`loss` of one map whose size is the target's."""
    return loss([logits], target, weight)


def _of_map(
    logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor, open_rows: Sequence[torch.Tensor]
) -> torch.Tensor:
    valid = target < UNSEEN
    # without the mask on the logits a NaN under an unknown voxel would still reach the sum
    logits = torch.where(valid[:, None], logits, 0.0)
    rows = torch.arange(1, logits.shape[1], device=logits.device).view(1, -1, 1, 1, 1)
    probability = logits.softmax(1)[:, 1:] * valid[:, None]
    truth = (target[:, None] == rows).float()
    each = F.cross_entropy(logits, torch.where(target < FIRST_OPEN, target, 0).long(), reduction="none")
    for number, allowed in enumerate(open_rows):
        left_open = target == FIRST_OPEN + number
        # Marginal and exclusion loss (Shi et al., Med Image Anal 70, 2021): one of these, whichever; and what the
        # voxel may be says nothing about the overlap of those labels.
        each = torch.where(left_open, logits.logsumexp(1) - logits[:, allowed].logsumexp(1), each)
        among = left_open.new_zeros(logits.shape[1]).index_fill_(0, allowed, value=True)[1:]
        probability = probability * ~(left_open[:, None] & among.view(1, -1, 1, 1, 1))
    axes = (0, 2, 3, 4)
    weight = weight * valid
    per_label = ((probability * truth).sum(axes), probability.sum(axes), truth.sum(axes))
    return torch.cat([*per_label, (each * weight).sum()[None], weight.sum()[None]])
