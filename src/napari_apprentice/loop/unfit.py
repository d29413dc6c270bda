"""Which revisions a training run cannot use: known before its first step, told, and left out."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from napari_apprentice.core.correction import UNSEEN
from napari_apprentice.core.records import Example
from napari_apprentice.core.slabs import VoxelSource
from napari_apprentice.errors import StudyError
from napari_apprentice.loop.begun import named

_SLAB = 64  # slices read at once


def unfit(example: Example, channels: int, labels: Collection[int] | None = None) -> str:
    """Why a model cannot take an example, as a clause; "" where it can.

    Parameters
    ----------
    channels
        How many the model takes; 0 for any.
    labels
        Label ids that it can be taught; None for any.
    """
    found = example.source.shape[0]
    if channels and found != channels:
        return f"the model takes {channels} channel{'s' if channels > 1 else ''}, not {found}"
    if example.source.shape[1:] != example.labels.shape:
        return "the label map has another grid than the scan"
    if labels is not None:
        strange = sorted({int(i) for i in np.unique(example.labels[example.status != UNSEEN])} - {0, *labels})
        if strange:
            return f"the model cannot be taught label {', '.join(map(str, strange))}; train a first model anew for that"
    return ""


def usual_channels(examples: Sequence[Example]) -> int:
    """How many channels most examples have; 0 without any."""
    counts = Counter(e.source.shape[0] for e in examples)
    return max(counts, key=lambda n: counts[n], default=0)


def damage(source: VoxelSource) -> str:
    """What is wrong with a stored scan, after reading all of it; "" where nothing is."""
    depth = source.shape[1]
    try:
        for start in range(0, depth, _SLAB):
            source.read(start, min(start + _SLAB, depth))
    except StudyError as error:
        return clause(error)
    return ""


def clause(error: StudyError) -> str:
    """What an error says, to be put into brackets."""
    return str(error).removesuffix(".")


def left_out_notes(left_out: Mapping[str, str]) -> list[str]:
    """A sentence for each reason for which revisions (case_id/rNNNN) were left out."""
    by_reason: dict[str, list[str]] = {}
    for key, why in left_out.items():
        by_reason.setdefault(why, []).append(key)
    return [f"Not in this run: {named(keys)} ({why})." for why, keys in by_reason.items()]
