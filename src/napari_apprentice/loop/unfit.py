"""Which revisions a training run cannot use: known before its first step, told, and left out."""

import math
from collections.abc import Collection, Mapping

import numpy as np

from napari_apprentice.core.correction import UNSEEN
from napari_apprentice.core.plan import Plan
from napari_apprentice.core.records import Example
from napari_apprentice.core.slabs import VoxelSource
from napari_apprentice.errors import ApprenticeError, StudyError
from napari_apprentice.loop.begun import named

_SLAB = 64  # slices read at once
_MOST_TIMES, _LARGE = 100, 10**9  # thick slices on a fine grid are 20 times as many voxels, or 50


def unfit(example: Example, labels: Collection[int] | None = None) -> str:
    """Why a model cannot take an example, channels aside, as a clause; "" where it can.

    Parameters
    ----------
    labels
        Label ids that it can be taught; None for any.
    """
    if example.source.shape[1:] != example.shape:
        return "the label map has another grid than the scan"
    if labels is not None:
        strange = sorted({int(i) for i in np.unique(example.labels[example.status != UNSEEN])} - {0, *labels})
        if strange:
            return f"the model cannot be taught label {', '.join(map(str, strange))}; train a first model anew for that"
    return ""


def oversized(example: Example, plan: Plan) -> str:
    """Why a scan is no work for a network, as a clause: its voxel size cannot be right; "" where it may be.

    On the plan's grid it would have so many times its own voxels that memory, or the time until a prediction of it is
    done, would end every run. This goes by the scan alone, not by the computer: a run leaves out the same wherever it
    is resumed.
    """
    own = math.prod(example.shape)
    pairs = zip(example.spacing, plan.spacing, strict=True)
    there = own * math.prod(mine / plans for mine, plans in pairs if plans)  # 0 keeps an axis as it is
    if there <= max(_MOST_TIMES * own, _LARGE):
        return ""
    size = " x ".join(f"{mm:g}" for mm in example.spacing)
    return f"its voxels of {size} mm would be {there / 1e9:.0f} billion of those that the network sees; is that right?"


def damage(source: VoxelSource) -> str:
    """What is wrong with a stored scan, after reading all of it; "" where nothing is."""
    depth = source.shape[1]
    try:
        for start in range(0, depth, _SLAB):
            source.read(start, min(start + _SLAB, depth))
    except StudyError as error:
        return clause(error)
    return ""


def clause(error: ApprenticeError) -> str:
    """What an error says, to be put into brackets."""
    return str(error).removesuffix(".")


def left_out_notes(left_out: Mapping[str, str]) -> list[str]:
    """A sentence for each reason for which revisions (case_id/rNNNN) were left out."""
    by_reason: dict[str, list[str]] = {}
    for key, why in left_out.items():
        by_reason.setdefault(why, []).append(key)
    return [f"Not in this run: {named(keys)} ({why})." for why, keys in by_reason.items()]
