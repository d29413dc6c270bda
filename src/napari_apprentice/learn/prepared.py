"""A scan decoded once for training: normalised, on the plan's grid, and no more of it than patches can show."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from napari_apprentice.core.correction import EDITED, Box, StatusArray, bounding_box
from napari_apprentice.core.correction import UNSEEN as NOT_SEEN
from napari_apprentice.core.plan import MOST_LABELS, Plan, Triple
from napari_apprentice.core.records import Example
from napari_apprentice.errors import ModelError
from napari_apprentice.learn.coarser import Coarser, with_all_known
from napari_apprentice.learn.device import free_bytes
from napari_apprentice.learn.loss import FIRST_OPEN, IGNORE, UNSEEN
from napari_apprentice.learn.resample import Linear, resample_labels_along, target_shape
from napari_apprentice.learn.scaled import ScaledScan
from napari_apprentice.learn.turning import largest_margin

# Centres kept per kind; a whole 512^3 scan would otherwise cost a gigabyte of indices.
CENTRES = 20_000
SHARE = 0.3  # of the device's free memory
SLAB = 2**25  # bytes of float32 voxels at once
NEAR = 2  # voxels around an edit that count as edited

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Prepared:
    """What of one example its patches can show, on the plan's grid: a part of it, or all.

    Parameters
    ----------
    voxels
        (c, z, y, x) float16, normalised.
    target
        (z, y, x) uint8 output rows; 250 and more where not or not fully known, see `learn.loss`.
    edited
        (z, y, x) bool, within 2 voxels of an edit.
    edits, any_known
        Flat indices into `target` of edited and of known voxels, at most 20,000 each.
    foreground
        Output row to flat indices of its accepted voxels.
    replay
        As in the example.
    origin, whole
        First voxel (z, y, x) of the part on the plan's grid of the whole scan, and the shape of that.
    """

    voxels: torch.Tensor
    target: torch.Tensor
    edited: torch.Tensor
    edits: Indices
    any_known: Indices
    foreground: Mapping[int, Indices]
    replay: bool
    origin: Triple
    whole: Triple

    @property
    def shape(self) -> Triple:
        """(z, y, x) of the part."""
        z, y, x = self.target.shape
        return z, y, x

    @property
    def bytes(self) -> int:
        """Of its tensors."""
        return sum(t.numel() * t.element_size() for t in (self.voxels, self.target, self.edited))

    def moved(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Prepared":
        """With its tensors somewhere else."""
        return replace(self, voxels=change(self.voxels), target=change(self.target), edited=change(self.edited))


def prepare(example: Example, plan: Plan) -> Prepared:
    """Read, normalise and resample what of one example its patches can show; slab by slab, in host memory.

    Raises
    ------
    ModelError
        Channels or label ids do not fit the plan.
    """
    z, y, x = example.shape
    whole = target_shape((z, y, x), example.spacing, plan.spacing)
    box = _part(example.status, whole, plan)
    lines = tuple(Linear.between(n, m).part(s.start, s.stop) for n, m, s in zip((z, y, x), whole, box, strict=True))
    joins = tuple(Coarser.between(n, m, s) for n, m, s in zip((z, y, x), whole, box, strict=True))
    own = tuple(_needed(line, join) for line, join in zip(lines, joins, strict=True))
    lines = tuple(line.moved(s.start) for line, s in zip(lines, own, strict=True))
    joins = tuple(join and join.moved(s.start) for join, s in zip(joins, own, strict=True))
    target, status = _on_grid(_cropped(example, own), plan, joins, lines)
    edited = ndimage.binary_dilation(status == EDITED, iterations=NEAR)
    known, flat = status != NOT_SEEN, target
    accepted = known & (status != EDITED)
    by_row = {row: _some(accepted & (flat == row)) for row in range(1, len(plan.labels) + 1)}
    return Prepared(
        _voxels(example, plan, box), torch.from_numpy(target), torch.from_numpy(edited),
        _some(status == EDITED), _some(known), {r: i for r, i in by_row.items() if i.size}, example.replay,
        (box[0].start, box[1].start, box[2].start), whole,
    )  # fmt: skip


def foretold_bytes(example: Example, plan: Plan) -> int:
    """Of the tensors that `prepare` makes of an example, before its scan is read."""
    z, y, x = example.shape
    part = _part(example.status, target_shape((z, y, x), example.spacing, plan.spacing), plan)
    each = 2 * len(plan.normalisation) + 2  # float16 voxels, target, edited
    return each * math.prod(int(s.stop - s.start) for s in part)


def kept_near(cases: Sequence[Prepared], device: torch.device) -> list[Prepared]:
    """On the device where they take at most 30 % of its free memory, else in host memory.

    Not in pinned memory, of which PyTorch takes up to twice as much (powers of two), and which no other program gets:
    patches are cut out of it, and only these travel. An Apple GPU's memory is the host's.
    """
    if device.type == "mps":
        return list(cases)
    free = free_bytes(device)
    if free is None or sum(case.bytes for case in cases) <= SHARE * free:
        return [case.moved(lambda t: t.to(device)) for case in cases]
    return list(cases)


def first_voxel(middle: Triple, whole: Triple, patch: Triple) -> Triple:
    """Of a patch around a voxel: inside the scan where it fits, the scan in its middle where not."""
    z, y, x = (
        min(max(m - p // 2, 0), n - p) if n >= p else -((p - n) // 2)
        for m, n, p in zip(middle, whole, patch, strict=True)
    )
    return z, y, x


def _part(status: StatusArray, whole: Triple, plan: Plan) -> Box:
    """Of the plan's grid, what patches around known voxels can show, turned and scaled; one voxel without any."""
    known = bounding_box(status)
    if known is None:
        return slice(0, 1), slice(0, 1), slice(0, 1)
    scale = [m / n for m, n in zip(whole, status.shape, strict=True)]
    # one voxel more on each side: resampling may carry a known voxel over to the next
    z, y, x = (max(int(s.start * f) - 1, 0) for s, f in zip(known, scale, strict=True))
    c, b, a = (min(int(np.ceil(s.stop * f)), n - 1) for s, f, n in zip(known, scale, whole, strict=True))
    first, last = (first_voxel(middle, whole, plan.patch) for middle in ((z, y, x), (c, b, a)))
    sides = zip(first, last, plan.patch, largest_margin(plan), whole, strict=True)
    z_part, y_part, x_part = (slice(max(f - m, 0), min(t + p + m, n)) for f, t, p, m, n in sides)
    return z_part, y_part, x_part


