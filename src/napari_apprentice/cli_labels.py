"""`apprentice labels`: see, add, rename and remove the labels of a study."""

import argparse
from typing import Any

from napari_apprentice.cli_progress import drain
from napari_apprentice.core.labels import Label, LabelSchema
from napari_apprentice.errors import InputError
from napari_apprentice.session import Session

Options = argparse.Namespace
Answer = tuple[dict[str, Any], list[str]]  # what --json prints, and the lines for a person


def labels(options: Options, session: Session) -> Answer:
    """Show the labels, after what was asked for: remove, rename, add, in this order."""
    session.open_study(options.study)
    schema = session.study.schema
    left = _renamed(_removed(schema, options.remove or ()), options.rename or ())
    wanted = session.labels_with(left, options.add or ())
    if wanted != schema:
        drain(session.set_labels(wanted, schema), options.json)
    found = session.study.schema
    return {"labels": found.to_json()}, [f"{label.id} {label.name} {label.colour}" for label in found.labels]


def _removed(schema: LabelSchema, names: list[str] | tuple[()]) -> LabelSchema:
    gone = {_id(schema, name) for name in names}
    if gone == set(schema.ids):
        raise InputError("A study needs at least one label: add the new ones first.")
    return LabelSchema(tuple(label for label in schema.labels if label.id not in gone))


def _renamed(schema: LabelSchema, pairs: list[str] | tuple[()]) -> LabelSchema:
    """All at once, so that two labels can take each other's name."""
    names = {label.id: label.name for label in schema.labels}
    for text in pairs:
        old, sign, new = (part.strip() for part in text.partition("="))
        if not sign or not new:
            raise InputError(f"--rename takes OLD=NEW, as in liver=Liver, not {text[:120]!r}.")
        names[_id(schema, old)] = new
    return LabelSchema(tuple(Label(x.id, names[x.id], x.colour) for x in schema.labels))


def _id(schema: LabelSchema, name: str) -> int:
    found = schema.id_of(name.strip())
    if found is None:
        raise InputError(f"This study has no label {name[:120]!r}; it has {', '.join(x.name for x in schema.labels)}.")
    return found
