"""Another list of labels for weights that are there: rows of the head kept, added and dropped."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from napari_apprentice.core.plan import Plan
from napari_apprentice.errors import ModelError
from napari_apprentice.learn import weights
from napari_apprentice.learn.network import build

# Of the background's probability, everywhere, to begin with: less than any label that was there, so that the label
# map of the base is unchanged, and enough to grow from.
SHARE = 0.01


def with_labels(plan: Plan, labels: Sequence[int]) -> Plan:
    """A plan for other labels; the same one where they are the same.

    Raises
    ------
    ModelError
        The network has no layer whose rows are labels.
    """
    if set(labels) == set(plan.labels):
        return plan
    if not plan.labels_can_change:
        raise ModelError("The labels of this model's network cannot be changed: train a first model for the new list.")
    return replace(plan, labels=tuple(labels))


def adapt(plan: Plan, source: Path, wanted: Plan, out: Path) -> None:
    """Write weights of a plan as weights for the same plan with other labels.

    Rows of labels that stay are copied bit for bit, those of labels that went are left out. A label that is added
    begins as one hundredth of what was background, in every map of deep supervision: its row is the background's,
    with a bias smaller by log 100 (after Cermelli et al., CVPR 2020, who give it an equal share).

    Parameters
    ----------
    plan, source
        Of the base; the file is only read.
    wanted
        The plan with the new labels; see `with_labels`.
    out
        Where the new weights go (safetensors).

    Raises
    ------
    ModelError
        The weights are missing, damaged or of another network.
    """
    named = weights.read(source)
    base = build(plan)
    weights.assign(base, named, source.name)  # refuses those of another network
    for head in base.heads:
        named[f"{head}.weight"], named[f"{head}.bias"] = _rows(
            named[f"{head}.weight"], named[f"{head}.bias"], plan.labels, wanted.labels
        )
    weights.write(named, out)


def _rows(
    weight: torch.Tensor, bias: torch.Tensor, old: Sequence[int], new: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    row = [0, *(old.index(label) + 1 if label in old else 0 for label in new)]
    weight, bias = weight[row].clone(), bias[row].clone()
    added = [i for i, label in enumerate(new, 1) if label not in old]
    bias[added] += math.log(SHARE)
    return weight, bias
