"""The training verbs of the parent process: make a run, start it, follow it."""

import subprocess
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

from napari_apprentice.core.config import BEFORE_A_CHOICE, TrainSettings, as_stored_now
from napari_apprentice.core.gate import GateReport
from napari_apprentice.core.progress import Progress
from napari_apprentice.errors import Cancelled, ModelError, RunError, StorageError, StudyError
from napari_apprentice.loop.begun import Begun, newest_revisions, nothing_to_learn, without_revisions
from napari_apprentice.loop.child import started
from napari_apprentice.loop.exporting import active_model
from napari_apprentice.loop.launch import (
    ending,
    follow,
    has_not_begun,
    host_elsewhere,
    is_running,
    is_silent,
    outcome,
    silent_error,
    start_training,
)
from napari_apprentice.store.names import run_kind
from napari_apprentice.store.presence import STALE_SECONDS
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study

TRAINING = ("train", "fine-tune")


@dataclass(frozen=True)
class TuneReport:
    """How a training run ended: the new model version, whether it is active, and the gate's table.

    `notes` are sentences about what the run settled by itself; `instead` is the active model version where that is
    another one.
    """

    run_id: str
    model: str
    active: bool
    gate: GateReport | None
    steps: int
    seconds: float
    notes: tuple[str, ...] = ()
    instead: str = ""

    @property
    def outcome(self) -> str:
        """What became of the new model version, without the reason."""
        return f"{self.model} is now active." if self.active else f"{self.model} is kept as a candidate, not active."

    @property
    def verdict(self) -> str:
        """One sentence for a person, with the reason."""
        if self.active and self.gate is None:
            return f"{self.model} is the first active model version."
        if self.active and self.gate:
            return f"{self.model} is now active: {self.gate.told}."
        kept = f"{self.model} is kept as a candidate, not active"
        if self.gate and not self.gate.passed:
            return f"{kept}: {self.gate.told}."
        passed = f"it passed the gate, {self.gate.told}, but " if self.gate else ""
        if self.gate and self.instead == self.gate.compared_with:
            return f"{kept}: {passed}somebody went back to {self.instead} since. Activate {self.model} to use it."
        return (
            f"{kept}: {passed}{self.instead} became active meanwhile, and the two were not compared. Activate "
            f"{self.model} by its name if it is better."
        )


def begin_training(
    study: Study, kind: str, settings: TrainSettings, *, memory_mb: float = 1500.0, features: int = 16
) -> RunFolder:
    """Make the run folder of a training run; `follow_training` starts its process.

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
    _refuse_second(study)
    return study.runs.create(
        kind,
        {"base": _base(study, kind), "settings": settings.to_json(), "memory_mb": memory_mb, "features": features},
    )


def follow_training(
    run: RunFolder, *, take_over: bool = False, news_only: bool = False
) -> Generator[Progress, None, TuneReport]:
    """Start a run, or find it again, or resume it from its checkpoint; yield its progress to the end.

    Parameters
    ----------
    take_over
        Whether to go on also with a run of another computer that has gone silent.
    news_only
        Of a run that is found again, whether to leave out what it has reported already.
    """
    process = None
    offset = 0
    running = is_running(run)  # asked before reading: the last words are read after the end
    events, told = run.events(0)
    ended = outcome(events)
    if not running:
        if ended is not None and ended["event"] == "done":
            return _report(run, ended["result"])
        process, offset = _start_alone(run, take_over=take_over), told
    elif news_only and ended is None:
        offset = told
    result = yield from follow(run, process, offset)
    return _report(run, result)


def stop_training(run: RunFolder) -> Generator[Progress, None, TuneReport]:
    """Ask a run to stop and follow it to its end: Cancelled, or its report when it was done already."""
    run.cancel()
    if not is_running(run) and has_not_begun(run.events(0)[0]):
        # Ctrl-C came before a process had said that it is there; should one be, it finds the request to stop.
        raise Cancelled(f"Run {run.run_id} was stopped before its process began.")
    result = yield from follow(run)
    return _report(run, result)


def _start_alone(run: RunFolder, *, take_over: bool) -> "subprocess.Popen[bytes]":
    """Start a run's process, unless another run of the study was started in the meantime."""
    study = Study.open(run.study_path, run.vault.key)
    try:
        with study.runs.alone():
            _refuse_second(study)
            if is_silent(run) and not take_over:
                raise silent_error(run)
            if not run.events()[0]:
                _refuse_untaught(study, run.request["base"])
            run.withdraw_cancel()
            process = start_training(run)
            run.emit(started(process.pid))
            return process
    except (RunError, ModelError, StudyError):
        if not run.events()[0]:  # it never began: nobody shall be offered to resume it
            study.runs.discard(run.run_id)
        raise


