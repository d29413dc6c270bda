"""Trying post-processing on one label of one case, and choosing what pays over many."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.metrics import dice
from napari_apprentice.core.postprocess import HOLES, ISLANDS, LARGEST, SMOOTH, PostRecipe, PostStep
from napari_apprentice.core.postprocess_steps import TRUNCATE, postprocess
from napari_apprentice.core.volume import LabelArray

Steps = tuple[PostStep, ...]

MARGIN = 0.002  # mean Dice that steps must win on either side; less is a few voxels
FURTHER = 0.0005  # mean Dice that a further step must win on the learning side; else the simpler steps stay
WORST = 0.01  # Dice that no held-out case may lose; the gate's tolerance
SUBJECTS = 2  # held-out subjects that a proof takes; one alone may be luck
_LARGEST, _HOLES = PostStep(LARGEST), PostStep(HOLES)
_ISLANDS = tuple(PostStep(ISLANDS, mm3) for mm3 in (10.0, 30.0, 100.0, 300.0, 1000.0))
_SMOOTH = tuple(PostStep(SMOOTH, mm) for mm in (1.0, 2.0))
# Simple ones first. The threshold is not among them: what is stored has no probabilities.
CANDIDATES: tuple[Steps, ...] = (
    (_LARGEST,), *((s,) for s in _ISLANDS), (_HOLES,), *((s,) for s in _SMOOTH),
    (_LARGEST, _HOLES), *((s, _HOLES) for s in _ISLANDS), *((s, _LARGEST) for s in _SMOOTH),
    *((s, _LARGEST, _HOLES) for s in _SMOOTH),
)  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """Dice of one label of one case under each candidate; under () as it was predicted."""

    case_id: str
    subject: str
    held_out: bool
    dice: Mapping[Steps, float]


@dataclass(frozen=True)
class PostRow:
    """What was found for one label: mean Dice over subjects, before and after the steps that learned best.

    Parameters
    ----------
    label
        Its id.
    steps
        Best on the learning side; empty where none won anything there.
    learned, held_out
        (before, after); None where no subject of that side has the label, predicted or corrected.
    subjects
        Held-out subjects that have the label.
    accepted, reason
        Whether it is proved, and in words why or why not.
    """

    label: int
    steps: Steps
    learned: tuple[float, float] | None
    held_out: tuple[float, float] | None
    subjects: int
    accepted: bool
    reason: str


def try_steps(
    predicted: LabelArray,
    reference: LabelArray,
    known: NDArray[np.bool_],
    label: int,
    spacing: tuple[float, float, float],
    box: tuple[slice, ...],
    candidates: Sequence[Steps] = CANDIDATES,
) -> dict[Steps, float] | None:
    """Dice of a label under each candidate, and under () without any, where voxels are known.

    Parameters
    ----------
    predicted, reference
        (z, y, x) label ids of the whole case.
    known
        (z, y, x); only these voxels count. Components go on beyond them.
    spacing
        Millimetres along (z, y, x).
    box
        Bounds of the label in both maps.

    Returns
    -------
    None where the label is known in neither map. A label that is in neither map after the steps is as right
    as can be: 1, as in the gate.
    """
    reach = [math.ceil(TRUNCATE * _SMOOTH[-1].amount / s) + 1 for s in spacing]
    wide = tuple(slice(max(0, b.start - r), b.stop + r) for b, r in zip(box, reach, strict=True))
    start, truth, seen = predicted[wide], reference[wide], known[wide]
    before = dice(start, truth, label, seen)
    if before is None:
        return None
    found: dict[Steps, float] = {(): before}
    for steps in candidates:
        after = postprocess(start, spacing, PostRecipe({label: steps}))
        score = dice(after, truth, label, seen)
        found[steps] = 1.0 if score is None else score
    return found


def choose(label: int, trials: Sequence[Trial]) -> PostRow:
    """The steps that are best on the learning side, judged on the held-out side.

    Only this one choice is measured on held-out subjects: they choose nothing, so their figures are honest.
    """
    learning, held = [t for t in trials if not t.held_out], [t for t in trials if t.held_out]
    learned: tuple[float, float] | None = None
    steps: Steps = ()
    if learning:
        steps, before, after = _best(learning)
        learned = before, after
    return judge_steps(label, steps, learned, held)


def judge_steps(label: int, steps: Steps, learned: tuple[float, float] | None, held: Sequence[Trial]) -> PostRow:
    """The verdict on steps from the held-out cases of their label."""
    subjects = len({t.subject for t in held})
    pair = (_mean(held, lambda t: t.dice[()]), _mean(held, lambda t: t.dice[steps])) if held else None
    reason = _objection(steps, learned, held, subjects)
    accepted = not reason
    if accepted and pair is not None:
        reason = f"wins {pair[1] - pair[0]:.3f} on {subjects} held-out subjects; no case loses more than {WORST}"
    return PostRow(label, steps, learned, pair, subjects, accepted, reason)


def _objection(steps: Steps, learned: tuple[float, float] | None, held: Sequence[Trial], subjects: int) -> str:
    if learned is None:
        return "no corrected case to learn from has it"
    if not steps:
        return "no step wins anything on the cases to learn from"
    if subjects < SUBJECTS:
        return f"{subjects} held-out subject{'' if subjects == 1 else 's'} with it; {SUBJECTS} are needed"
    gain = _mean(held, lambda t: t.dice[steps] - t.dice[()])
    if gain < MARGIN:
        return f"on held-out subjects it wins {gain:+.3f}, less than {MARGIN}"
    fall, case_id = max((t.dice[()] - t.dice[steps], t.case_id) for t in held)
    return f"held-out case {case_id} would lose {fall:.3f}" if fall > WORST else ""


def _best(learning: Sequence[Trial]) -> tuple[Steps, float, float]:
    before = best = _mean(learning, lambda t: t.dice[()])
    steps: Steps = ()
    for candidate in CANDIDATES:
        after = _mean(learning, lambda t, c=candidate: t.dice[c])  # type: ignore[misc]
        least = max(before + MARGIN, best + FURTHER * (len(candidate) > len(steps) > 0))
        if after >= least and after > best:
            steps, best = candidate, after
    return steps, before, best


def _mean(trials: Sequence[Trial], score: Callable[[Trial], float]) -> float:
    """Over subjects, of the mean over each subject's cases."""
    by_subject: dict[str, list[float]] = {}
    for trial in trials:
        by_subject.setdefault(trial.subject, []).append(score(trial))
    return float(np.mean([np.mean(scores) for scores in by_subject.values()]))
