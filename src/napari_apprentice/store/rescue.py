"""Strokes that a study could not take, kept in the user's own data folder until it can."""

import hashlib
import os
import uuid
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from napari_apprentice.core.correction import Stroke
from napari_apprentice.core.records import now
from napari_apprentice.errors import ApprenticeError
from napari_apprentice.store.documents import read_document
from napari_apprentice.store.file_lock import lock
from napari_apprentice.store.files import append_durably, storage_errors, sync_folder
from napari_apprentice.store.journal_content import schema_of
from napari_apprentice.store.names import check_name
from napari_apprentice.store.record_walk import Records
from napari_apprentice.store.shelf import AnyStroke, as_records
from napari_apprentice.store.stroke_record import encode, sealed
from napari_apprentice.store.vault import PLAIN, Vault

_OPENING_BYTES = 1024**2


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
    work, base, schema
        Whose strokes they are, the digest of the prediction that they were drawn on, and which labels there were, as in
        the study's journal of them; "" and None in files of earlier versions.
    """

    def __init__(
        self, path: Path, file: BinaryIO, case_id: str, parent: str | None, model: str | None, author: str,
        started: str, strokes: Sequence[Stroke] = (), vault: Vault = PLAIN, work: str = "", base: str = "",
        schema: tuple[int, ...] | None = None,
    ) -> None:  # fmt: skip
        self.path = path
        self.case_id = case_id
        self.parent = parent
        self.model = model
        self.author = author
        self.started = started
        self.strokes = strokes
        self.work = work
        self.base = base
        self.schema = schema
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
        strokes: Sequence[AnyStroke], vault: Vault = PLAIN, study_id: str = "", work: str = "",
        base: str = "",
        schema: tuple[int, ...] | None = None,
    ) -> RescueJournal:  # fmt: skip
        """Make a rescue journal with strokes in it.

        Parameters
        ----------
        study, study_id
            The study's folder, and what it is known by where it was moved or is mounted elsewhere.
        work, base, schema
            As in the study's journal of these strokes.
        vault
            Of the study: what is encrypted there is encrypted here.

        Raises
        ------
        StorageError
            This disk is full or read-only too.
        """
        began, vault = now(), vault.at(case_id, "rescue")
        key = _keys(study, study_id)[0]
        path = self.folder / f"{key}.{check_name('case id', case_id)}.{uuid.uuid4().hex[:8]}.strokes"
        opening = {
            "journal": 1, "study": str(study.resolve()), "study_id": study_id, "case": case_id, "parent": parent,
            "model": model, "author": author, "started": began, "work": work, "base": base, "schema": schema,
        }  # fmt: skip
        with storage_errors("the rescue journal"):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = open(path, "xb+", opener=_for_this_account)  # noqa: SIM115 - pathlib's takes no opener
        try:
            lock(file)
            append_durably(path, b"".join([sealed(encode(opening), vault), *as_records(strokes, vault)]))
            with storage_errors("the rescue journal"):
                sync_folder(self.folder)
        except BaseException:
            file.close()
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise
        return RescueJournal(path, file, case_id, parent, model, author, began, (), vault, work, base, schema)

    def cases(self, study: Path, vault: Vault = PLAIN, study_id: str = "") -> tuple[str, ...]:
        """Cases of a study for which strokes wait here, those at work in another window among them."""
        found = ((_case_of(path), path) for path in self._files(study, study_id, "*"))
        return tuple(sorted({c for c, path in found if _is_of(path, vault.at(c, "rescue"), study, study_id)}))

    def take(self, study: Path, case_id: str, vault: Vault = PLAIN, study_id: str = "") -> tuple[RescueJournal, ...]:
        """Rescue journals of a case that no window works with, oldest first; each is locked for the caller.

        Those of a study that lay elsewhere count where `study_id` is the same and it lies there no more.
        """
        inside = vault.at(case_id, "rescue")
        found = (self._open(path, inside, study, study_id) for path in self._files(study, study_id, case_id))
        taken = [journal for journal in found if journal is not None and journal.case_id == case_id]
        return tuple(sorted(taken, key=lambda journal: journal.started))

    def _files(self, study: Path, study_id: str, case_id: str) -> tuple[Path, ...]:
        found = (self.folder.glob(f"{key}.{case_id}.????????.strokes") for key in _keys(study, study_id))
        return tuple(sorted(path for paths in found for path in paths))

    def _open(self, path: Path, vault: Vault, study: Path, study_id: str) -> RescueJournal | None:
        try:
            file = path.open("rb+")
        except OSError:  # somebody else's, or gone by now
            return None
        journal = _read(path, file, vault) if lock(file) and _is_of(path, vault, study, study_id) else None
        if journal is None:
            file.close()
        return journal


def _read(path: Path, file: BinaryIO, vault: Vault) -> RescueJournal | None:
    data = file.read()
    records = Records(data, vault)
    opening = next(records, None)
    head = opening[0] if opening else {}
    if not isinstance(head.get("case"), str):
        return None
    strokes = records.rest()
    if records.end < len(data):  # more is appended behind what is good
        if records.damaged:
            path.with_suffix(".damaged").write_bytes(data)
        file.truncate(records.end)
    parent, model = (None if head.get(k) is None else str(head[k]) for k in ("parent", "model"))
    author, started, work, base = (str(head.get(k, "")) for k in ("author", "started", "work", "base"))
    place = author, started, strokes, vault, work, base, schema_of(head)
    return RescueJournal(path, file, head["case"], parent, model, *place)


def _is_of(path: Path, vault: Vault, study: Path, study_id: str) -> bool:
    """Whether a rescue journal belongs to a study at this place."""
    try:
        with path.open("rb") as file:
            opening = next(Records(file.read(_OPENING_BYTES), vault), None)
    except OSError:
        return False
    there, its_id = (str(opening[0].get(k, "")) if opening else "" for k in ("study", "study_id"))
    if its_id and study_id and its_id != study_id:  # another study lay at this place before
        return False
    if there == str(study.resolve()):
        return True
    return bool(its_id and its_id == study_id) and not _lies_at(Path(there), its_id)


def _lies_at(place: Path, study_id: str) -> bool:
    try:
        return read_document(place / "study.json").get("id") == study_id
    except ApprenticeError:
        return False


def _case_of(path: Path) -> str:
    return path.name.split(".", 1)[1].rsplit(".", 2)[0]


def _keys(study: Path, study_id: str) -> tuple[str, ...]:
    """What names of files begin with: that of the study, then that of its place, as in earlier versions."""
    names = (*((study_id,) if study_id else ()), str(study.resolve()))
    return tuple(hashlib.sha256(name.encode()).hexdigest()[:16] for name in names)


def _for_this_account(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