def _refuse_untaught(study: Study, base: str | None) -> None:
    """Refuse where nobody has corrected anything, or not since; what else keeps a run from learning, its process says.

    What the base was measured on is nothing new as long as no subject was moved.
    """
    version = study.models.info(base) if base else None
    old = frozenset((*version.revisions, *version.held_out)) if version else frozenset[str]()
    if set(newest_revisions(study)) <= old and not study.split.moves() and not any(without_revisions(study)):
        why = nothing_to_learn(first=base is None)
        raise ModelError(f"{why}: correct a scan, accept what is right and save it first.")


def _refuse_second(study: Study) -> None:
    busy = running_training(study)
    if busy is not None:
        raise busy_error(busy)


def busy_error(run: RunFolder) -> RunError:
    """Why no second training run is begun, and a running one is not gone on with."""
    host = host_elsewhere(run)
    where = f" on {host}" if host else ""
    end = f"; it counts as ended when {host} gives no sign of it for {STALE_SECONDS / 60:.0f} minutes" if host else ""
    return RunError(
        f"Run {run.run_id} is still training in this study{where}; wait for it or cancel it first{end}. In a terminal, "
        f"apprentice {run.kind} STUDY --resume follows it, and Ctrl-C there stops it."
    )


def running_training(study: Study) -> RunFolder | None:
    """The training run of this study that a process works on now."""
    return next((run for run in _trainings(study) if run is not None and is_running(run)), None)


def resumable_training(study: Study) -> RunFolder | None:
    """The newest training run, if it was cancelled or killed, or failed with a checkpoint or for want of room.

    It goes on from its last checkpoint; from the start when it had not come to one.
    """
    newest = next(_trainings(study), None)
    if newest is None or is_running(newest):
        return None
    ended = ending(newest) or {"event": "killed"}
    return newest if ended["event"] in ("killed", "cancelled") or _may_go_on(newest, ended) else None


def already_learned(study: Study, kind: str) -> str:
    """A sentence where another run ("train" or "fine-tune") would learn from just what the newest one did; "" else.

    Also "" while no model version is active: the verdict on the first candidate said what to do then.

    Raises
    ------
    ModelError, StudyError
        The active model version, or one it descends from, is gone or damaged.
    """
    newest = next(_trainings(study), None)
    ended = ending(newest) if newest is not None else None
    if newest is None or ended is None or ended["event"] != "done":
        return ""
    if ended["result"].get("left_out"):
        return ""
    if study.models.active() is None:
        return ""
    then, now = as_stored_now(newest.request["settings"]), TrainSettings().to_json()
    if any(then[name] != now[name] for name in BEFORE_A_CHOICE):
        return ""  # a recipe of before
    made, base = ended["result"].get("model"), newest.request.get("base")
    if made not in study.models.names() or base != _base(study, kind) or not _as_it_was(study, newest):
        return ""
    if kind == "train" and study.models.damage(made):
        return ""
    return (
        f"{made} has learned from all saved corrections already. Another run with the same settings makes the same "
        "again: correct and save more first, or choose other settings."
    )


def untunable(study: Study) -> str:
    """What keeps the active model version from being fine-tuned: its files, or those of its base, are damaged or gone.

    Weights are read once, and again when they were written since.

    Returns
    -------
    Sentences; "" where a fine-tune can begin, and where no model version is active.
    """
    models, active = study.models, study.models.active()
    if active is None:
        return ""
    return models.damage(active, at_a_glance=True) or models.damage(models.base_of(active), at_a_glance=True)


def _as_it_was(study: Study, run: RunFolder) -> bool:
    """Whether a study has just the corrections, sides and labels by which a run went."""
    begun = Begun.of(run)
    # what was left out may be mended by now
    if begun is None or begun.left_out or set(begun.sides) != set(newest_revisions(study)):
        return False
    sides, then = study.split.sides(), run.record()["made"].get("split", {})
    labels = study.schema.ids, tuple(label.id for label in study.retired)
    return (begun.labels, begun.retired) == labels and all(sides.get(s) == side for s, side in then.items())


def _base(study: Study, kind: str) -> str | None:
    return study.models.base_of(active_model(study)) if kind == "fine-tune" else None


def _trainings(study: Study) -> Iterator[RunFolder | None]:
    """The training runs, newest first; None for one whose document is damaged, so that it cannot go on."""
    for run_id in reversed(study.runs.ids()):
        try:
            run = study.runs.open(run_id)
        except StudyError:
            if run_kind(run_id) in TRAINING:
                yield None
        else:
            if run.kind in TRAINING:
                yield run


def _may_go_on(run: RunFolder, ended: dict[str, Any]) -> bool:
    """Whether a run that failed has something to go on from; a full disk may have kept it from writing any."""
    if ended["event"] != "failed":
        return False
    return ended["error"] == StorageError.__name__ or (run.path / "checkpoint" / "state.json").is_file()


def _report(run: RunFolder, result: dict[str, Any]) -> TuneReport:
    gate = GateReport.from_json(result["gate"]) if result["gate"] else None
    notes = tuple(result.get("notes", ()))
    return TuneReport(
        run.run_id, result["model"], result["active"], gate, result["steps"], result["seconds"], notes,
        result.get("instead", ""),
    )  # fmt: skip
