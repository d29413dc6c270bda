"""The verbs of the loop without a screen: `apprentice COMMAND ...`."""

import json
import logging
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from napari_apprentice.cli_add import (
    aligned,
    answer_lines,
    case_of_channels,
    flag_of,
    found_facts,
    found_lines,
    report_facts,
    report_lines,
)
from napari_apprentice.cli_care import audit, check_study, history, repair_study, restore
from napari_apprentice.cli_key import key
from napari_apprentice.cli_labels import labels
from napari_apprentice.cli_models import export_model, import_model, models
from napari_apprentice.cli_options import UsageError, parser, settings_from
from napari_apprentice.cli_postprocess import postprocess
from napari_apprentice.cli_predict import predict
from napari_apprentice.cli_progress import drain, say
from napari_apprentice.cli_runs import runs, split
from napari_apprentice.cli_training import Answer, Options, fine_tune, train, tune_facts
from napari_apprentice.core.collecting import AddSettings
from napari_apprentice.core.config import steps_from
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.words import counted
from napari_apprentice.errors import ApprenticeError, ChoiceError, InputError
from napari_apprentice.loop.begun import named
from napari_apprentice.loop.demo import run_demo
from napari_apprentice.loop.exporting import free_id
from napari_apprentice.loop.report import table
from napari_apprentice.loop.rows import DAMAGED, CaseRow
from napari_apprentice.loop.sample import is_to_be_made, making_sample_study
from napari_apprentice.scans.datasets.dataset_json import read_dataset_json
from napari_apprentice.scans.datasets.finding import refuse_unmet
from napari_apprentice.session import Session

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 refused or something is wrong, 2 usage."""
    try:
        return _run(arguments)
    except BrokenPipeError:  # whoever read it, such as head, has seen enough: not a word more, and no more work
        _hush()
        return 1
    except KeyboardInterrupt:  # before a command began, or behind it
        return 1


def _run(arguments: Sequence[str] | None) -> int:
    # Zarr writes in a thread; stopped in the middle it leaves tasks behind, which asyncio complains about at the end.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    given = sys.argv[1:] if arguments is None else arguments
    try:
        options = parser().parse_args(given)
    except UsageError as error:
        text = f"{error}\n{error.usage.strip()}"
        return _refuse("UsageError", str(error) if "--json" in given else text, "--json" in given, 2)
    session = Session(getattr(options, "author", "") or "")
    try:
        facts, lines = COMMANDS[options.command](options, session)
    except ApprenticeError as error:
        return _refuse(type(error).__name__, str(error), options.json, answers=_answers(error, options))
    except KeyboardInterrupt:
        return _refuse("Cancelled", "Stopped; what was finished is kept.", options.json)
    except BrokenPipeError:
        raise
    except OSError as error:  # of a file that somebody named or may not read
        log.info("apprentice %s", options.command, exc_info=True)
        name = f"{Path(str(error.filename)).name[:120]}: " if error.filename else ""
        remedy = " Change its permissions, or copy it to a folder of your own." * isinstance(error, PermissionError)
        text = f"{name}Reading or writing failed: {error.strerror or error}.{remedy}"
        return _refuse("StorageError", text, options.json)
    except Exception as error:
        log.exception("apprentice %s", options.command)
        text = f"Stopped on an unexpected fault ({type(error).__name__}: {error}); please report it."
        return _refuse("UnexpectedError", text, options.json)
    finally:
        session.close()
    _print(json.dumps(facts) if options.json else _printable("\n".join(lines)))
    return 1 if any(facts.get(key) for key in ("problems", "refused", "questions", "failed")) else 0


def _refuse(
    error: str, text: str, as_json: bool, code: int = 1, answers: tuple[str, tuple[tuple[str, str], ...]] | None = None
) -> int:
    if as_json:
        told = {"flag": flag_of(answers[0]), "choices": answers[1]} if answers else {}
        print(json.dumps({"error": error, "text": text, **told}), flush=True)
    else:
        lines = answer_lines(*answers) if answers else []
        print("\n".join([f"apprentice: {text}", *lines]), file=sys.stderr)
    return code


def _answers(error: ApprenticeError, options: Options) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    """The setting that a question is about and its choices, where this command has a flag for it."""
    asks = isinstance(error, ChoiceError) and hasattr(options, error.setting)
    return (error.setting, error.choices) if isinstance(error, ChoiceError) and asks else None


def _print(text: str) -> None:
    """Print, also into a pipe whose reader has seen enough: the work is done, so that nothing is wrong."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        _hush()


def _hush() -> None:
    """Let what nobody reads any more go nowhere; Python flushes once more at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _printable(text: str) -> str:
    """Text that standard output can show: names of files hold letters, and bytes, that not every console knows."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


