"""Training: one generator for the first model and for every fine-tuning."""

import hashlib
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from napari_apprentice.core.config import BEFORE_A_CHOICE, TrainSettings
from napari_apprentice.core.plan import MOST_OPEN, Plan
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import Example, labels_taught
from napari_apprentice.errors import Cancelled, ModelError, StudyError
from napari_apprentice.learn import weights
from napari_apprentice.learn.checkpoint import Point
from napari_apprentice.learn.device import choose_device, memory_errors
from napari_apprentice.learn.feed import Feed
from napari_apprentice.learn.memory import affordable, fits, need, refuse_too_many
from napari_apprentice.learn.network import Network, build
from napari_apprentice.learn.on_disk import OnDisk, Veil, free_disk
from napari_apprentice.learn.optimiser import Optimiser
from napari_apprentice.learn.prepared import Prepared, foretold_bytes, kept_near, prepare
from napari_apprentice.learn.quick import quicken
from napari_apprentice.learn.ranks import Ranks
from napari_apprentice.learn.stepper import Stepper
from napari_apprentice.learn.teacher import Teacher
from napari_apprentice.learn.training import MOST_MEASURED, Training

Cancel = Callable[[], bool]


_ON_DISK = (
    "The scans to learn from do not fit into memory: they lie in a temporary file, and steps may wait for the disk."
)


@dataclass(frozen=True)
class FitResult:
    """How a training run ended.

    Parameters
    ----------
    steps, seconds
        Steps done, and the time they took, resumed parts included.
    loss
        Mean training loss at the end.
    dice
        Mean held-out Dice at the end; None without held-out examples, or where these have no label that was taught.
    history
        (step, mean loss, held-out Dice or None) per report.
    settings
        As given, with the number of steps that was settled.
    notes
        Sentences for the person: what was planned, and what had to be done otherwise.
    left_out
        Revisions of which nothing was taught.
    """

    steps: int
    seconds: float
    loss: float
    dice: float | None
    history: tuple[Point, ...]
    settings: TrainSettings
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def fit(
    plan: Plan,
    examples: Sequence[Example],
    held_out: Sequence[Example],
    settings: TrainSettings,
    start: Path | None,
    out: Path,
    checkpoint: Path,
    cancelled: Cancel,
    added: Sequence[int] = (),
    ranks: Ranks | None = None,
    *,
    spills: bool = True,
    veil: Veil | None = None,
) -> Generator[Progress, None, FitResult]:
    """Train, and write the averaged (EMA) weights.

    Parameters
    ----------
    plan
        Network and preprocessing; when tuning, the base model version's.
    examples, held_out
        To learn from, and to measure on every `settings.validate_every` steps.
    start
        Base weights (safetensors), which are only read; None to start from scratch.
    out
        Where the new weights go (safetensors).
    checkpoint
        Folder for the state of the run. When it holds one of the very same run (plan, settings,
        examples and base weights; the device and what is held out may differ), training goes on from there, exactly.
    cancelled
        Asked before every step.
    added
        Label ids of the plan that the base never learned.
    ranks
        Who computes together; by default this process alone.
    spills
        Whether scans that memory has no room for may lie in a temporary file, as they are.
    veil
        As of `Predictor`, for what is measured on the way.

    Yields
    ------
    Progress every 10 steps or about every second, with the mean loss since the last report.

    Raises
    ------
    ModelError
        There is no new known voxel to learn from, or weights, channels or labels do not fit the plan.
    RunError
        Loss or gradient is not finite, or there is too little memory; the checkpoint is kept.
    Cancelled
        `cancelled` said so; the checkpoint is kept.
    """
    if start is not None and start.resolve() == out.resolve():
        raise ModelError("The base weights are never overwritten: give the new weights a path of their own.")
    ranks = ranks or Ranks()
    fresh = sum(not e.replay and bool(e.status.any()) for e in examples)
    settings = settings.for_cases(fresh)
    with memory_errors():
        device = choose_device(settings.device)
        with _away(sum(foretold_bytes(e, plan) for e in examples), spills=spills) as away:
            cases, damaged = yield from _prepare(plan, examples, settings, device, cancelled, away, ranks)
        examples = [e for e in examples if e.revision not in damaged]
        taught = [e for e, c in zip(examples, cases, strict=True) if c.any_known.size]
        nothing = [e.revision for e in examples if e not in taught]
        feed = Feed(cases, plan, settings, device, ranks)
        module = quicken(_network(plan, start, settings.seed).to(device), device)
        teacher = _teacher(plan, start, settings, taught, added, device)
        stepper = _stepper(plan, settings, module, teacher, _open_rows(plan, examples, device), ranks)
        run = Training(
            plan, settings, module, stepper.optimiser, stepper, feed, held_out[:MOST_MEASURED], device, ranks,
            checkpoint, _keys(plan, settings, start, examples, held_out), cancelled, veil,
            None if start else _measurable(taught, held_out[:MOST_MEASURED]),
        )  # fmt: skip
        run.notes.extend([_ON_DISK] if away else [])
        run.notes.extend(f"Not in this run: {r} ({why})." for r, why in damaged.items())
        run.notes.extend(f"Nothing of {r} is taught: it leaves no voxel of the model's grid known." for r in nothing)
        for note in run.notes:
            yield Progress(0, settings.steps, note)
        yield from run.resume()
        if settings.minutes and run.pace is None:
            yield from run.plan_ahead()
        yield from run.train()
    if ranks.first:
        weights.write(run.optimiser.average, out, then=weights.RESUME)
    return _result(run, (*damaged, *nothing))


