"""Training: one generator for the first model and for every fine-tuning."""

import hashlib
import json
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from napari_apprentice.core.config import PredictSettings, TrainSettings
from napari_apprentice.core.plan import Plan
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import Example
from napari_apprentice.errors import Cancelled, ModelError, RunError
from napari_apprentice.learn import checkpoint as checkpoints
from napari_apprentice.learn import weights
from napari_apprentice.learn.augment import augment
from napari_apprentice.learn.checkpoint import Checkpoint, Point
from napari_apprentice.learn.device import autocast, choose_device, free_bytes, memory_errors
from napari_apprentice.learn.evaluate import scores
from napari_apprentice.learn.loss import loss as masked_loss
from napari_apprentice.learn.network import Network, build
from napari_apprentice.learn.optimiser import Optimiser, not_finite
from napari_apprentice.learn.patches import Batch, PatchSampler
from napari_apprentice.learn.predictor import Predictor
from napari_apprentice.learn.prepared import Prepared, prepare

Cancel = Callable[[], bool]

REPORT_EVERY = 10  # steps
# The curve needs no more scans than this; the gate measures all of them afterwards.
MOST_MEASURED = 10


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
        Mean held-out Dice at the end; None without held-out examples.
    history
        (step, mean loss, held-out Dice or None) per report.
    """

    steps: int
    seconds: float
    loss: float
    dice: float | None
    history: tuple[Point, ...]


def fit(
    plan: Plan,
    examples: Sequence[Example],
    held_out: Sequence[Example],
    settings: TrainSettings,
    start: Path | None,
    out: Path,
    checkpoint: Path,
    cancelled: Cancel,
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
        Folder for the state of the run. When it holds one of the very same run (plan, settings, data
        and base weights; the device may differ), training goes on from there, exactly.
    cancelled
        Asked before every step.

    Yields
    ------
    Progress every 10 steps or about every second, with the mean loss since the last report.

    Raises
    ------
    ModelError
        There is no known voxel to learn from, or weights, channels or labels do not fit the plan.
    RunError
        Loss or gradient is not finite, or the GPU's memory is too small; the checkpoint is kept.
    Cancelled
        `cancelled` said so; the checkpoint is kept.
    """
    if start is not None and start.resolve() == out.resolve():
        raise ModelError("The base weights are never overwritten: give the new weights a path of their own.")
    with memory_errors():
        device = choose_device(settings.device)
        cases = yield from _prepare(plan, examples, settings, device, cancelled)
        sampler = PatchSampler(cases, plan.patch, plan.batch, settings.replay_share)
        module = _network(plan, start, settings.seed).to(device)
        run = _Run(plan, settings, module, Optimiser(module, settings, device), device, checkpoint)
        run.resume(_key(plan, settings, start, examples, held_out))
        yield from run.train(sampler, held_out[:MOST_MEASURED], cancelled)
    weights.write(run.optimiser.average, out)
    return run.result()


