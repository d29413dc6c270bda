"""How many steps fit into a time."""

import statistics
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from napari_apprentice.core.config import STEPS_LIMIT
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.slabs import PredictedSlab

UNCOUNTED = 2  # steps: the first ones also fetch memory and choose algorithms
COUNTED = 5
TRIAL_SHARE = 0.05  # of the time, for each trial: of slow steps and predictions less is timed
MEASURE_SHARE = 0.15  # of the time that may go into measuring on held-out scans


@dataclass(frozen=True)
class Pace:
    """What was planned for a time budget.

    Parameters
    ----------
    steps
        Optimiser steps.
    every
        Steps between two measurements on held-out scans; 0 leaves them to the gate.
    step_seconds, measure_seconds
        What a step and a measurement took when they were tried.
    """

    steps: int
    every: int
    step_seconds: float
    measure_seconds: float

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def sentence(self, minutes: float) -> str:
        """For a person."""
        each = f"{self.step_seconds:.0f} s" if self.step_seconds >= 10 else f"{self.step_seconds:.2g} s"
        time_given = f"{minutes:g} minute{'' if minutes == 1 else 's'}"
        if self.step_seconds > 60 * minutes:
            return f"A step takes {each}, which is more than {time_given}: a single one is trained."
        if self.steps == STEPS_LIMIT:
            return f"{self.steps} steps of {each}, the most of one run, take no longer than {time_given}."
        if self.steps == 1:
            return f"1 step of {each} fits into {time_given}."
        return f"{self.steps} steps of {each} fit into {time_given}."


def plan_pace(left: float, step_seconds: float, measure_seconds: float, every: int) -> Pace:
    """Fill the time that is left.

    Parameters
    ----------
    left
        Seconds.
    step_seconds, measure_seconds
        Of one step, and of one measurement on held-out scans (0 without any).
    every
        Steps between two measurements where time allows; further apart where they would take over 15 % of it.
    """
    most = int(MEASURE_SHARE * left / measure_seconds) if measure_seconds > 0 else 0
    steps = _within(left / step_seconds)
    if most == 0:
        return Pace(steps, 0, step_seconds, measure_seconds)
    every = max(every, -(-steps // most))
    steps = _within(left / (step_seconds + measure_seconds / every))
    return Pace(steps, every, step_seconds, measure_seconds)


def _within(steps: float) -> int:
    """A number of steps that a run can have: at least one, so that something is learned."""
    return max(1, int(min(steps, STEPS_LIMIT)))


def time_steps(step: Callable[[int], None], budget: float, agree: Callable[[bool], bool]) -> float:
    """Seconds of one step (the median), from a few.

    Parameters
    ----------
    step
        Does the step of a number.
    budget
        Seconds of the whole run; the trial ends when it has taken its share of them.
    agree
        Makes one answer of those of all processes of a run.
    """
    began, counted, late = time.monotonic(), list[float](), False
    for number in range(UNCOUNTED + COUNTED):
        start = time.monotonic()
        step(number)
        late = agree(time.monotonic() - began > TRIAL_SHARE * budget)
        if number >= UNCOUNTED or late:
            counted.append(time.monotonic() - start)
        if late:
            break
    return statistics.median(counted)


def time_prediction(reports: Generator[Progress | PredictedSlab, None, Any], budget: float) -> float:
    """Seconds of a prediction, from as many of its windows as may be tried.

    Parameters
    ----------
    reports
        Makes the prediction; it is closed when its trial has taken its share of the time.
    budget
        Seconds of the whole run.
    """
    began, done = time.monotonic(), 1.0
    with closing(reports):
        for report in reports:
            if isinstance(report, Progress):
                done = report.done / report.total
            if time.monotonic() - began > TRIAL_SHARE * budget:
                break
    return (time.monotonic() - began) / done
