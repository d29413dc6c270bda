"""Small JSON files: read with a sentence when damaged, written durably."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_apprentice.errors import StudyError
from napari_apprentice.store.files import storage_errors, write_durably
from napari_apprentice.store.trust import LARGEST_DOCUMENT, read_plain

# What json, int(), float() and [...] raise over a document that is not what it should be.
MALFORMED = (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError)


def read_document(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    StudyError
        Not there, a link, absurdly large, not JSON, or not an object.
    StorageError
        The file cannot be read.
    """
    with storage_errors(f"the file {path.name}"):
        if path.parent.is_dir() and not path.exists():
            raise StudyError(f"{path.parent.name}/{path.name} is missing; the study is damaged.")
        data = read_plain(path, LARGEST_DOCUMENT)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise StudyError(f"{path.parent.name}/{path.name} is damaged: it is not JSON.") from error
    if not isinstance(document, dict):
        raise StudyError(f"{path.parent.name}/{path.name} is damaged: it holds no JSON object.")
    return document


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON object durably, for a person to read."""
    write_durably(path, (json.dumps(document, indent=2) + "\n").encode())