# ------------------------------------------------------------------ commands


def _create(options: Options, session: Session) -> Answer:
    title, schema = _title_and_labels(options, session)
    session.create_study(options.study, schema, options.title or title or options.study.stem, options.encrypt)
    lines = [f"Made {options.study}: {', '.join(f'{x.id} {x.name}' for x in schema.labels)}."]
    if options.encrypt:
        lines.append(f"It is encrypted. Without its key it is lost: apprentice key {options.study} --show prints it.")
    return {"study": str(options.study), "labels": schema.to_json(), "encrypted": options.encrypt}, lines


def _title_and_labels(options: Options, session: Session) -> tuple[str, LabelSchema]:
    if options.labels:
        return "", LabelSchema.from_names(options.labels.split(","))
    if options.dataset is None:
        raise InputError("A new study needs its labels: --labels liver,kidney or --dataset FOLDER.")
    if options.dataset.suffix.lower() == ".json":
        facts = read_dataset_json(options.dataset)
        return facts.title, facts.schema
    found = session.find_scans([options.dataset])
    if found.schema is None:
        raise InputError(
            f"{options.dataset} is taken as {found.kind}, which does not name its labels here; "
            "name them with --labels liver,kidney."
        )
    return found.title, found.schema


def _add(options: Options, session: Session) -> Answer:
    session.open_study(options.study)
    if options.paths and options.channel:
        raise InputError("Scans are given as paths or with --channel NAME=PATH, not both.")
    collect = settings_from(options, AddSettings())
    if options.channel:
        found = case_of_channels(options.channel, collect.case)
        refuse_unmet(found, collect)
    else:
        found = session.find_scans(options.paths, collect)
    facts = {"understood": found_facts(found)}
    if options.dry_run:
        return facts, [*found_lines(found), "Nothing was added."]
    if not options.json:
        print("\n".join(found_lines(found)), file=sys.stderr, flush=True)
    settings = settings_from(options, ReadSettings())
    work = session.add_scans(found, options.subject, options.corrected, settings=settings, collect=collect)
    report = drain(work, options.json, counted=True)
    return {**report_facts(report), **facts}, report_lines(report)


def _cases(options: Options, session: Session) -> Answer:
    session.open_study(options.study)
    rows = session.case_rows()
    lines = [f"There are no cases yet: apprentice add {options.study} PATH adds some."]
    if rows:
        head = ("case", "subject", "state", "side", "revisions", "predicted Dice")
        lines = aligned([head, *map(_case_row, rows)])
    return {"cases": [asdict(row) for row in rows]}, lines


def _case_row(row: CaseRow) -> tuple[str, ...]:
    quality = "-" if row.quality is None else f"{row.quality:.2f}"
    return row.case_id, row.subject or "-", row.state, row.side or "-", str(row.revisions), quality


def _correct(options: Options, session: Session) -> Answer:
    session.open_study(options.study)
    settings = settings_from(options, ReadSettings())
    imported = session.import_correction(
        options.case, options.label_map, options.accept, resample=options.resample, settings=settings
    )
    revision = imported.revision
    facts = {"case": options.case, "revision": revision.name, "edited": revision.voxels_edited,
             "accepted": revision.voxels_accepted, "notes": list(imported.notes)}  # fmt: skip
    edited = counted(revision.voxels_edited, "voxel")
    text = f"Stored {revision.key}: {edited} edited, {revision.voxels_accepted} accepted."
    return facts, [text, *imported.notes]


def _queue(options: Options, session: Session) -> Answer:
    session.open_study(options.study)
    rows = session.case_rows()
    items, damaged = session.queue(rows), [row.case_id for row in rows if row.state == DAMAGED]
    lines = [f"{n}. {i.case_id}: {i.reason}" for n, i in enumerate(items, 1)]
    if not rows:
        lines = [f"There are no cases yet: apprentice add {options.study} PATH adds some."]
    elif not items and len(damaged) < len(rows):
        lines = [f"Every {'other ' if damaged else ''}case is corrected."]
    if damaged:
        lines.append(
            f"Damaged, not in the queue: {named(damaged)}. apprentice check {options.study} says what is wrong."
        )
    return {"queue": [asdict(i) for i in items], "damaged": damaged}, lines


def _export(options: Options, session: Session) -> Answer:
    session.open_study(options.study)
    out = session.export(
        options.case, options.out, options.what, options.overwrite, source=options.source, series=options.series,
        unseen=options.unseen,
    )  # fmt: skip
    corrected = options.what == "corrected"
    unsaved = corrected and _has_unsaved(session, options.case)
    unseen = _unseen(session, options.case) if corrected else 0
    told = [f"Strokes of {options.case} that are in no revision yet are not in it: open the case and save them."]
    lines = [f"Wrote {out}.", *(told if unsaved else []), *_unseen_lines(unseen, options, free_id(session.study))]
    return {"written": str(out), "unsaved": unsaved, "unseen": unseen}, lines