def _needed(line: Linear, join: Coarser | None) -> slice:
    """The scan's own voxels that count along an axis."""
    first, last = int(line.low.min()), int(line.high.max()) + 1
    return slice(first, last) if join is None else slice(min(first, join.first[0]), max(last, join.first[-1]))


def _on_grid(
    near: Example, plan: Plan, joins: Sequence[Coarser | None], lines: tuple[Linear, ...]
) -> tuple[NDArray[np.uint8], StatusArray]:
    """(z, y, x) rows and status on the plan's grid."""
    rows, status = to_rows(near, plan), np.array(near.status)
    found = [resample_labels_along(torch.from_numpy(v), lines).numpy() for v in (rows, status)]
    if not any(joins) or (status == status.flat[0]).all():  # then nothing is outvoted
        return found[0], found[1]
    return with_all_known((found[0], found[1]), (rows, status), joins, lines)


def _cropped(example: Example, box: tuple[slice, ...]) -> Example:
    left_open = example.open and replace(example.open, where=example.open.where[box])
    return replace(example, labels=example.labels[box], status=example.status[box], open=left_open)


def _voxels(example: Example, plan: Plan, box: Box) -> torch.Tensor:
    scan = ScaledScan(example.source, plan, torch.device("cpu"))
    depth, wide, long = box
    out = torch.empty(len(plan.normalisation), *(s.stop - s.start for s in box), dtype=torch.float16)
    each = 4 * scan.shape[1] * scan.shape[2] * len(out)
    thick = max(1, SLAB // each)
    for start in range(depth.start, depth.stop, thick):
        stop = min(start + thick, depth.stop)
        out[:, start - depth.start : stop - depth.start] = scan.read(start, stop)[:, :, wide, long]
        scan.forget(lambda _: False)
    return out


def to_rows(example: Example, plan: Plan) -> NDArray[np.uint8]:
    """(z, y, x) uint8 output rows of an example's labels; unseen voxels become 254, open ones 250 and more."""
    if len(plan.labels) > MOST_LABELS:
        raise ModelError(f"A model can have at most {MOST_LABELS} labels, not {len(plan.labels)}.")
    labels, known = example.labels, example.status != NOT_SEEN
    strange = sorted({int(i) for i in np.unique(labels[known])} - {0, *plan.labels})
    if strange:
        raise ModelError(
            f"{example.revision} has the labels {', '.join(map(str, strange))}, which the model does not know. "
            "Train a first model for the new list of labels."
        )
    table = np.full(65536 if labels.dtype.itemsize > 1 else 256, IGNORE, dtype=np.uint8)
    table[0] = 0
    for row, label in enumerate(plan.labels, 1):
        if label < len(table):
            table[label] = row
    rows = np.where(known, table[labels], np.uint8(UNSEEN))
    if example.open is not None:
        where = example.open.where
        left_open = known & (where > 0)
        rows[left_open] = FIRST_OPEN - 1 + where[left_open]
    return rows


def _some(mask: NDArray[np.bool_]) -> Indices:
    """Flat indices of a mask, thinned evenly by chance (always the same) to `CENTRES`."""
    where = np.flatnonzero(mask)
    if where.size > CENTRES:
        where = np.sort(np.random.default_rng(0).choice(where, CENTRES, replace=False))
    return where
