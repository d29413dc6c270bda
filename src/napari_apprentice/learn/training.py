"""A training run while it runs: steps, reports, checkpoints."""

import math
import time
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from napari_apprentice.core.config import PredictSettings, TrainSettings
from napari_apprentice.core.gate import CaseScore
from napari_apprentice.core.plan import Plan
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import Example
from napari_apprentice.errors import Cancelled, RunError
from napari_apprentice.learn import checkpoint as checkpoints
from napari_apprentice.learn import weights
from napari_apprentice.learn.checkpoint import Checkpoint, Point, Settled
from napari_apprentice.learn.evaluate import Thrift, case_scores, label_map
from napari_apprentice.learn.feed import Feed
from napari_apprentice.learn.network import Network, build
from napari_apprentice.learn.on_disk import Veil
from napari_apprentice.learn.optimiser import Optimiser, rate
from napari_apprentice.learn.pace import Pace, plan_pace, time_prediction, time_steps
from napari_apprentice.learn.patches import Batch
from napari_apprentice.learn.predictor import Predictor
from napari_apprentice.learn.quick import quicken
from napari_apprentice.learn.ranks import Ranks
from napari_apprentice.learn.resample import target_shape
from napari_apprentice.learn.stepper import Stepper

Cancel = Callable[[], bool]

REPORT_EVERY = 10  # steps
KEEP_SECONDS = 60.0  # a killed run loses no more than this
# The curve needs no more scans than this; the gate measures all of them afterwards.
MOST_MEASURED = 10
# Less overlap than a real prediction: it is only a curve.
CURVE = PredictSettings(quality="draft")


