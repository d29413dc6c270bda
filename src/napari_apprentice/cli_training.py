"""`apprentice train` and `fine-tune`: a run is started or resumed, followed to its end, and told."""

import argparse
from dataclasses import fields
from typing import Any

from napari_apprentice.cli_add import flag_of
from napari_apprentice.cli_gate import gate_lines
from napari_apprentice.cli_options import STEPS, settings_from
from napari_apprentice.cli_progress import drain, say
from napari_apprentice.core.config import TrainSettings, first_model_settings, steps_from
from napari_apprentice.errors import Cancelled, InputError
from napari_apprentice.loop.tuning import TuneReport, busy_error
from napari_apprentice.session import Session
from napari_apprentice.store.runs import RunFolder

Options = argparse.Namespace
Answer = tuple[dict[str, Any], list[str]]  # what --json prints, and the lines for a person


def train(options: Options, session: Session) -> Answer:
    """Train a first model version."""
    session.open_study(options.study)
    settings = settings_from(options, first_model_settings(_steps(options)))
    return _tuned(session, "train", settings, options)


def fine_tune(options: Options, session: Session) -> Answer:
    """Fine-tune the base model version on corrections."""
    session.open_study(options.study)
    settings = settings_from(options, TrainSettings(steps=_steps(options)))
    return _tuned(session, "fine-tune", settings, options)


def _steps(options: Options) -> int:
    return steps_from(options.steps or STEPS)


def _tuned(session: Session, kind: str, settings: TrainSettings, options: Options) -> Answer:
    if options.take_over and not options.resume:
        raise InputError("--take-over goes on with a run that exists: give --resume as well.")
    run = _resumable(session, kind, settings, options) if options.resume else _begun(session, kind, settings)
    try:
        work = session.follow_training(run, take_over=options.take_over, news_only=True)
        report = drain(work, options.json)
    except KeyboardInterrupt:
        return _stopped(session, run, options)
    return tune_facts(report), [*report.notes, *gate_lines(report.gate, _names(session)), report.verdict]


def _begun(session: Session, kind: str, settings: TrainSettings) -> RunFolder:
    """A new run; whoever has nothing new to teach is told so before it takes its time."""
    told = session.already_learned(kind)
    if told:
        say(told)
    return session.begin_training(kind, settings)


def _resumable(session: Session, kind: str, settings: TrainSettings, options: Options) -> RunFolder:
    """The run that is to go on; also one that still trains, whose terminal was closed."""
    busy = session.running_training()
    if busy is not None and options.take_over:
        raise busy_error(busy)
    run = busy or session.resumable_training()
    if run is None:
        raise InputError("No training run of this study was cancelled or killed; start one without --resume.")
    if run.kind != kind:
        raise InputError(f"The run that can go on is of another kind: apprentice {run.kind} STUDY --resume.")
    if busy is not None and not options.json:
        say(f"{run.run_id} is still training; it is followed from here, and Ctrl-C stops it.")
    kept = _kept(run, settings, options)
    if kept:
        say(f"{run.run_id} keeps the settings it began with: {kept}. Only a new run, without --resume, takes others.")
    return run


def _kept(run: RunFolder, settings: TrainSettings, options: Options) -> str:
    """What a run goes by where other settings were given for it, as a list for a sentence; "" without any."""
    its = TrainSettings.from_json(run.request["settings"])
    given = [f.name for f in fields(its) if getattr(options, f.name) is not None]
    pairs = ((name, getattr(its, name), getattr(settings, name)) for name in given)
    return "; ".join(f"{flag_of(name)} {has}, not {asked}" for name, has, asked in pairs if has != asked)


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


def _names(session: Session) -> dict[int, str]:
    return {label.id: label.name for label in session.study.schema.labels}
