"""`apprentice postprocess`: choose, learn and apply the steps that predictions go through."""

import argparse
from typing import Any

from napari_apprentice.cli_progress import drain
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.postprocess import THRESHOLD, PostStep, recipe_lines, steps_of
from napari_apprentice.core.postprocess_trial import PostRow
from napari_apprentice.core.words import counted
from napari_apprentice.errors import InputError
from napari_apprentice.loop.postprocessing import PostReport
from napari_apprentice.session import Session

Options = argparse.Namespace
Answer = tuple[dict[str, Any], list[str]]  # what --json prints, and the lines for a person


def postprocess(options: Options, session: Session) -> Answer:
    """Show the steps of every label, after what was asked for: clear, set, suggest, take, apply, in this order."""
    session.open_study(options.study)
    facts: dict[str, Any] = {}
    lines: list[str] = []
    _choose(options, session)
    if options.suggest or options.take:
        report = drain(session.suggest_postprocessing(options.model), options.json)
        facts["suggested"], more = _report(report, session.study.schema)
        lines += more
        if options.take and report.recipe:
            steps = report.taken_with(session.postprocessing())
            session.set_postprocessing(steps, f"learned on predictions of {report.model}")
    recipe = session.postprocessing()
    lines += ["Steps of this study:", *(f"  {line}" for line in recipe_lines(recipe, session.study.schema))]
    if not recipe:
        lines[-1] = "This study has no post-processing steps."
    if options.apply:
        done = drain(session.apply_postprocessing(None, options.model), options.json)
        facts["applied"] = list(done)
        lines.append(f"Applied to {counted(len(done), 'stored prediction')}.")
        if recipe.amounts(THRESHOLD):
            lines.append("Thresholds need probabilities, which are not stored: `apprentice predict` applies them.")
    return {"steps": recipe.to_json(), **facts}, lines


def _choose(options: Options, session: Session) -> None:
    if not (options.clear or options.set):
        return
    chosen: dict[int, tuple[PostStep, ...]] = {}
    for text in options.set or ():
        name, sign, steps = text.partition("=")
        label = session.study.schema.id_of(name.strip())
        if label is None and name.strip().isdecimal() and int(name) in session.study.schema.ids:
            label = int(name)
        if not sign or label is None:
            names = ", ".join(x.name for x in session.study.schema.labels)
            raise InputError(
                f"--set takes LABEL=STEPS, as in liver=largest,holes; {text[:120]!r} names none of {names}."
            )
        chosen[label] = steps_of(steps)
    session.set_postprocessing(chosen, clear=options.clear)


def _report(report: PostReport, schema: LabelSchema) -> tuple[dict[str, Any], list[str]]:
    rows = [_row_facts(row, schema) for row in report.rows]
    cases = counted(report.learning, "case")
    lines = [f"Predictions of {report.model} on {cases} to learn from and {report.held_out} held out:"]
    lines += [f"  {_row_line(row, schema)}" for row in report.rows]
    if report.unpredicted:
        lines.append(f"  Not predicted by {report.model}, so left out: {', '.join(report.unpredicted)}.")
    lines += [f"  Left out: {text}" for text in report.damaged]
    facts = {
        "model": report.model, "labels": rows, "steps": report.recipe.to_json(), "learning": report.learning,
        "held_out": report.held_out, "unpredicted": list(report.unpredicted), "damaged": list(report.damaged),
    }  # fmt: skip
    return facts, lines


def _row_facts(row: PostRow, schema: LabelSchema) -> dict[str, Any]:
    return {
        "label": schema.name(row.label), "steps": [s.text for s in row.steps], "accepted": row.accepted,
        "learned": row.learned, "held_out": row.held_out, "subjects": row.subjects, "reason": row.reason,
    }  # fmt: skip


def _row_line(row: PostRow, schema: LabelSchema) -> str:
    steps = ", ".join(s.text for s in row.steps) or "nothing"
    figures = f", held-out Dice {row.held_out[0]:.3f} -> {row.held_out[1]:.3f}" if row.held_out and row.steps else ""
    return f"{schema.name(row.label)}: {steps}{figures}; {'proved' if row.accepted else 'refused'}: {row.reason}."
