"""Strokes that a study could not take, kept in the user's own data folder until it can."""

import hashlib
import os
import sys
import uuid
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from napari_apprentice.core.correction import Stroke
from napari_apprentice.core.records import now
from napari_apprentice.store.files import append_durably, storage_errors, sync_folder
from napari_apprentice.store.names import check_name
from napari_apprentice.store.record_walk import Records
from napari_apprentice.store.shelf import AnyStroke, as_records
from napari_apprentice.store.stroke_record import encode, sealed
from napari_apprentice.store.vault import PLAIN, Vault

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class RescueJournal:
    """All strokes of one case since a revision, in one file; locked as long as this object holds it.

    The lock ends with the process, so that a file is never taken from a window that still works on it.
    `Rescues` makes them.

    Parameters
    ----------
    path, file
        The file, and it opened and locked.
    case_id, parent, model, author, started
        What its strokes were drawn on, by whom, and when the file was begun.
    strokes
        Oldest first.
    vault
        How its records are written.
    """

    def __init__(
        self, path: Path, file: BinaryIO, case_id: str, parent: str | None, model: str | None, author: str,
        started: str, strokes: Sequence[Stroke] = (), vault: Vault = PLAIN,
    ) -> None:  # fmt: skip
        self.path = path
        self.case_id = case_id
        self.parent = parent
        self.model = model
        self.author = author
        self.started = started
        self.strokes = strokes
        self._vault = vault
        self._unlock = weakref.finalize(self, file.close)  # also for a case that was read and never shown
        self._size = path.stat().st_size

    def append(self, strokes: Sequence[AnyStroke]) -> None:
        """Store more strokes; when this returns they survive a crash.

        Raises
        ------
        StorageError
            This disk is full or read-only too.
        """
        data = b"".join(as_records(strokes, self._vault))
        with storage_errors("the rescue journal"):
            os.truncate(self.path, self._size)  # what a full disk may have left of the last attempt
            append_durably(self.path, data)
        self._size += len(data)

    def release(self) -> None:
        """Leave the file for whoever opens the case next."""
        self._unlock()

    def remove(self) -> None:
        """Remove the file: its strokes are in the study."""
        self._unlock()
        with suppress(OSError):  # one that stays is recognised as known when the case is opened again
            self.path.unlink(missing_ok=True)


class Rescues:
    """The rescue journals of this user on this computer.

    Parameters
    ----------
    folder
        Where they are; made when the first is needed, readable for this account only.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(
        self, study: Path, case_id: str, parent: str | None, model: str | None, author: str,
        strokes: Sequence[AnyStroke], vault: Vault = PLAIN,
    ) -> RescueJournal:  # fmt: skip
        """Make a rescue journal with strokes in it.

        Parameters
        ----------
        vault
            Of the study: what is encrypted there is encrypted here.

        Raises
        ------
        StorageError
            This disk is full or read-only too.
        """
        began, vault = now(), vault.at(case_id, "rescue")
        path = self.folder / f"{_key(study)}.{check_name('case id', case_id)}.{uuid.uuid4().hex[:8]}.strokes"
        opening = {
            "journal": 1, "study": str(study.resolve()), "case": case_id, "parent": parent, "model": model,
            "author": author, "started": began,
        }  # fmt: skip
        with storage_errors("the rescue journal"):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = open(path, "xb+", opener=_for_this_account)  # noqa: SIM115 - pathlib's takes no opener
        try:
            _lock(file)
            append_durably(path, b"".join([sealed(encode(opening), vault), *as_records(strokes, vault)]))
            with storage_errors("the rescue journal"):
                sync_folder(self.folder)
        except BaseException:
            file.close()
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise
        return RescueJournal(path, file, case_id, parent, model, author, began, vault=vault)

    def cases(self, study: Path) -> tuple[str, ...]:
        """Cases of a study for which strokes wait here, those at work in another window among them."""
        return tuple(sorted({p.name.split(".", 1)[1].rsplit(".", 2)[0] for p in self._files(study, "*")}))

    def take(self, study: Path, case_id: str, vault: Vault = PLAIN) -> tuple[RescueJournal, ...]:
        """Rescue journals of a case that no window works with, oldest first; each is locked for the caller."""
        inside = vault.at(case_id, "rescue")
        found = (self._open(study, path, inside) for path in self._files(study, case_id))
        taken = [journal for journal in found if journal is not None and journal.case_id == case_id]
        return tuple(sorted(taken, key=lambda journal: journal.started))

    def _files(self, study: Path, case_id: str) -> tuple[Path, ...]:
        return tuple(sorted(self.folder.glob(f"{_key(study)}.{case_id}.????????.strokes")))

    def _open(self, study: Path, path: Path, vault: Vault) -> RescueJournal | None:
        try:
            file = path.open("rb+")
        except OSError:  # somebody else's, or gone by now
            return None
        journal = _read(path, file, str(study.resolve()), vault) if _lock(file) else None
        if journal is None:
            file.close()
        return journal


def _read(path: Path, file: BinaryIO, study: str, vault: Vault) -> RescueJournal | None:
    data = file.read()
    records = Records(data, vault)
    opening = next(records, None)
    head = opening[0] if opening else {}
    if head.get("study") != study or not isinstance(head.get("case"), str):
        return None
    strokes = records.rest()
    if records.end < len(data):  # more is appended behind what is good
        if records.damaged:
            path.with_suffix(".damaged").write_bytes(data)
        file.truncate(records.end)
    parent, model = (None if head.get(k) is None else str(head[k]) for k in ("parent", "model"))
    author, started = str(head.get("author", "")), str(head.get("started", ""))
    return RescueJournal(path, file, head["case"], parent, model, author, started, strokes, vault)


def _key(study: Path) -> str:
    return hashlib.sha256(str(study.resolve()).encode()).hexdigest()[:16]


def _for_this_account(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _lock(file: BinaryIO) -> bool:
    """Whether the file is this object's now; a file system without locks never refuses."""
    try:
        if sys.platform == "win32":
            file.seek(1 << 40)  # far behind the records, which stay readable for others
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return sys.platform != "win32"
    return True
