"""One temperature per model version, so that what it calls 80 % sure is right in 80 % of voxels."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize
from torch.nn import functional as F

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.correction import UNSEEN
from napari_apprentice.core.plan import Plan, Triple
from napari_apprentice.core.records import Example
from napari_apprentice.errors import Cancelled
from napari_apprentice.learn.coarser import Coarser, with_all_known
from napari_apprentice.learn.device import memory_errors
from napari_apprentice.learn.loss import IGNORE
from napari_apprentice.learn.loss import UNSEEN as NOT_KNOWN
from napari_apprentice.learn.member import Member
from napari_apprentice.learn.resample import Linear, resample_labels_along
from napari_apprentice.learn.scaled import ScaledScan
from napari_apprentice.learn.voting import Voters

LOWEST, HIGHEST = 0.25, 10.0  # a network that is never wrong on few scans would ask for 0
PRECISION = 1e-6  # of the temperature's logarithm
BINS = 15
FOLDS = 5
LEAST_SUBJECTS = 2
SCANS, WINDOWS = 20, 8  # of the held-out scans, and of each of them
MOST_NUMBERS = 4_000_000  # logits kept, of all scans together


@dataclass(frozen=True)
class Calibration:
    """A temperature, and what it does to held-out scans.

    Parameters
    ----------
    temperature
        What logits are divided by.
    ece_before, ece_after
        Expected calibration error without it and with it; the latter with a temperature that was fitted on the
        other subjects, so that it does not flatter itself.
    nll_before, nll_after
        Mean negative log likelihood of the truth, in the same way.
    voxels, subjects
        What it was fitted on.
    """

    temperature: float
    ece_before: float
    ece_after: float
    nll_before: float
    nll_after: float
    voxels: int
    subjects: int


def calibrate(member: Member, examples: Sequence[Example], cancelled: Callable[[], bool]) -> Calibration | None:
    """Fit a temperature on the known voxels of held-out examples.

    Logits are those of single windows, in their middle, where stitching gives them nearly all the weight, computed
    by what predictions are computed by. When the temperature of the other subjects makes the truth of a subject
    less likely than none would, 1 is kept.

    Parameters
    ----------
    member
        The network, with all labels of its plan and a temperature of 1.

    Returns
    -------
    None with fewer than two subjects: one person's scan would set the confidence for all.

    Raises
    ------
    Cancelled
        `cancelled` said so.
    RunError
        There is too little memory.
    """
    subjects = sorted({e.subject for e in examples})
    if len(subjects) < LEAST_SUBJECTS:
        return None
    some = _balanced(examples, subjects)
    each = MOST_NUMBERS // (member.readout.rows * WINDOWS * len(some))
    with memory_errors():
        voters = Voters((member.backend(PredictSettings()),), ())
        parts = [_known_logits(member, voters, e, max(each, 1), cancelled) for e in some]
    folds = np.concatenate(
        [np.full(len(t), subjects.index(e.subject) % FOLDS) for e, (_, t) in zip(some, parts, strict=True)]
    )
    logits, target = (torch.cat(column) for column in zip(*parts, strict=True))
    return _judged(logits, target, torch.from_numpy(folds), len(subjects)) if len(target) else None


def fit_temperature(logits: torch.Tensor, target: torch.Tensor) -> float:
    """The temperature under which the truth is likeliest (Guo et al., ICML 2017).

    The negative log likelihood is convex in the inverse temperature, so its slope has one zero at most, which
    Brent's method finds.

    Parameters
    ----------
    logits
        (n, 1 + labels) float.
    target
        (n,) rows that are true.

    Returns
    -------
    From 0.25 to 10.
    """
    logits = logits.double()
    true = logits.gather(1, target[:, None])[:, 0].mean()

    def slope(confidence: float) -> float:
        """Along the logarithm of the inverse temperature; below 0 more confidence makes the truth likelier."""
        share = torch.softmax(logits * math.exp(confidence), 1)
        return float((share * logits).sum() / len(logits) - true)

    least, most = -math.log(HIGHEST), -math.log(LOWEST)
    if slope(most) <= 0:
        return LOWEST
    if slope(least) >= 0:
        return HIGHEST
    if not torch.isfinite(logits).all():  # there is nothing to find
        return 1.0
    return math.exp(-optimize.brentq(slope, least, most, xtol=PRECISION))


def calibration_error(logits: torch.Tensor, target: torch.Tensor) -> float:
    """Expected calibration error of the likeliest row, over 15 bins of confidence (Naeini et al., AAAI 2015)."""
    confidence, found = torch.softmax(logits.double(), 1).max(1)
    bins = (confidence * BINS).long().clamp(max=BINS - 1)
    gap = torch.zeros(BINS, dtype=torch.float64).index_add_(0, bins, confidence - (found == target).double())
    return float(gap.abs().sum() / len(target))


def _judged(logits: torch.Tensor, target: torch.Tensor, folds: torch.Tensor, subjects: int) -> Calibration:
    temperature = fit_temperature(logits, target)
    scaled = logits.clone()
    for fold in range(FOLDS):
        mine = folds == fold
        if mine.any():
            scaled[mine] /= fit_temperature(logits[~mine], target[~mine])
    before, after = (float(F.cross_entropy(x.double(), target)) for x in (logits, scaled))
    if after > before:
        temperature, scaled, after = 1.0, logits, before
    return Calibration(
        temperature, calibration_error(logits, target), calibration_error(scaled, target), before, after,
        len(target), subjects,
    )  # fmt: skip


def _balanced(examples: Sequence[Example], subjects: Sequence[str]) -> list[Example]:
    """At most `SCANS`, one of each subject before the second of any."""
    queues = [[e for e in examples if e.subject == s] for s in subjects]
    turns = (queue[i] for i in range(max(map(len, queues))) for queue in queues if i < len(queue))
    return [e for e, _ in zip(turns, range(SCANS), strict=False)]


def _known_logits(
    member: Member, voters: Voters, example: Example, most: int, cancelled: Callable[[], bool]
) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, rows) logits and (n,) true rows of known voxels in windows of an example, on the CPU."""
    plan = member.plan
    scan = ScaledScan(example.source, plan, member.device, cancelled)
    target = _on_grid(_rows(example, plan), scan.shape)
    rng = np.random.default_rng(0)
    left = list(_windows(target, plan.patch, rng))
    logits, true = [torch.zeros(0, member.readout.rows)], [torch.zeros(0, dtype=torch.int64)]
    while left:
        if cancelled():
            raise Cancelled("The run was stopped while the new model version was calibrated.")
        maps = voters.retrying(partial(_patches, scan, left), lambda: False)
        for (inner, outer), found in zip(left, maps, strict=False):  # as many as memory allows
            rows = target[inner]
            where = np.flatnonzero(rows < NOT_KNOWN)
            where = where if len(where) <= most else rng.choice(where, most, replace=False)
            inside = tuple(slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True))
            known = found[(slice(None), *inside)].flatten(1)[:, torch.from_numpy(where)]
            logits.append(member.readout.logits(known.float()).T.cpu())
            true.append(torch.from_numpy(rows.ravel()[where].astype(np.int64)))
        left = left[len(maps) :]
    return torch.cat(logits), torch.cat(true)


