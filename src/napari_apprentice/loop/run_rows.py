"""What the runs of a study did, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from napari_apprentice.core.config import TrainSettings, as_stored_now, first_model_settings
from napari_apprentice.core.gate import GateReport
from napari_apprentice.errors import StudyError
from napari_apprentice.loop.launch import host_elsewhere, is_running, is_silent, outcome
from napari_apprentice.loop.tuning import TRAINING
from napari_apprentice.store.names import run_kind
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study


@dataclass(frozen=True)
class RunRow:
    """One run.

    Parameters
    ----------
    state
        running, done, failed, cancelled, killed; waiting where it never began; damaged where it cannot be read;
        silent where another computer worked on it that is not heard of any more.
    steps, seconds, device
        What it took; None and "" where it did not say.
    settings
        Those that differ from the recipe of its kind.
    before, after
        Mean Dice over labels on held-out corrections, with the active model version and with the new one.
    model, active
        The model version it made, and whether that became active then.
    current
        Whether it is the active one now.
    verdict
        Why, or what went wrong.
    host
        The computer that works on it, or did when it was heard of last, where that is not here; "" else.
    """

    run: str
    kind: str
    created: str
    state: str
    steps: int | None = None
    seconds: float | None = None
    device: str = ""
    settings: Mapping[str, Any] | None = None
    before: float | None = None
    after: float | None = None
    model: str | None = None
    active: bool | None = None
    verdict: str = ""
    host: str = ""
    current: bool = False


def run_rows(study: Study, *, everything: bool = False) -> tuple[RunRow, ...]:
    """Training runs, oldest first; with `everything` also those that predicted or imported."""
    rows = (_row_of(study, run_id, everything=everything) for run_id in study.runs.ids())
    now = study.models.active()
    return tuple(replace(row, current=row.model is not None and row.model == now) for row in rows if row is not None)


def differing(rows: Sequence[RunRow]) -> dict[str, dict[str, Any]]:
    """Settings in which runs differ from each other: name to run to value, None for that of the recipe."""
    names = sorted({name for row in rows for name in row.settings or {}})
    found = {name: {r.run: (r.settings or {}).get(name) for r in rows} for name in names}
    return {name: by_run for name, by_run in found.items() if len({str(v) for v in by_run.values()}) > 1}


def _row_of(study: Study, run_id: str, *, everything: bool) -> RunRow | None:
    """The row of a run; None where it is not wanted."""
    try:
        run = study.runs.open(run_id)
        return _row(run) if everything or run.kind in TRAINING else None
    except StudyError as error:
        kind = run_kind(run_id)
        return RunRow(run_id, kind, "", "damaged", verdict=str(error)) if everything or kind in TRAINING else None


def _row(run: RunFolder) -> RunRow:
    events, _ = run.events(0)
    ended = outcome(events) or {}
    result: Mapping[str, Any] = ended.get("result") or {}
    gate = GateReport.from_json(result["gate"]) if result.get("gate") else None
    before, after = (gate.mean(replay=False) if gate else None) or (None, None)
    return RunRow(
        run.run_id, run.kind, str(run.record().get("created", "")), _state(run, events, ended),
        _steps(events, result), result.get("seconds"), str(result.get("device", "")), _unusual(run), before, after,
        result.get("model"), result.get("active"), gate.reason if gate else str(ended.get("text", "")),
        host_elsewhere(run),
    )  # fmt: skip


def _state(run: RunFolder, events: Sequence[Mapping[str, Any]], ended: Mapping[str, Any]) -> str:
    if ended:
        return str(ended["event"])
    if not any(e.get("event") == "started" for e in events):
        return "waiting"
    if is_running(run):
        return "running"
    return "silent" if is_silent(run) else "killed"


def _steps(events: Sequence[Mapping[str, Any]], result: Mapping[str, Any]) -> int | None:
    if result.get("steps") is not None:
        return int(result["steps"])
    done = [int(e["done"]) for e in events if e.get("event") == "progress" and e.get("loss") is not None]
    return max(done, default=None)


def _unusual(run: RunFolder) -> dict[str, Any]:
    settings = run.request.get("settings")
    if run.kind not in TRAINING or not isinstance(settings, dict):
        return {}
    steps = int(settings.get("steps", 1))
    usual = (first_model_settings(steps) if run.kind == "train" else TrainSettings(steps=steps)).to_json()
    return {k: v for k, v in as_stored_now(settings).items() if k == "steps" or usual.get(k) != v}
