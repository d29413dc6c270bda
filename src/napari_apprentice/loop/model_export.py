"""A model version as a folder that can be handed on: weights, description, model card; no names of cases or people."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_apprentice.core.model_card import Material, model_card
from napari_apprentice.core.records import CaseInfo, ModelVersion
from napari_apprentice.errors import InputError, ModelError, StudyError
from napari_apprentice.loop.leakage import scans_learned
from napari_apprentice.store.documents import MALFORMED, read_document
from napari_apprentice.store.files import aside_of, remove_quietly, storage_errors, sync_all
from napari_apprentice.store.models import DOCUMENT, WEIGHTS, file_digest
from napari_apprentice.store.study import Study

CARD = "README.md"
_FORMAT, _VERSION = "apprentice-model", 1


def export_model(study: Study, name: str, out: Path) -> Path:
    """Write a model version into a new folder, which `import_model` takes.

    Of an encrypted study too: what is written is not encrypted, and names no case and no person.

    Raises
    ------
    InputError
        The folder is there and not empty, or would be a part of the study.
    ModelError
        No such model version, or its weights are damaged.
    StorageError
        The disk is full, gone or read-only; nothing of it is left.
    """
    version = study.models.info(name)
    weights = study.models.weights(name)
    if file_digest(weights) != version.weights_digest:
        raise ModelError(f"The weights of {name} are not what was registered; they are damaged. Nothing was written.")
    study.refuse_inside(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out.name} exists already and is not empty; choose a new folder.")
    material, ancestors = _material(study, version), lineage(study, name)[1:]
    document = _document(version, material, ancestors, scans_learned(study, name))
    fresh = not out.exists()
    folder = aside_of(out) if fresh else out  # half of a model must not be handed on, nor be in the way of the next try
    with storage_errors(f"the model folder {out.name}"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(weights, folder / WEIGHTS)
            (folder / DOCUMENT).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
            (folder / CARD).write_text(model_card(version, material, ancestors), encoding="utf-8")
            sync_all(folder)
            if fresh:
                folder.rename(out)
        except BaseException:
            for left in (folder,) if fresh else (out / WEIGHTS, out / DOCUMENT, out / CARD):
                remove_quietly(left)
            raise
    return out


def lineage(study: Study, name: str) -> list[dict[str, Any]]:
    """A model version and those it descends from, the newest first, back to the one that was imported or trained."""
    found: list[dict[str, Any]] = []
    known, here = study.models.names(), name
    while here in known and here not in [f["name"] for f in found]:
        version = study.models.info(here)
        found.append({"name": here, "digest": version.weights_digest, "created": version.created, "note": version.note})
        if version.parent is None:
            found.extend(version.origin.get("lineage", ()))
            break
        here = version.parent
    return found


def is_exported(folder: Path) -> bool:
    """Whether it looks like what `export_model` writes."""
    return (folder / DOCUMENT).is_file() and (folder / WEIGHTS).is_file()


def read_export(folder: Path) -> tuple[ModelVersion, dict[str, Any]]:
    """What `export_model` wrote: the model version, without names of cases; and what is to be remembered of it.

    Raises
    ------
    ModelError
        It is none, is damaged, or of a later version of this program.
    """
    try:
        document = read_document(folder / DOCUMENT)
    except StudyError as error:
        raise ModelError(f"{folder.name}/{DOCUMENT} is damaged, so the model cannot be imported.") from error
    if document.get("format") != _FORMAT:
        raise ModelError(f"{folder.name} was not made by export-model: its {DOCUMENT} is of another kind.")
    if document.get("format_version") != _VERSION:
        raise ModelError(f"{folder.name} was made by a later version of this program; update it.")
    try:
        version = ModelVersion.from_json(document)
        ancestors = [{"name": version.name, "digest": version.weights_digest, "created": version.created}]
        return version, {
            "lineage": [*ancestors, *document["lineage"]], "material": dict(document["material"]),
            "scans": [str(digest) for digest in document.get("scans", ())],
        }  # fmt: skip
    except MALFORMED as error:
        raise ModelError(f"{folder.name}/{DOCUMENT} is damaged: it is incomplete.") from error


def _document(
    version: ModelVersion, material: Material, ancestors: list[dict[str, Any]], scans: tuple[str, ...]
) -> Mapping[str, Any]:
    # What names a case or a person stays here: the pairs that the gate's table is the mean of, and the pictures.
    gate = replace(version.gate, pairs=()) if version.gate else None
    shared = replace(version, parent=None, revisions=(), held_out=(), gate=gate, pictures={}, run="")
    return {
        "format": _FORMAT, "format_version": _VERSION, **shared.to_json(), "material": vars(material),
        "lineage": ancestors, "scans": list(scans),
    }  # fmt: skip


def _material(study: Study, version: ModelVersion) -> Material:
    taught, held_out = (_cases(study, keys) for keys in (version.revisions, version.held_out))
    channels = version.channels or next(
        (info.channels for info in _infos(study, taught)), tuple(version.origin.get("channels", ()))
    )
    return Material(
        len(version.revisions), _subjects(study, taught), len(version.held_out), _subjects(study, held_out), channels
    )


def _cases(study: Study, keys: tuple[str, ...]) -> list[str]:
    known = set(study.cases.ids())
    return [c for c in dict.fromkeys(k.partition("/")[0] for k in keys) if c in known]


def _subjects(study: Study, cases: list[str]) -> int:
    return len({info.subject for info in _infos(study, cases)})


def _infos(study: Study, cases: list[str]) -> Iterator[CaseInfo]:
    """What is known of cases, without those that are damaged."""
    for case_id in cases:
        with suppress(StudyError):
            yield study.cases.info(case_id)
