"""How a finished prediction takes the place of an older one, and which older one is kept."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from napari_apprentice.errors import StudyError
from napari_apprentice.store.documents import MALFORMED
from napari_apprentice.store.files import aside_of, put_in_place, remove_quietly, storage_errors, sync_all
from napari_apprentice.store.process import lives, place
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
    sync_all(aside)
    _exchange(aside, final, journal)
    remove_quietly(final / PROGRESS)  # not before: a reader of slabs goes by it


def _exchange(aside: Path, final: Path, journal: Path) -> None:
    # A folder cannot be renamed over another; for the blink between the two renames there is no
    # prediction, which a reader is used to. Strokes find theirs all the same, at every instant: it gets
    # the name that it is kept under in the first rename.
    while not put_in_place(aside, final):
        old, is_kept = _put_away(final, kept_for(final, journal))
        try:
            committed = put_in_place(aside, final)
        except BaseException:
            with suppress(OSError):
                old.rename(final)  # it counts until another one has taken its place
            raise
        if not is_kept:
            remove_quietly(old)
        if committed:
            return


def _put_away(final: Path, kept: Path | None) -> tuple[Path, bool]:
    """Where the prediction before is now, and whether it stays there."""
    if kept is None or kept.exists():  # only the first is kept: what came later, nobody drew on from the beginning
        old = aside_of(final)
        with suppress(FileNotFoundError):  # another writer was quicker; try again
            final.rename(old)
        return old, False
    try:
        final.rename(kept)
    except OSError as error:
        if not kept.exists() and not isinstance(error, FileNotFoundError):
            raise  # else another writer was quicker
    return kept, True


def kept_for(final: Path, journal: Path) -> Path | None:
    """Where the prediction is kept that the strokes of a journal were drawn on; None without a journal."""
    identity = _identity(journal)
    return final.with_name(f".{final.name}.{identity}{_KEPT}") if identity else None


def sweep_kept(folder: Path, journal: Path) -> None:
    """Remove what was kept for journals that are gone."""
    found = list(folder.glob(f".*{_KEPT}"))  # before the journal is read: it may be begun just now
    identity = _identity(journal)
    for path in found:
        if not identity or not path.name.endswith(f".{identity}{_KEPT}"):
            remove_quietly(path)


def sweep_dead(folder: Path) -> None:
    """Remove predictions that a process of this place began and did not live to finish."""
    for path in folder.glob(f".*.aside/{PROGRESS}"):
        with suppress(OSError, StudyError, *MALFORMED):
            found = json.loads(read_plain(path, LARGEST_DOCUMENT).splitlines()[0])
            if found["place"] == place() and not lives(int(found["pid"]), float(found["born"])):
                remove_quietly(path.parent)


def owner() -> dict[str, Any]:
    """What this process says of itself in the first line of a prediction that it makes."""
    return {"place": place(), "pid": os.getpid(), "born": psutil.Process().create_time()}


def _identity(journal: Path) -> str:
    """What tells a journal from the next one of the same case; "" where there is none."""
    with storage_errors(f"the journal of case {journal.parent.name}"):  # unreadable for now is not gone
        try:
            with journal.open("rb") as file:
                opening = file.read(_OPENING)
        except FileNotFoundError:
            return ""
    return hashlib.sha256(opening).hexdigest()[:16] if opening else ""
