"""A scan decoded once for training: normalised, on the plan's grid, and kept where it is computed on."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from napari_apprentice.core.correction import EDITED, StatusArray
from napari_apprentice.core.correction import UNSEEN as NOT_SEEN
from napari_apprentice.core.plan import MOST_LABELS, Plan
from napari_apprentice.core.records import Example
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import ModelError
from napari_apprentice.learn.loss import FIRST_OPEN, IGNORE, UNSEEN
from napari_apprentice.learn.normalise import normalise
from napari_apprentice.learn.resample import resample_labels, resample_voxels, target_shape

# Centres kept per kind; a whole 512^3 scan would otherwise cost a gigabyte of indices.
CENTRES = 20_000
NEAR = 2  # voxels around an edit that count as edited

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Prepared:
    """One example on the plan's grid.

    Parameters
    ----------
    voxels
        (c, z, y, x) float16, normalised.
    target
        (z, y, x) uint8 output rows; 250 and more where not or not fully known, see `learn.loss`.
    edited
        (z, y, x) bool, within 2 voxels of an edit.
    edits, any_known
        Flat indices of edited and of known voxels, at most 20,000 each.
    foreground
        Output row to flat indices of its accepted voxels.
    replay
        As in the example.
    """

    voxels: torch.Tensor
    target: torch.Tensor
    edited: torch.Tensor
    edits: Indices
    any_known: Indices
    foreground: Mapping[int, Indices]
    replay: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """(z, y, x)."""
        z, y, x = self.target.shape
        return z, y, x


def prepare(example: Example, plan: Plan, device: torch.device) -> Prepared:
    """Normalise and resample one example.

    Raises
    ------
    ModelError
        Channels or label ids do not fit the plan.
    """
    shape = target_shape(_shape(example.labels), example.spacing, plan.spacing)
    voxels = resample_voxels(normalise(example.voxels, plan, device), shape)
    rows = torch.from_numpy(to_rows(example, plan))
    target = resample_labels(rows, shape)
    status = resample_labels(torch.from_numpy(np.ascontiguousarray(example.status)), shape).numpy()
    edited = ndimage.binary_dilation(status == EDITED, iterations=NEAR)
    known, flat = status != NOT_SEEN, target.numpy()
    accepted = known & (status != EDITED)
    by_row = {row: _some(accepted & (flat == row)) for row in range(1, len(plan.labels) + 1)}
    return Prepared(
        voxels.half(), target.to(device), torch.from_numpy(edited).to(device),
        _some(status == EDITED), _some(known), {r: i for r, i in by_row.items() if i.size}, example.replay,
    )  # fmt: skip


def to_rows(example: Example, plan: Plan) -> NDArray[np.uint8]:
    """(z, y, x) uint8 output rows of an example's labels; unseen voxels become 254, open ones 250 and more."""
    if len(plan.labels) > MOST_LABELS:
        raise ModelError(f"A model can have at most {MOST_LABELS} labels, not {len(plan.labels)}.")
    known = example.status != NOT_SEEN
    strange = sorted({int(i) for i in np.unique(example.labels[known])} - {0, *plan.labels})
    if strange:
        raise ModelError(
            f"{example.revision} has the labels {', '.join(map(str, strange))}, which the model does not know. "
            "Train a first model for the new list of labels."
        )
    table = np.full(65536 if example.labels.dtype.itemsize > 1 else 256, IGNORE, dtype=np.uint8)
    table[0] = 0
    for row, label in enumerate(plan.labels, 1):
        if label < len(table):
            table[label] = row
    rows = np.where(known, table[example.labels], np.uint8(UNSEEN))
    if example.open is not None:
        left_open = known & (example.open.where > 0)
        rows[left_open] = FIRST_OPEN - 1 + example.open.where[left_open]
    return rows


def _shape(labels: LabelArray | StatusArray) -> tuple[int, int, int]:
    z, y, x = labels.shape
    return z, y, x


def _some(mask: NDArray[np.bool_]) -> Indices:
    """Flat indices of a mask, thinned evenly by chance (always the same) to `CENTRES`."""
    where = np.flatnonzero(mask)
    if where.size > CENTRES:
        where = np.sort(np.random.default_rng(0).choice(where, CENTRES, replace=False))
    return where