def _measurable(taught: Sequence[Example], held_out: Sequence[Example]) -> frozenset[int]:
    """Labels of held-out examples that training from nothing is shown; others it cannot find."""
    return labels_taught(taught, frozenset[int]().union(*(e.labels_shown() for e in held_out)))


def _stepper(
    plan: Plan, settings: TrainSettings, module: Network, teacher: Teacher | None, open_rows: Sequence[torch.Tensor],
    ranks: Ranks,
) -> Stepper:  # fmt: skip
    """What makes a step, of as many patches at once as there is memory for."""
    device = next(module.parameters()).device
    each = ranks.batch(plan.batch) // ranks.count
    micro = affordable(need(module, plan, taught=teacher is not None), each, device)
    return Stepper(module, Optimiser(module, settings, device, ranks), settings, open_rows, teacher, ranks, micro)


def _result(run: Training, left_out: tuple[str, ...]) -> FitResult:
    loss = run.history[-1][1] if run.history else float("nan")
    measured = [d for _, _, d in run.history if d is not None]
    last = measured[-1] if measured else None
    how = run.settings, tuple(run.notes), left_out
    return FitResult(run.step, run.seconds, loss, last, tuple(run.history), *how)


def _teacher(
    plan: Plan, start: Path | None, settings: TrainSettings, examples: Sequence[Example], added: Sequence[int],
    device: torch.device,
) -> Teacher | None:  # fmt: skip
    """The base, unless its own scans are there to be replayed, or all was looked at."""
    replayed = settings.replay_share > 0 and any(e.replay and e.status.any() for e in examples)
    if start is None or not settings.distil or replayed or all(e.status.all() for e in examples):
        return None
    rows = [plan.labels.index(label) + 1 for label in added]
    return Teacher(_network(plan, start, settings.seed).to(device), rows, settings.distil_temperature)


def _open_rows(plan: Plan, examples: Sequence[Example], device: torch.device) -> list[torch.Tensor]:
    """The rows of the labels in each set, and background; as numbers, since a GPU would be waited for at every mask."""
    sets = next((e.open.sets for e in examples if e.open is not None), ())[:MOST_OPEN]
    rows = ([0, *sorted({plan.labels.index(n) + 1 for n in labels if n in plan.labels})] for labels in sets)
    return [torch.tensor(r, device=device) for r in rows]


def _network(plan: Plan, start: Path | None, seed: int) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = build(plan)
    if start is not None:
        weights.load(module, start)
    return module


def _prepare(
    plan: Plan, examples: Sequence[Example], settings: TrainSettings, device: torch.device, cancelled: Cancel,
    away: OnDisk | None, ranks: Ranks,
) -> Generator[Progress, None, tuple[list[Prepared], dict[str, str]]]:  # fmt: skip
    """Decode every example once, and keep all on the device unless they would fill it.

    Also returned are the revisions whose scans are damaged, with what is wrong. They keep nobody from learning from
    the others.
    """
    cases, damaged = list[Prepared](), dict[str, StudyError]()
    for number, example in enumerate(examples, 1):
        if cancelled():
            raise Cancelled("Training was cancelled before its first step.")
        yield Progress(0, settings.steps, f"Reading scan {number} of {len(examples)}")
        try:
            case = prepare(example, plan)
            cases.append(case.moved(away.put) if away else case)
        except StudyError as error:
            if ranks.many:  # each would find out for itself, and they would go on with other scans than each other
                raise
            damaged[example.revision] = error
    if damaged and all(case.replay for case in cases):
        raise next(iter(damaged.values()))
    if away:
        cases = [case.moved(away.take) for case in cases]
    return kept_near(cases, device), {r: str(error).removesuffix(".") for r, error in damaged.items()}


def _away(size: int, *, spills: bool) -> OnDisk | nullcontext[None]:
    """Where scans to learn from of so many bytes are kept: None for memory, if there is enough of it."""
    if fits(size):
        return nullcontext()
    if not spills or size > free_disk():
        refuse_too_many("The scans to learn from", size)
    return OnDisk()


def _keys(
    plan: Plan,
    settings: TrainSettings,
    start: Path | None,
    examples: Sequence[Example],
    held_out: Sequence[Example],
) -> tuple[str, str]:
    """Digests of what makes a run this run; revisions never change, so their names stand for their voxels.

    Held-out scans change no weight, so a run goes on although one of them broke. Before that was so they were among
    the facts: the second digest is of these.
    """
    facts = {
        "plan": plan.to_json(),
        # runs of before there was a choice of optimiser go on
        "settings": {k: v for k, v in settings.to_json().items() if k != "device" and BEFORE_A_CHOICE.get(k) != v},
        "start": hashlib.sha256(start.read_bytes()).hexdigest() if start is not None else None,
        "examples": [(e.revision, e.replay) for e in examples],
        "open": next((e.open.sets for e in examples if e.open is not None), ()),
    }
    return _digest(facts), _digest({**facts, "held_out": [e.revision for e in held_out]})


def _digest(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
