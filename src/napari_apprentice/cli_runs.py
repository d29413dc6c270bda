"""`apprentice runs` and `split`: what was trained, and on whom it was measured."""

import argparse
from dataclasses import asdict
from typing import Any

from napari_apprentice.core.words import counted
from napari_apprentice.errors import InputError
from napari_apprentice.loop.run_rows import RunRow, differing
from napari_apprentice.loop.sides import SubjectSide
from napari_apprentice.session import Session

Options = argparse.Namespace
Answer = tuple[dict[str, Any], list[str]]  # what --json prints, and the lines for a person


def runs(options: Options, session: Session) -> Answer:
    """List training runs and say in which settings they differ."""
    session.open_study(options.study)
    rows = session.runs(everything=options.all)
    facts = {"runs": [asdict(r) for r in rows], "differing": differing(rows)}
    return facts, [line for row in rows for line in _run_lines(row)] or ["Nothing was trained in this study yet."]


def _run_lines(row: RunRow) -> list[str]:
    took = [counted(row.steps, "step") if row.steps is not None else "", f"{row.seconds:.0f} s" if row.seconds else ""]
    dice = "" if row.before is None or row.after is None else f"Dice {row.before:.3f} to {row.after:.3f}"
    turn = "active" if row.current else "became active" if row.active else "candidate"
    made = f"{row.model} ({turn})" if row.model else ""
    state = f"{row.state} on {row.host}" if row.host else row.state
    head = [row.run, row.kind, state, *took, row.device, dice, made]
    unusual = ", ".join(f"{k} {v}" for k, v in (row.settings or {}).items() if k != "steps")
    lines = ["  ".join(part for part in head if part)]
    return lines + [f"    {text}" for text in (f"unlike the recipe: {unusual}" if unusual else "", row.verdict) if text]


def split(options: Options, session: Session) -> Answer:
    """List the sides of the split, after moving a subject."""
    session.open_study(options.study)
    if options.why and not options.move:
        raise InputError("--why says why a subject is moved: --move SUBJECT SIDE --why REASON.")
    if options.move:
        subject, side = options.move
        session.move_subject(subject, side, options.why)
    rows = session.sides()
    return {"subjects": [asdict(r) for r in rows]}, [line for row in rows for line in _side_lines(row)] or [
        "No subject has a side yet; it gets one with its first corrected scan."
    ]


def _side_lines(row: SubjectSide) -> list[str]:
    cannot = ""
    if row.side == "validation" and row.learned:
        cannot = f"; cannot judge {', '.join(row.learned)}, which learned from it"
    lines = [f"{row.subject}  {row.side}  {', '.join(row.cases)}{cannot}"]
    return lines + [f"    moved to {m.side} by {m.author or 'somebody'}, {m.time}: {m.reason}" for m in row.moves]
