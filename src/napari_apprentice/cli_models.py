"""`apprentice models`, `import-model` and `export-model`: which there are, from elsewhere, and handed on."""

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from napari_apprentice.cli_gate import gate_lines
from napari_apprentice.cli_options import settings_from
from napari_apprentice.cli_progress import drain
from napari_apprentice.core.import_settings import ImportSettings
from napari_apprentice.core.words import counted
from napari_apprentice.loop.choosing import ModelDetails
from napari_apprentice.session import ModelRow, Session

Options = argparse.Namespace
Answer = tuple[dict[str, Any], list[str]]  # what --json prints, and the lines for a person


def import_model(options: Options, session: Session) -> Answer:
    """Take a model from elsewhere over."""
    session.open_study(options.study)
    report = drain(session.import_model(options.source, settings_from(options, ImportSettings())), options.json)
    state = "is now active" if report.active else f"apprentice models {options.study} --activate {report.model}"
    labels = ", ".join(theirs if theirs == ours else f"{theirs} as {ours}" for theirs, ours in report.labels.items())
    lines = [
        f"Imported {report.name} ({report.library}) as {report.model}; {state}.",
        f"It knows {labels}.",
        *([f"Its folds are {', '.join(report.folds)}; --quality best asks all of them."] if report.folds else []),
        *report.notes,
    ]
    return asdict(report), lines


def export_model(options: Options, session: Session) -> Answer:
    """Hand a model version on."""
    session.open_study(options.study)
    out = session.export_model(options.model, options.out)
    return {"written": str(out), "model": options.model}, [f"Wrote {out} with its model card, {out / 'README.md'}."]


def models(options: Options, session: Session) -> Answer:
    """List model versions, after choosing one, going back to one or writing about one."""
    session.open_study(options.study)
    if options.show is not None:
        return _shown(session.model_details(options.show))
    if options.activate is not None:
        session.activate(options.activate, options.why)
    elif options.refuse is not None:
        session.refuse_model(options.refuse, options.why)
    elif options.back:
        session.go_back()
    elif options.note:
        session.note_model(*options.note)
    rows = session.models()
    return {"models": [asdict(r) for r in rows]}, [_model_line(r) for r in rows] or ["No model version yet."]


def _model_line(row: ModelRow) -> str:
    dice = "" if row.before is None or row.after is None else f"Dice {row.before:.3f} to {row.after:.3f}"
    note = f"note: {row.note}" if row.note else ""
    overruled = f"overruled by {row.overruled}" if row.overruled else ""
    parent = f"from {row.parent or 'nothing'}" if row.created else ""
    parts = (f"{row.name}", parent, dice, row.verdict, overruled, note)
    return f"{'*' if row.active else ' '} " + "  ".join(p for p in parts if p)


def _shown(known: ModelDetails) -> Answer:
    version = known.version
    facts = {
        "name": version.name, "active": known.active, "created": version.created, "note": known.note,
        "lineage": list(known.lineage), "gate": version.gate.to_json() if version.gate else None,
        "metrics": dict(version.metrics), "temperature": version.temperature, "settings": dict(version.settings),
        "revisions": list(version.revisions), "held_out": list(version.held_out),
        "turns": [asdict(t) for t in known.turns],
    }  # fmt: skip
    names = {label.id: label.name for label in version.schema.labels}
    lines = [
        f"{version.name}{', active' * known.active}, made {version.created}",
        *(f"from {a['name']}, made {a.get('created', '?')}" for a in known.lineage[1:]),
        f"It learned from {counted(len(version.revisions), 'corrected scan')}; "
        f"{len(version.held_out)} {'was' if len(version.held_out) == 1 else 'were'} held out.",
        *gate_lines(version.gate, names),
        *([f"{'Passed' if version.gate.passed else 'Refused'}: {version.gate.told}."] if version.gate else []),
        f"Temperature {version.temperature:.3g}{_calibrated(version.metrics)}.",
        *(f"{t.time} {t.reason}{f': {t.why}' * bool(t.why)}" for t in known.turns),
        *([f"Note: {known.note}"] if known.note else []),
    ]
    return facts, lines


def _calibrated(metrics: Mapping[str, Any]) -> str:
    found = metrics.get("calibration")
    if not found:
        return ""
    return f"; calibration error {found['ece_before']:.4f} before, {found['ece_after']:.4f} with it"
