"""What the command line shows of adding: what was found, what came of it, what must be decided."""

import argparse
import re
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from napari_apprentice.errors import InputError
from napari_apprentice.loop.adding import AddReport, Question, shown_name
from napari_apprentice.scans.datasets.found import ChannelFile, Found, FoundCase
from napari_apprentice.scans.reader import case_id_from

MOST_ROWS = 12
MOST_NAMES = 10
MOST_REFUSED = 50
_FLAGS = {"layout": "--as"}  # every other setting's flag is its name


def case_of_channels(channels: Sequence[tuple[str, Path]], case_id: str) -> Found:
    """One case of the files given with --channel; its id is by default that of their folder or first file.

    Raises
    ------
    InputError
        A name comes twice.
    """
    names = [name for name, _ in channels]
    doubles = sorted({n for n in names if names.count(n) > 1})
    if doubles:
        raise InputError(f"--channel {doubles[0]} is given twice; every channel needs a name of its own.")
    folders = {path.resolve().parent for _, path in channels}
    default = folders.pop().name if len(folders) == 1 and len(channels) > 1 else case_id_from(channels[0][1])
    files = tuple(ChannelFile(name, path) for name, path in channels)
    return Found("files", (FoundCase(case_id or default, "", files),))


def found_facts(found: Found) -> dict[str, Any]:
    """What was understood, as JSON values."""
    return {
        "kind": found.kind,
        "title": found.title,
        "cases": [_case_facts(case) for case in found.cases],
        "subjects": list(found.subjects),
        "channels": list(found.channels),
        "labels": found.schema.to_json() if found.schema else None,
        "refused": [list(row) for row in found.refused],
        "notes": list(found.notes),
    }


def found_lines(found: Found) -> list[str]:
    """What was understood, for a person."""
    count = len(found.cases)
    labelled = sum(case.has_labels for case in found.cases)
    parts = [f"{count} case{'s' * (count != 1)}"]
    parts += [f"{len(found.subjects)} subject{'s' * (len(found.subjects) != 1)}"] * bool(found.subjects)
    parts += [f"channels {', '.join(found.channels)}"] * bool(found.channels)
    parts += [f"{labelled} with a label map"] * bool(labelled)
    title = f" ({found.title})" if found.title else ""
    lines = [f"Taken as {found.kind}{title}: {'; '.join(parts)}."]
    if found.schema:
        lines.append(f"Labels: {', '.join(f'{x.id} {x.name}' for x in found.schema.labels)}.")
    if found.kind != "files" or len(found.channels) > 1:
        lines += aligned([("case", "subject", "channels", "label map"), *map(_row, found.cases[:MOST_ROWS])])
        lines += [f"  ... and {count - MOST_ROWS} more"] * (count > MOST_ROWS)
    lines += [f"  note: {note}" for note in found.notes]
    return [*lines, *_refused_lines(found.refused)]


def report_facts(report: AddReport) -> dict[str, Any]:
    """What came of it, as JSON values."""
    facts = asdict(report)
    facts["questions"] = [
        {**q, "path": str(q["path"]) if q["path"] else None, "flag": flag_of(q["setting"])} for q in facts["questions"]
    ]
    return facts


def report_lines(report: AddReport) -> list[str]:
    """What came of it, for a person: cases, oddities, the table of what was refused, and questions with their flags."""
    lines = [f"Added {len(report.added)}: {_some(report.added)}." if report.added else "Added nothing."]
    had = sum(case not in report.added for case in report.labelled)
    lines += [f"{len(report.labelled) - had} came with an accepted label map."] * (len(report.labelled) > had)
    lines += [f"{had} that were there already got an accepted label map."] * bool(had)
    lines += [f"Already in this study, {len(report.already)}: {_some([name for name, _ in report.already])}."] * bool(
        report.already
    )
    lines += [f"  note: {w}" for w in report.warnings[:MOST_REFUSED]]
    more = len(report.warnings) - MOST_REFUSED
    lines += [f"  ... and {more} more notes; --json lists them all"] * (more > 0)
    lines += _refused_lines([row for row in report.refused if row not in report.already])
    if report.questions:
        lines.append(f"Not added yet, {len(report.questions)} to decide:")
        lines += question_lines(report.questions)
    return lines


def question_lines(questions: Sequence[Question]) -> list[str]:
    """Questions with the flags that answer them, those with the same answers together."""
    groups: dict[tuple[str, tuple[str, ...]], list[Question]] = {}
    for question in questions:
        groups.setdefault((question.setting, tuple(value for value, _ in question.choices)), []).append(question)
    lines = []
    for (setting, _), asked in groups.items():
        lines += [f"  {_with_name(q)}" for q in asked[:MOST_ROWS]]
        lines += [f"  ... and {len(asked) - MOST_ROWS} more"] * (len(asked) > MOST_ROWS)
        lines += answer_lines(setting, asked[0].choices)
    return lines


def answer_lines(setting: str, choices: Sequence[tuple[str, str]]) -> list[str]:
    """The flag of a setting with each value it can take here, for a person to copy."""
    rows = [(f"{flag_of(setting)} {shlex.quote(v)}", text) for v, text in choices or (("VALUE", ""),)]
    return [f"  {row}" for row in aligned(rows)]


def flag_of(setting: str) -> str:
    """The flag that sets a field of `ReadSettings` or `AddSettings`."""
    return _FLAGS.get(setting, f"--{setting.replace('_', '-')}")


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with their columns below each other; the last column runs free."""
    widths = [min(40, max(len(row[n]) for row in rows)) for n in range(len(rows[0]) - 1)]
    return [
        "  " + "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in rows
    ]


def _refused_lines(refused: Sequence[tuple[str, str]]) -> list[str]:
    if not refused:
        return []
    more = len(refused) - MOST_REFUSED
    rest = [f"  ... and {more} more; --json lists them all"] * (more > 0)
    return [f"Refused {len(refused)}:", *aligned(refused[:MOST_REFUSED]), *rest]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _with_name(question: Question) -> str:
    return question.text if question.case in question.text else f"{question.case}: {question.text}"


def _case_facts(case: FoundCase) -> dict[str, Any]:
    return {
        "case": case.case_id or shown_name(case),
        "subject": case.subject,
        "channels": {_channel(f, n): str(f.path) if f.path else None for n, f in enumerate(case.channels)},
        "labels": case.has_labels,
    }


def _row(case: FoundCase) -> tuple[str, str, str, str]:
    channels = (f"{_channel(f, n)}{'' if f.path else ' (missing)'}" for n, f in enumerate(case.channels))
    labels = "yes" if case.has_labels else f"{len(case.choices)} to choose from" if case.choices else "-"
    paths = [c.path for c in case.channels if c.path is not None]
    name = case.case_id or "/".join(paths[0].parts[-2:])  # without an id yet: where it lies
    return name, case.subject or "-", ", ".join(channels), labels


def _channel(file: ChannelFile, number: int) -> str:
    return ", ".join(file.names) or file.name or f"scan {number + 1}"


def channel_from(text: str) -> tuple[str, Path]:
    """NAME=PATH as a name and a path.

    Raises
    ------
    argparse.ArgumentTypeError
        It is of another form.
    """
    match = re.fullmatch(r"([^=/\\]+)=(.+)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"a channel is given as NAME=PATH, such as CT=ct.nii.gz, not {text!r}")
    return match.group(1).strip(), Path(match.group(2))
