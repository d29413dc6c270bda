"""`apprentice check`, `repair`, `history`, `restore` and `export-audit`: what became of the work that is stored."""

import argparse
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from napari_apprentice.cli_progress import drain
from napari_apprentice.core.words import counted
from napari_apprentice.loop.history import DAMAGED, HistoryRow
from napari_apprentice.session import Session
from napari_apprentice.store.check import check
from napari_apprentice.store.finding import Finding
from napari_apprentice.store.repair import repair

Options = argparse.Namespace
Answer = tuple[dict[str, Any], list[str]]  # what --json prints, and the lines for a person
_FEW = 3


def check_study(options: Options, session: Session) -> Answer:
    """Say what is wrong with a study."""
    del session  # a damaged study could not be opened
    problems = drain(check(options.study), options.json)
    return {"problems": [p.text for p in problems]}, in_short(problems) or [f"{options.study} is sound."]


def repair_study(options: Options, session: Session) -> Answer:
    """Mend a study, say what was done, and what is still wrong."""
    del session
    done = drain(repair(options.study), options.json)
    problems = drain(check(options.study), options.json)
    lines = in_short(done) or ["There was nothing to mend."]
    end = ["Still wrong:", *in_short(problems)] if problems else [f"{options.study} is sound."]
    return {"done": [d.text for d in done], "problems": [p.text for p in problems]}, [*lines, *end]


def in_short(findings: Iterable[Finding]) -> list[str]:
    """The sentences; of more than a few that say the same of parts of one thing, the first, and how many parts."""
    alike: dict[tuple[str, str], list[Finding]] = {}
    for found in findings:
        alike.setdefault((found.thing, _without_part(found)), []).append(found)
    return [line for same in alike.values() for line in _lines_of(same)]


def _without_part(found: Finding) -> str:
    return found.text.replace(found.part, "\n") if found.part else found.text


def _lines_of(same: list[Finding]) -> list[str]:
    if len(same) <= _FEW:
        return [found.text for found in same]
    examples = ", ".join(found.part for found in same[:_FEW])
    return [f"{same[0].text} ({len(same)} such: {examples} ...)"]


def history(options: Options, session: Session) -> Answer:
    """Who changed what in a case, and when."""
    session.open_study(options.study)
    rows = session.case_history(options.case)
    lines = [line for row in rows for line in _lines(row)]
    if any(row.origin == DAMAGED for row in rows):
        lines.append(f"apprentice check {options.study} says what is damaged.")
    return {"history": [asdict(row) for row in rows]}, lines or [f"Case {options.case} was never corrected."]


def _lines(row: HistoryRow) -> list[str]:
    if row.origin == DAMAGED:
        return [f"{row.revision or 'strokes'}  damaged: who made it, and when, cannot be read", *_lessons(row)]
    who = f"{row.created}  {row.author}" if row.revision else "not saved yet"
    parents = " and ".join(name for name in (row.parent, *row.merged) if name)
    start = f"from {parents or 'nothing'}" + (f" and the prediction of {row.model}" if row.model else "")
    lines = [f"{row.revision or 'strokes'}  {who}  {row.origin}, {start}"]
    edited = f"{counted(row.edited, 'voxel')} edited"
    work = [counted(row.strokes, "stroke"), f"{row.seconds:.0f} s", edited, f"{row.accepted} accepted"]
    lines.append("    " + ", ".join(work))
    if row.changed:
        lines.append("    changed: " + ", ".join(f"{name} {count}" for name, count in row.changed.items()))
    return [*lines, *_lessons(row)]


def _lessons(row: HistoryRow) -> list[str]:
    told = [f"learned by {' '.join(row.learned)}"] if row.learned else []
    told += [f"held out for {' '.join(row.measured)}"] if row.measured else []
    return ["    " + ", ".join(told)] if told else []


def restore(options: Options, session: Session) -> Answer:
    """Bring an earlier revision back, also where the newest is damaged, so that the case does not open."""
    session.open_study(options.study)
    made = session.restore_revision(options.case, options.revision)
    text = f"{options.revision} is restored as {made.key}; the revisions in between are kept."
    return {"case": options.case, "restored": options.revision, "revision": made.name}, [text]


def audit(options: Options, session: Session) -> Answer:
    """Write the history of all cases to a file."""
    session.open_study(options.study)
    count = session.export_audit(options.out, overwrite=options.overwrite)
    return {"written": str(options.out), "rows": count}, [f"Wrote {options.out}: {counted(count, 'line')}."]
