"""`apprentice train` and `fine-tune`: a run is started or resumed, followed to its end, and told."""

import argparse
from typing import Any

from napari_apprentice.cli_options import settings_from
from napari_apprentice.cli_progress import drain, say
from napari_apprentice.core.config import TrainSettings, first_model_settings, steps_from
from napari_apprentice.errors import Cancelled, InputError
from napari_apprentice.loop.tuning import TuneReport
from napari_apprentice.session import Session
from napari_apprentice.store.runs import RunFolder

Options = argparse.Namespace
Answer = tuple[dict[str, Any], list[str]]  # what --json prints, and the lines for a person


def train(options: Options, session: Session) -> Answer:
    """Train a first model version."""
    session.open_study(options.study)
    settings = settings_from(options, first_model_settings(steps_from(options.steps)))
    return _tuned(session, "train", settings, options)


def fine_tune(options: Options, session: Session) -> Answer:
    """Fine-tune the base model version on corrections."""
    session.open_study(options.study)
    settings = settings_from(options, TrainSettings(steps=steps_from(options.steps)))
    return _tuned(session, "fine-tune", settings, options)


def _tuned(session: Session, kind: str, settings: TrainSettings, options: Options) -> Answer:
    run = _resumable(session, kind) if options.resume else session.begin_training(kind, settings)
    try:
        report = drain(session.follow_training(run), options.json)
    except KeyboardInterrupt:
        return _stopped(session, run, options)
    return tune_facts(report), [*report.notes, *_gate_lines(session, report), report.verdict]


def _resumable(session: Session, kind: str) -> RunFolder:
    run = session.resumable_training()
    if run is None:
        raise InputError("No training run of this study was cancelled or killed; start one without --resume.")
    if run.kind != kind:
        raise InputError(f"The run that can go on is of another kind: apprentice {run.kind} STUDY --resume.")
    return run


def _stopped(session: Session, run: RunFolder, options: Options) -> Answer:
    """Ctrl-C: wait until the run has stopped after its step. A second one leaves it to stop by itself."""
    if not options.json:
        say("Stopping after this step.")
    try:
        report = drain(session.stop_training(run), quiet=True)
    except Cancelled as error:
        text = f"Training was stopped; apprentice {run.kind} {options.study} --resume goes on with it."
        raise Cancelled(text) from error
    return tune_facts(report), [report.verdict]  # it was done already


def tune_facts(report: TuneReport) -> dict[str, Any]:
    """What came of a run, as JSON values."""
    gate = report.gate.to_json() if report.gate else None
    return {
        "run": report.run_id, "model": report.model, "active": report.active, "gate": gate,
        "steps": report.steps, "seconds": report.seconds, "verdict": report.verdict, "notes": list(report.notes),
    }  # fmt: skip


def _gate_lines(session: Session, report: TuneReport) -> list[str]:
    if report.gate is None or not report.gate.rows:
        return []
    lines = ["held-out scans | label | scans | before | after"]
    for row in report.gate.rows:
        kind = "replay" if row.replay else "corrections"
        lines.append(
            f"{kind} | {session.study.schema.name(row.label)} | {row.cases} | {row.before:.3f} | {row.after:.3f}"
        )
    return lines
