"""How a finished prediction takes the place of an older one, and which older one is kept."""

import hashlib
import json
import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from napari_apprentice.errors import StudyError
from napari_apprentice.store.documents import MALFORMED
from napari_apprentice.store.files import aside_of, commit_folder, remove_quietly
from napari_apprentice.store.process import lives
from napari_apprentice.store.trust import LARGEST_DOCUMENT, read_plain

PROGRESS = "slabs.jsonl"
_KEPT = ".kept"
_OPENING = 64  # bytes; the head of a journal's first record has a checksum of all of that record


def commit_over(aside: Path, final: Path, journal: Path) -> None:
    """Put a finished folder in the place of another one.

    Parameters
    ----------
    journal
        The case's; while there is one, the prediction that its strokes were drawn on is kept for them.
    """
    _exchange(aside, final, journal)
    remove_quietly(final / PROGRESS)  # not before: a reader of slabs goes by it


def _exchange(aside: Path, final: Path, journal: Path) -> None:
    # A folder cannot be renamed over another; for the blink between the two renames there is no
    # prediction, which a reader is used to.
    while not commit_folder(aside, final):
        old = aside_of(final)
        with suppress(FileNotFoundError):  # another writer was quicker; try again
            final.rename(old)
        try:
            committed = commit_folder(aside, final)
        except OSError:
            with suppress(OSError):
                old.rename(final)  # it counts until another one has taken its place
            raise
        _let_go(old, kept_for(final, journal))
        if committed:
            return


def _let_go(old: Path, kept: Path | None) -> None:
    if kept is not None and not kept.exists():  # only the first: what came later, nobody drew on from the beginning
        with suppress(OSError):
            old.rename(kept)
            return
    remove_quietly(old)


def kept_for(final: Path, journal: Path) -> Path | None:
    """Where the prediction is kept that the strokes of a journal were drawn on; None without a journal."""
    identity = _identity(journal)
    return final.with_name(f".{final.name}.{identity}{_KEPT}") if identity else None


def sweep_kept(folder: Path, journal: Path) -> None:
    """Remove what was kept for journals that are gone."""
    identity = _identity(journal)
    for path in folder.glob(f".*{_KEPT}"):
        if not identity or not path.name.endswith(f".{identity}{_KEPT}"):
            remove_quietly(path)


def sweep_dead(folder: Path) -> None:
    """Remove predictions that a process of this computer began and did not live to finish."""
    for path in folder.glob(f".*.aside/{PROGRESS}"):
        with suppress(OSError, StudyError, *MALFORMED):
            found = json.loads(read_plain(path, LARGEST_DOCUMENT).splitlines()[0])
            if found["host"] == _host() and not lives(int(found["pid"]), float(found["born"])):
                remove_quietly(path.parent)


def owner() -> dict[str, Any]:
    """What this process says of itself in the first line of a prediction that it makes."""
    return {"host": _host(), "pid": os.getpid(), "born": psutil.Process().create_time()}


def _host() -> str:
    """What tells this computer from others; not its name, which is nobody's business in an encrypted study."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:16]


def _identity(journal: Path) -> str:
    """What tells a journal from the next one of the same case; "" where there is none."""
    try:
        with journal.open("rb") as file:
            opening = file.read(_OPENING)
    except OSError:
        return ""
    return hashlib.sha256(opening).hexdigest()[:16] if opening else ""
