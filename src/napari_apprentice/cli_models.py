"""`apprentice import-model` and `export-model`: models from elsewhere, and models handed on."""

import argparse
from dataclasses import asdict
from typing import Any

from napari_apprentice.cli_options import settings_from
from napari_apprentice.cli_progress import drain
from napari_apprentice.core.import_settings import ImportSettings
from napari_apprentice.session import Session

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
        *report.notes,
    ]
    return asdict(report), lines


def export_model(options: Options, session: Session) -> Answer:
    """Hand a model version on."""
    session.open_study(options.study)
    out = session.export_model(options.model, options.out)
    return {"written": str(out), "model": options.model}, [f"Wrote {out} with its model card, {out / 'README.md'}."]