@dataclass(eq=False)
class Training:
    """A run while it runs; the one thing in this room that changes.

    Parameters
    ----------
    plan, settings
        As given to `trainer.fit`; a number of steps among them, unless there is a time budget.
    module, optimiser, stepper, feed
        What makes a step.
    held_out
        Examples to measure on.
    device, ranks
        Where it is computed, and by whom.
    folder, keys
        Of the checkpoint, and what it may belong to; a new one belongs to the first.
    cancelled
        Asked before every step.
    veil
        As of `Predictor`, when it is measured.
    taught
        Label ids that count when it is measured, others were never shown; None for all.
    """

    plan: Plan
    settings: TrainSettings
    module: Network
    optimiser: Optimiser
    stepper: Stepper
    feed: Feed
    held_out: Sequence[Example]
    device: torch.device
    ranks: Ranks
    folder: Path
    keys: tuple[str, ...]
    cancelled: Cancel
    veil: Veil | None = None
    taught: Collection[int] | None = None
    began: float = field(default_factory=time.monotonic)
    step: int = 0
    before: float = 0.0  # seconds of the parts that were resumed
    calmed: int = 0
    pace: Pace | None = None
    history: list[Point] = field(default_factory=list)
    _drawn: Batch | None = field(default=None, init=False)  # of the next step
    _curve: Thrift = field(default_factory=lambda: Thrift(CURVE), init=False)

    @property
    def seconds(self) -> float:
        """How long it has taken, resumed parts included."""
        return self.before + time.monotonic() - self.began

    @property
    def every(self) -> int:
        """Steps between two measurements; 0 without any."""
        return self.pace.every if self.pace else self.settings.validate_every

    @property
    def notes(self) -> list[str]:
        """Sentences for the person, about what the run settled by itself."""
        return self.stepper.notes

    def resume(self) -> Generator[Progress, None, None]:
        """Go on from the folder's checkpoint, where it has one of this very run; tell what is not as it was left."""
        state, told = checkpoints.read(self.folder, *self.keys)
        if state is not None:
            self._restore(state)
        if told:
            self.notes.append(told)
            if state is not None:
                self.keep()  # in place of the damaged one, which must not come to be the one before
            elif self.ranks.first:
                checkpoints.put_aside(self.folder)
            yield Progress(self.step, self.settings.steps, told)

    def _restore(self, state: Checkpoint) -> None:
        self.optimiser.restore(state.tensors, state.scale)
        self.step, self.before, self.history = state.step, state.seconds, list(state.history)
        how = state.how
        self.calmed, self.stepper.micro = how.calmed, how.micro or self.stepper.micro
        self.notes[:] = how.notes
        if how.calmed:
            self.notes.append(f"Went on from step {self.step} with the learning rate halved {how.calmed}x.")
        if how.pace:
            self._take(how.pace)

    def keep(self) -> None:
        """Write a checkpoint."""
        if not self.ranks.first:
            return
        how = Settled(self.pace, self.stepper.micro, self.calmed, tuple(self.notes))
        state = Checkpoint(
            self.keys[0], self.step, self.seconds, self.optimiser.scale, tuple(self.history),
            self.optimiser.state(), how,
        )  # fmt: skip
        checkpoints.write(self.folder, state)

    def plan_ahead(self) -> Generator[Progress, None, None]:
        """Find out how many steps fit into the time budget, by trying some that are then forgotten."""
        budget = 60 * self.settings.minutes
        yield Progress(0, 0, "Measuring how long a step takes")
        seconds = self._trial(budget)
        measuring = self._trial_measurement(budget)
        left = max(budget - self.seconds, 0.0)
        pace = plan_pace(left, seconds, measuring, self.settings.validate_every)
        told = self.ranks.same([pace.steps, pace.every, pace.step_seconds, pace.measure_seconds], self.device)
        self._take(Pace(int(told[0]), int(told[1]), told[2], told[3]))
        assert self.pace is not None  # just taken; for the type checker
        after = " What is compared on held-out scans afterwards comes on top." if self.held_out else ""
        self.notes.append(self.pace.sentence(self.settings.minutes) + after)
        self.keep()  # a run that is killed from here on keeps to the plan
        yield Progress(0, self.settings.steps, self.notes[-1])

    def _take(self, pace: Pace) -> None:
        self.pace = pace
        self.settings = replace(self.settings, steps=pace.steps)

    def _trial(self, budget: float) -> float:
        """Seconds of a step; at a rate of 0 it moves no weight, and its momentum is thrown away."""
        real = self.optimiser
        try:
            self.optimiser = Optimiser(self.module, self.settings, self.device, self.ranks)
            self.stepper.optimiser = self.optimiser
            return self.ranks.same([time_steps(self._try, budget, self._agree)], self.device)[0]
        finally:
            self.optimiser = self.stepper.optimiser = real
            real.clear()

    def _trial_measurement(self, budget: float) -> float:
        """Seconds of a measurement, from one scan or a part of it: all of them may take longer than the budget."""
        if not self.held_out or not self.ranks.first:
            return 0.0
        first = self.held_out[0]
        averaged = self._averaged()
        seconds = self._curve.made(
            lambda how: time_prediction(averaged.predict(first.source, how, self.cancelled), budget)
        )
        return seconds * sum(map(self._voxels, self.held_out)) / self._voxels(first)

    def _voxels(self, example: Example) -> int:
        """Of a scan, on the plan's grid."""
        z, y, x = example.shape
        return math.prod(target_shape((z, y, x), example.spacing, self.plan.spacing))

    def _agree(self, said: bool) -> bool:
        return self.ranks.any(said, self.device)

    def _try(self, number: int) -> None:
        self._refuse_cancelled()
        loss = self.stepper.gradient(self.feed.batch(number), number)
        self.optimiser.step(number, 0.0, loss)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def train(self) -> Generator[Progress, None, None]:
        """All steps that are left."""
        losses: list[float] = []
        first, began, told, kept = self.step, time.monotonic(), time.monotonic(), time.monotonic()
        total = self.settings.steps
        while self.step < total:
            self._refuse_cancelled()
            noted = len(self.notes)
            losses.append(self._one())
            measure = bool(self.every) and (self.step % self.every == 0 or self.step == total)
            if measure or self.step % REPORT_EVERY == 0 or self.step == total or time.monotonic() - told >= 1:
                dice = (yield from self._measure_or_keep()) if measure else None
                self.history.append((self.step, float(np.mean(losses)), dice))
                left = (time.monotonic() - began) / (self.step - first) * (total - self.step)
                yield Progress(self.step, total, "Training", self.history[-1][1], dice, left)
                losses, told = [], time.monotonic()
            if len(self.notes) > noted:
                yield Progress(self.step, total, self.notes[-1])
            if measure or self.step == total or time.monotonic() - kept > KEEP_SECONDS:
                self.keep()
                kept = time.monotonic()

    def _refuse_cancelled(self) -> None:
        if not self._agree(self.cancelled()):
            return
        if self.settings.minutes and self.pace is None:
            raise Cancelled("Training was cancelled before its first step.")
        self.keep()
        raise Cancelled(f"Training was cancelled after {self.step} of {self.settings.steps} steps; it can go on later.")

    def _one(self) -> float:
        number, batch = self.step, self._drawn or self.feed.batch(self.step)
        try:
            loss = self.stepper.gradient(batch, number)
            # drawn before anybody waits for this step: a GPU computes it meanwhile
            self._drawn = self.feed.batch(number + 1) if number + 1 < self.settings.steps else None
            value = self.optimiser.step(number, rate(number, self.settings) * 0.5**self.calmed, loss)
        except RunError as error:
            if self.ranks.first:
                raise RunError(f"{error} {_way_on(checkpoints.calm(self.folder))}") from error
            raise
        self.step += 1
        return value

    def _measure_or_keep(self) -> Generator[Progress, None, float | None]:
        try:
            return (yield from self._measure())
        except Cancelled:
            self.keep()
            raise

    def _measure(self) -> Generator[Progress, None, float | None]:
        """Mean Dice of the averaged weights, of labels where they are; None where none is."""
        if not self.held_out or not self.ranks.first:
            return None
        averaged, found, count = self._averaged(), list[CaseScore](), len(self.held_out)
        for number, example in enumerate(self.held_out, 1):
            yield Progress(self.step, self.settings.steps, f"Measuring on held-out scan {number} of {count}")
            found += case_scores(label_map(averaged, example, self._curve, self.cancelled), example, averaged.labels)
        shown = [s.dice for s in found if s.size and (self.taught is None or s.label in self.taught)]
        return float(np.mean(shown)) if shown else None

    def _averaged(self) -> Predictor:
        average = build(self.plan)
        weights.assign(average, self.optimiser.average, "the averaged weights")
        return Predictor.of(self.plan, quicken(average, self.device), self.device, self.veil)


def _way_on(kept: int | None) -> str:
    """What to do about a run that went astray, by the step of the checkpoint that it has; None without one."""
    if kept is None:
        return "There is no checkpoint yet to go on from: start a new run, with a lower learning rate."
    return (
        f"The checkpoint of step {kept} is kept, and resuming goes on from it with half the learning rate. Should it "
        "happen again, look for scans with extreme values."
    )