@dataclass(eq=False)
class _Run:
    """A run while it runs; the one thing here that changes."""

    plan: Plan
    settings: TrainSettings
    module: Network
    optimiser: Optimiser
    device: torch.device
    folder: Path
    key: str = ""
    step: int = 0
    before: float = 0.0  # seconds of the parts that were resumed
    began: float = field(default_factory=time.monotonic)
    history: list[Point] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return self.before + time.monotonic() - self.began

    def resume(self, key: str) -> None:
        self.key = key
        state = checkpoints.read(self.folder, key)
        if state is not None:
            self.optimiser.restore(state.tensors, state.scale)
            self.step, self.before, self.history = state.step, state.seconds, list(state.history)

    def keep(self) -> None:
        checkpoints.write(
            self.folder,
            Checkpoint(
                self.key, self.step, self.seconds, self.optimiser.scale, tuple(self.history),
                self.optimiser.state(),
            ),
        )  # fmt: skip

    def train(
        self, sampler: PatchSampler, held_out: Sequence[Example], cancelled: Cancel
    ) -> Generator[Progress, None, None]:
        losses: list[float] = []
        first, began, told = self.step, time.monotonic(), time.monotonic()
        total = self.settings.steps
        while self.step < total:
            if cancelled():
                self.keep()
                raise Cancelled(f"Training was cancelled after {self.step} of {total} steps; it can go on later.")
            losses.append(self._one(sampler))
            measure = self.step % self.settings.validate_every == 0 or self.step == total
            if measure or self.step % REPORT_EVERY == 0 or time.monotonic() - told >= 1:
                dice = self._measure(held_out, cancelled) if measure else None
                self.history.append((self.step, float(np.mean(losses)), dice))
                left = (time.monotonic() - began) / (self.step - first) * (total - self.step)
                yield Progress(self.step, total, "Training", self.history[-1][1], dice, left)
                losses, told = [], time.monotonic()
            if measure:
                self.keep()

    def _one(self, sampler: PatchSampler) -> float:
        """One step; everything random comes from the seed and the step's number."""
        rng = np.random.default_rng([self.settings.seed, self.step])
        noise = torch.Generator(self.device).manual_seed(self.settings.seed * 1_000_003 + self.step)
        batch = _moved(sampler.draw(rng), self.device)
        if self.settings.augment:
            batch = augment(batch, self.plan, rng, noise)
        self.module.train()
        with autocast(self.device):
            logits = self.module(batch.voxels)
        weight = torch.where(batch.edited, self.settings.edited_weight, 1.0)
        value = masked_loss(logits, batch.target, weight)
        number = float(value.detach())
        if not np.isfinite(number):
            raise RunError(not_finite("loss", self.step))
        self.optimiser.step(value, self.step)
        self.step += 1
        return number

    def _measure(self, held_out: Sequence[Example], cancelled: Cancel) -> float | None:
        """Mean Dice of the averaged weights; less overlap than a real prediction, since it is only a curve."""
        if not held_out:
            return None
        average = build(self.plan)
        weights.assign(average, self.optimiser.average, "the averaged weights")
        predictor = Predictor.of(self.plan, average, self.device)
        found = scores(predictor, held_out, PredictSettings(quality="draft"), cancelled)
        return float(np.mean([s.dice for s in found])) if found else None

    def result(self) -> FitResult:
        loss = self.history[-1][1] if self.history else float("nan")
        measured = [d for _, _, d in self.history if d is not None]
        last = measured[-1] if measured else None
        return FitResult(self.step, self.seconds, loss, last, tuple(self.history))


def _network(plan: Plan, start: Path | None, seed: int) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = build(plan)
    if start is not None:
        weights.load(module, start)
    return module


def _prepare(
    plan: Plan, examples: Sequence[Example], settings: TrainSettings, device: torch.device, cancelled: Cancel
) -> Generator[Progress, None, list[Prepared]]:
    """Decode every example once, and keep it on the device unless it would fill it."""
    size = sum(e.voxels.size * 2 + e.labels.size * 2 for e in examples)
    free = free_bytes(device)
    home = torch.device("cpu") if free is not None and size > 0.3 * free else device
    cases = []
    for number, example in enumerate(examples, 1):
        if cancelled():
            raise Cancelled("Training was cancelled before its first step.")
        yield Progress(0, settings.steps, f"Reading scan {number} of {len(examples)}")
        cases.append(prepare(example, plan, home))
    return cases


def _moved(batch: Batch, device: torch.device) -> Batch:
    return Batch(batch.voxels.to(device), batch.target.to(device), batch.edited.to(device))


def _key(
    plan: Plan,
    settings: TrainSettings,
    start: Path | None,
    examples: Sequence[Example],
    held_out: Sequence[Example],
) -> str:
    """Digest of what makes a run this run; revisions never change, so their names stand for their voxels."""
    facts = {
        "plan": plan.to_json(),
        "settings": {k: v for k, v in settings.to_json().items() if k != "device"},
        "start": hashlib.sha256(start.read_bytes()).hexdigest() if start is not None else None,
        "examples": [(e.revision, e.replay) for e in examples],
        "held_out": [e.revision for e in held_out],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
