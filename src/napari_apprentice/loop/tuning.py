"""The training verbs of the parent process: make a run, start it, follow it."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from napari_apprentice.core.config import TrainSettings
from napari_apprentice.core.gate import GateReport
from napari_apprentice.core.progress import Progress
from napari_apprentice.errors import InputError, RunError
from napari_apprentice.loop.exporting import active_model
from napari_apprentice.loop.launch import follow, is_running, outcome, start_training
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study

TRAINING = ("train", "fine-tune")


@dataclass(frozen=True)
class TuneReport:
    """How a training run ended: the new model version, whether it is active, and the gate's table."""

    run_id: str
    model: str
    active: bool
    gate: GateReport | None
    steps: int
    seconds: float

    @property
    def verdict(self) -> str:
        """One sentence for a person."""
        if self.gate is None:
            return f"{self.model} is the first model version and is now active."
        if self.active:
            return f"{self.model} is now active: {self.gate.reason}."
        return f"{self.model} is kept as a candidate, not active: {self.gate.reason}."


def begin_training(
    study: Study, kind: str, settings: TrainSettings, *, memory_mb: float = 1500.0, features: int = 16
) -> RunFolder:
    """Make the run folder of a training run and start its process.

    Parameters
    ----------
    kind
        "train" for a first model version from nothing, "fine-tune" from the base of the active one.
    memory_mb, features
        Budget of a first model's network; a fine-tune keeps its base's plan.

    Raises
    ------
    RunError
        A training run of this study is under way.
    """
    busy = running_training(study)
    if busy is not None:
        raise RunError(f"Run {busy.run_id} is still training in this study; wait for it or cancel it first.")
    base = study.models.base_of(active_model(study)) if kind == "fine-tune" else None
    return study.runs.create(
        kind,
        {"study": str(study.path.resolve()), "base": base, "settings": settings.to_json(),
         "memory_mb": memory_mb, "features": features},
    )  # fmt: skip


def follow_training(run: RunFolder) -> Generator[Progress, None, TuneReport]:
    """Start a run, or find it again, or resume it from its checkpoint; yield its progress to the end."""
    process = None
    offset = 0
    if not is_running(run):
        events, offset = run.events(0)
        ended = outcome(events)
        if ended is not None and ended["event"] == "done":
            return _report(run, ended["result"])
        run.withdraw_cancel()
        process = start_training(run)
    result = yield from follow(run, process, offset)
    return _report(run, result)


def running_training(study: Study) -> RunFolder | None:
    """The training run of this study that a process works on now."""
    runs = (study.runs.open(i) for i in reversed(study.runs.ids()))
    return next((r for r in runs if r.kind in TRAINING and is_running(r)), None)


def resumable_training(study: Study) -> RunFolder | None:
    """The newest training run, if it was cancelled or killed and has a checkpoint to go on from."""
    runs = [r for r in (study.runs.open(i) for i in study.runs.ids()) if r.kind in TRAINING]
    if not runs or is_running(runs[-1]) or not (runs[-1].path / "checkpoint").exists():
        return None
    ended = outcome(runs[-1].events(0)[0])
    return runs[-1] if ended is None or ended["event"] == "cancelled" else None


def find_run(study: Study, run_id: str) -> RunFolder:
    """A training run by its id."""
    if run_id not in study.runs.ids():
        raise InputError(f"There is no run {run_id} in this study.")
    return study.runs.open(run_id)


def _report(run: RunFolder, result: dict[str, Any]) -> TuneReport:
    gate = GateReport.from_json(result["gate"]) if result["gate"] else None
    return TuneReport(run.run_id, result["model"], result["active"], gate, result["steps"], result["seconds"])