def _unseen(session: Session, case_id: str) -> int:
    """In how many voxels of a case's newest revision nobody has looked."""
    newest = session.study.revisions.newest(case_id)
    voxels = math.prod(session.study.cases.info(case_id).shape)
    return 0 if newest is None else voxels - newest.voxels_accepted - newest.voxels_edited


def _unseen_lines(unseen: int, options: Options, free: int) -> list[str]:
    if not unseen:
        return []
    told = f"Nobody has looked at {counted(unseen, 'voxel')} of it; they "
    if options.unseen is not None:
        return [f"{told}are {options.unseen}."]
    marked = f" --unseen {free} marks them instead, so that nothing learns from them."
    return [f"{told}hold what was proposed there.{'' if options.source else marked}"]  # a DICOM SEG cannot mark them


def _has_unsaved(session: Session, case_id: str) -> bool:
    with suppress(ApprenticeError):  # a damaged journal keeps nobody from what is saved
        return session.study.journal.started(case_id)
    return False


def _evaluate(options: Options, session: Session) -> Answer:
    session.open_study(options.study)
    reading = settings_from(options, ReadSettings())
    found = session.evaluate(options.references, options.what, options.model, options.cases or None, reading)
    names = {i: session.study.schema.name(i) for i in found.by_label()}
    cases = {c: {session.study.schema.name(i): d for i, d in row.items()} for c, row in found.dice.items()}
    lines = [f"{c}: " + ", ".join(f"{n} {d:.3f}" for n, d in row.items()) for c, row in cases.items()]
    lines += [f"{names[i]}: {d:.3f} mean Dice" for i, d in found.by_label().items()] + [f"mean: {found.mean:.3f}"]
    by_label = {names[i]: d for i, d in found.by_label().items()}
    facts = {"model": found.model, "cases": cases, "labels": by_label, "mean": found.mean}
    rest = found.unlearned()
    if found.learned:
        without = f"the mean without is {rest.mean:.3f}" if rest else "nothing else was compared"
        lines.append(f"{found.model} learned from the subjects of {named(found.learned)}; {without}.")
    facts |= {"learned": list(found.learned), "mean_of_others": rest.mean if rest else None}
    return {**facts, "doubts": list(found.doubts)}, [*lines, *found.doubts]


def _demo(options: Options, session: Session) -> Answer:
    folder = options.folder or Path(tempfile.mkdtemp(prefix="apprentice-demo-"))
    if not options.headless and _has_display() and find_spec("napari") is not None:
        study = folder / "sample.study"
        _make_sample(study, options)
        if not options.json:
            say("Opening the window; the first time that takes a while. The demo ends when it is closed.")
        code = subprocess.call([sys.executable, "-m", "napari_apprentice.gui.start", str(study)])
        return {"study": str(study), "status": code}, [f"The sample study stays in {study}."]
    report = drain(run_demo(folder, steps_from(options.steps), options.seed), options.json)
    facts = {"rows": [asdict(r) for r in report.rows], "corrected": list(report.corrected),
             "report": str(report.folder), **tune_facts(report.tune)}  # fmt: skip
    session.recent.remember(folder / "sample.study")
    return facts, [*table(report.rows), report.tune.verdict, f"Report with pictures: {report.folder / 'report.md'}"]


def _make_sample(study: Path, options: Options) -> None:
    """Make the sample study, where it is not there."""
    if not is_to_be_made(study):
        return
    try:
        drain(making_sample_study(study), options.json, counted=True)
    except InputError:
        if is_to_be_made(study):  # else another process made it meanwhile
            raise


def _has_display() -> bool:
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


COMMANDS: dict[str, Callable[[Options, Session], Answer]] = {
    "create": _create,
    "add": _add,
    "cases": _cases,
    "train": train,
    "fine-tune": fine_tune,
    "predict": predict,
    "postprocess": postprocess,
    "labels": labels,
    "correct": _correct,
    "models": models,
    "runs": runs,
    "split": split,
    "import-model": import_model,
    "export-model": export_model,
    "queue": _queue,
    "export": _export,
    "evaluate": _evaluate,
    "history": history,
    "restore": restore,
    "export-audit": audit,
    "key": key,
    "check": check_study,
    "repair": repair_study,
    "demo": _demo,
}


if __name__ == "__main__":
    sys.exit(main())