def _rows(example: Example, plan: Plan) -> NDArray[np.uint8]:
    """(z, y, x) output rows; 254 where nobody says what a voxel is, 255 for labels that the model does not know."""
    table = np.full(65536, IGNORE, np.uint8)
    table[0] = 0
    for row, label in enumerate(plan.labels, 1):
        table[label] = row
    known = example.status != UNSEEN
    if example.open is not None:  # it may be a label that did not exist then
        known &= example.open.where == 0
    return np.where(known, table[example.labels], np.uint8(NOT_KNOWN))


def _on_grid(rows: NDArray[np.uint8], shape: Triple) -> NDArray[np.uint8]:
    """Rows on the plan's grid, as they are taught: what is known of few of the scan's voxels is not outvoted."""
    axes = [(n, m) for n, m in zip(rows.shape, shape, strict=True)]
    z, y, x = (Linear.between(n, m) for n, m in axes)
    found = resample_labels_along(torch.from_numpy(rows), (z, y, x)).numpy()
    joins = [Coarser.between(n, m, slice(0, m)) for n, m in axes]
    if not any(joins):
        return found
    status = [(r != NOT_KNOWN).astype(np.uint8) for r in (found, rows)]
    return with_all_known((found, status[0]), (rows, status[1]), joins, (z, y, x))[0]


Window = tuple[slice, slice, slice]


def _windows(target: NDArray[np.uint8], patch: Triple, rng: np.random.Generator) -> Iterator[tuple[Window, Window]]:
    """The middle half and the whole of windows around known voxels; the whole may reach out of the scan."""
    known, seen = np.flatnonzero(target < NOT_KNOWN), set()
    for centre in rng.choice(known, min(WINDOWS, len(known)), replace=False):
        inner, outer = [], []
        for middle, size, whole in zip(np.unravel_index(int(centre), target.shape), patch, target.shape, strict=True):
            start = min(max(int(middle) - size // 2, 0), whole - size) if whole >= size else -((size - whole) // 2)
            margin = 0 if whole <= size else size // 4  # what reaches the scan's edge has no better window
            outer.append(slice(start, start + size))
            inner.append(slice(max(start + margin, 0), min(start + size - margin, whole)))
        if str(outer) not in seen:  # around all voxels of a small scan lies the same one
            seen.add(str(outer))
            yield (inner[0], inner[1], inner[2]), (outer[0], outer[1], outer[2])


def _patches(scan: ScaledScan, places: Sequence[tuple[Window, Window]], count: int) -> torch.Tensor:
    """(up to `count`, c, z, y, x) of the first windows."""
    return torch.stack([_patch(scan, outer) for _, outer in places[:count]])


def _patch(scan: ScaledScan, window: Window) -> torch.Tensor:
    """(c, z, y, x) of one window; what lies outside the scan is 0."""
    pads, inside = [], []
    for part, size in zip(window, scan.shape, strict=True):
        inside.append(slice(max(part.start, 0), min(part.stop, size)))
        pads.append((max(-part.start, 0), max(part.stop - size, 0)))
    slices = scan.read(inside[0].start, inside[0].stop)
    scan.forget(lambda _: False)  # a large scan is never whole in memory
    return F.pad(slices[:, :, inside[1], inside[2]], [p for pair in reversed(pads) for p in pair])
