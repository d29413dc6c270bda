"""The history of all cases as a file, for whoever has to account for the data."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from napari_apprentice.core.records import now
from napari_apprentice.errors import InputError
from napari_apprentice.loop.history import HistoryRow, Lessons, case_history
from napari_apprentice.store.files import write_durably
from napari_apprentice.store.study import Study

_COLUMNS = (
    "case_id", "subject", "side", "revision", "created", "author", "origin", "parent", "model", "strokes", "seconds",
    "accepted", "edited", "learned", "measured", "digest", "merged",
)  # fmt: skip
# What a spreadsheet takes for the beginning of a formula, also behind spaces.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def export_audit(study: Study, out: Path, *, overwrite: bool = False) -> int:
    """Write one line per revision, and per case with strokes that are in none, as .csv or .json.

    What cannot be read has a line too, of origin "damaged".

    Returns
    -------
    How many lines.

    Raises
    ------
    InputError
        Another suffix, the file is there already, or it is a part of the study.
    StudyError
        The split or the list of activations is damaged; nothing was written.
    StorageError
        The file cannot be written.
    """
    writers = {".csv": _as_csv, ".json": _as_json}
    if out.suffix.lower() not in writers:
        raise InputError(f"{out.name}: an audit is written as .csv or .json; give the file one of these endings.")
    study.refuse_inside(out)
    if out.exists() and not overwrite:
        raise InputError(f"{out.name} exists already; choose another name or allow it to be overwritten.")
    lessons = Lessons.of(study)
    rows = [row for case_id in study.cases.ids() for row in case_history(study, case_id, lessons)]
    text = writers[out.suffix.lower()](study, rows)
    write_durably(out, text.encode(errors="backslashreplace"))  # a name from a terminal may hold bytes that are no text
    return len(rows)


def _as_json(study: Study, rows: Sequence[HistoryRow]) -> str:
    sides = study.split.sides()
    activations = [asdict(a) for a in study.models.activations()]
    facts = {
        "study": study.title,
        "written": now(),
        "rows": [{**asdict(row), "side": sides.get(row.subject)} for row in rows],
        "activations": activations,
    }
    return json.dumps(facts, indent=1) + "\n"


def _as_csv(study: Study, rows: Sequence[HistoryRow]) -> str:
    sides = study.split.sides()
    labels = list(dict.fromkeys([x.name for x in study.schema.labels] + [name for r in rows for name in r.changed]))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([_cell(c) for c in (*_COLUMNS, *(f"changed {label}" for label in labels))])
    for row in rows:
        facts: Mapping[str, Any] = {**vars(row), "side": sides.get(row.subject)}
        counts = (row.changed.get(label, 0) for label in labels)
        writer.writerow([*(_cell(facts[c]) for c in _COLUMNS), *counts])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, tuple):
        value = " ".join(value)
    if not isinstance(value, str):
        return value
    # A name in somebody else's study must not become a formula in a spreadsheet.
    return f"'{value}" if value.lstrip(" ").startswith(_FORMULA) else value
