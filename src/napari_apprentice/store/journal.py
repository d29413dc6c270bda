"""Strokes since the newest revision, safe on disk when `append` returns."""

import errno
import os
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from napari_apprentice.core.records import now
from napari_apprentice.errors import ConflictError, InputError, StudyError
from napari_apprentice.store.files import (
    append_durably,
    aside_of,
    create_durably,
    remove_quietly,
    storage_errors,
    sync_folder,
    write_durably,
)
from napari_apprentice.store.journal_content import JournalContent, content_of
from napari_apprentice.store.journal_files import FILE, JournalFiles
from napari_apprentice.store.record_walk import Records
from napari_apprentice.store.shelf import AnyStroke, as_records
from napari_apprentice.store.stroke_record import encode, sealed
from napari_apprentice.store.vault import PLAIN, Vault

__all__ = ["FILE", "Journal", "JournalContent"]

_BEGIN_BYTES = 1024**2
_BEGINNING = "The journal of case {} is damaged at its beginning; what its strokes were drawn on is unknown."


class Journal(JournalFiles):
    """Appends strokes durably, reads them back after a crash.

    It remembers how far it wrote itself, so that another writer at the same case is noticed: each
    writer has a journal object of its own.

    When its strokes are in a revision a journal is not removed but takes the revision's name: undo reaches
    back into it.

    Parameters
    ----------
    root
        The study's journal folder.
    vault, grid_voxels
        How records are written, and how large a stroke can be; see `JournalFiles`.
    """

    def __init__(
        self, root: Path, vault: Vault = PLAIN, grid_voxels: Callable[[str], int | None] = lambda _: None
    ) -> None:
        super().__init__(root, vault, grid_voxels)
        self.work = uuid.uuid4().hex[:16]
        """Written into journals begun here: two people may draw the same stroke, and it is two strokes."""
        self.schema: tuple[int, ...] | None = None
        """Ids of the labels there are when a journal is begun here: what is called background may be a later one."""
        self._sizes: dict[str, int] = {}  # of the file as this writer left it or found it, by case
        self._counts: dict[str, int] = {}  # strokes in it
        self._tried: dict[str, bytes] = {}  # what a disk may have taken a part of, and then refused
        self._unmended: set[str] = set()  # files that may end in a torn record
        self._begun: dict[str, bytes] = {}  # a whole journal of this writer that a disk may have taken all the same
        self._spent: set[str] = set()  # journals whose strokes are in a revision, and that could not be removed

    def another(self) -> "Journal":
        """A journal of the same study for another writer."""
        return Journal(self.root, self._vault, self._grid_voxels)

    def start(
        self, case_id: str, parent: str | None, model: str | None, strokes: Sequence[AnyStroke] = (), base: str = ""
    ) -> None:
        """Begin a case's journal: what the strokes to come are drawn on, and the first of them.

        Parameters
        ----------
        base
            Digest of the model version's prediction.

        Raises
        ------
        ConflictError
            There are strokes of this case in no revision yet; nothing was changed.
        StorageError
            The disk is full, gone or read-only.
        """
        path = self._path(case_id)
        if self.started(case_id) and not self._may_go(case_id, path):
            raise _taken(case_id)
        with storage_errors(f"the journal of case {case_id}"):
            self._make_folder(path.parent)
            self._keep_damaged(path)
            self._clear(case_id, path)
            data = self._begun[case_id] = self._whole(case_id, parent, model, strokes, base)
            if not create_durably(path, data):
                raise _taken(case_id)
        del self._begun[case_id]
        self._spent.discard(case_id)
        self._sizes[case_id], self._counts[case_id] = len(data), len(strokes)

    def adopt(self, case_id: str, content: JournalContent) -> None:
        """Go on from a journal as it was read; when it grew in the meantime the next stroke is refused."""
        self._sizes[case_id], self._counts[case_id] = content.size, len(content.strokes)
        self.work, self.schema = content.work or self.work, content.schema or self.schema
        self._unmended.add(case_id)

    def append(self, case_id: str, *strokes: AnyStroke) -> None:
        """Store strokes with one fsync; when this returns, they survive a crash.

        Raises
        ------
        InputError
            The journal was not started.
        ConflictError
            Another window corrects the same case.
        StorageError
            The disk is full, gone or read-only; the strokes before are unchanged.
        """
        path = self._path(case_id)
        with storage_errors(f"the journal of case {case_id}"):
            size = self._size(case_id, path)
            self._refuse_another(case_id, path, size)
            size = self._mend_once(case_id, path, size)
            data = b"".join(as_records(strokes, self._at(case_id)))
            self._tried[case_id] = data
            append_durably(path, data)
        del self._tried[case_id]
        self._sizes[case_id] = size + len(data)
        self._counts[case_id] = self._counts.get(case_id, 0) + len(strokes)

    def read(self, case_id: str) -> JournalContent | None:
        """Strokes of a case; None when no journal was started.

        Raises
        ------
        StudyError
            The journal's beginning is damaged, so that it is not known what its strokes were drawn on; or it is no
            file, or larger than this computer's memory.
        StorageError
            The file cannot be read.
        """
        path = self._path(case_id)
        data = self._bytes(path)
        if data is None:
            return None
        content = content_of(data, self._at(case_id), self.most(case_id))
        if content is None:
            raise StudyError(_BEGINNING.format(case_id))
        return content

    def started(self, case_id: str) -> bool:
        """Whether there is at least one stroke."""
        path = self._path(case_id)
        data = self._bytes(path, _BEGIN_BYTES)
        if data is not None and len(data) == _BEGIN_BYTES and not _has_strokes(data):  # one large stroke
            data = self._bytes(path)
        return data is not None and _has_strokes(data)

    def archive(
        self, case_id: str, revision: str, parent: str | None, model: str | None, strokes: Sequence[AnyStroke]
    ) -> None:
        """Keep the strokes that led to a revision under its name, and end the journal.

        Where the journal holds just these strokes it is renamed. Where it does not, because the disk did not take
        them all or another writer has it, they are written anew, and it goes the way of `close`.

        Raises
        ------
        StorageError
            Undo will not reach behind the revision when the case is opened again.
        """
        path, target = self._path(case_id), self._archive(case_id, revision)
        with storage_errors(f"the journal of case {case_id}"):
            if path.exists() and self._counts.get(case_id) == len(strokes) and self._is_as_left(case_id, path):
                self._spent.add(case_id)
                path.rename(target)
                self._forget(case_id)
                sync_folder(target.parent)
                return
            self._make_folder(path.parent)
        try:
            write_durably(target, self._whole(case_id, parent, model, strokes))
        finally:  # also on a full disk: what it holds is in the revision, and would be taken for unsaved strokes
            if case_id in self._sizes:  # else it is another writer's
                self.close(case_id)

    def close(self, case_id: str) -> None:
        """Remove a case's journal: its strokes are in a revision, or the person discarded them.

        A journal that this one adopted or began, and that another writer went on with, stays as it is.
        """
        path = self._path(case_id)
        known = self._sizes.get(case_id)
        with storage_errors(f"the journal of case {case_id}"):
            if known is not None and path.exists() and not self._is_mine(case_id, path, path.stat().st_size):
                self._forget(case_id)
                return
            self._spent.add(case_id)
            path.unlink(missing_ok=True)
            self._forget(case_id)
            with suppress(OSError):  # what a damaged journal left stays, and who has the case open
                path.parent.rmdir()

    def _forget(self, case_id: str) -> None:
        self._sizes.pop(case_id, None)
        self._counts.pop(case_id, None)
        self._tried.pop(case_id, None)
        self._spent.discard(case_id)
        self._unmended.discard(case_id)

    def _whole(
        self, case_id: str, parent: str | None, model: str | None, strokes: Sequence[AnyStroke], base: str = ""
    ) -> bytes:
        facts = {"parent": parent, "model": model, "started": now(), "work": self.work, "base": base}
        opening, vault = encode({"journal": 1, **facts, "schema": self.schema}), self._at(case_id)
        return b"".join([sealed(opening, vault), *as_records(strokes, vault)])

    def _is_as_left(self, case_id: str, path: Path) -> bool:
        return path.stat().st_size == self._sizes.get(case_id)

    def _may_go(self, case_id: str, path: Path) -> bool:
        # Saved, or begun by this writer on a disk that took it and then said that it had not.
        return self._is_spent(case_id) or path.read_bytes() == self._begun.get(case_id)

    def _is_spent(self, case_id: str) -> bool:
        path = self._path(case_id)
        return case_id in self._spent and self._is_mine(case_id, path, path.stat().st_size)

    def _clear(self, case_id: str, path: Path) -> None:
        """Take away a journal that nobody needs; one that another writer has begun just now is put back."""
        if not path.exists():
            return
        spent, aside = self._may_go(case_id, path), aside_of(path)
        path.rename(aside)
        if not spent and _has_strokes(aside.read_bytes()):
            if create_durably(path, aside.read_bytes()):
                remove_quietly(aside)
            raise _taken(case_id)
        remove_quietly(aside)

    def _make_folder(self, folder: Path) -> None:
        self._refuse_gone()
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)
            sync_folder(self.root)

    def _refuse_gone(self) -> None:
        # Without this, strokes would be laid down under the mount point of a share that is not there.
        if not self.root.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.root))

    def _size(self, case_id: str, path: Path) -> int:
        try:
            return path.stat().st_size
        except FileNotFoundError:
            self._refuse_gone()
            if case_id not in self._sizes:
                raise InputError(f"The journal of case {case_id} was not started.") from None
            raise ConflictError(f"Another window saved or discarded the correction of case {case_id}.") from None

    def _refuse_another(self, case_id: str, path: Path, size: int) -> None:
        if case_id in self._sizes and not self._is_mine(case_id, path, size):
            raise ConflictError(
                f"Another window corrects case {case_id} as well; close one of them and open the case again."
            )

    def _is_mine(self, case_id: str, path: Path, size: int) -> bool:
        """Whether nobody else wrote to it since this writer did."""
        known, tried = self._sizes[case_id], self._tried.get(case_id, b"")
        if size == known:
            return True
        # Or a beginning of this writer's own record, left by a disk that failed half-way.
        return known < size <= known + len(tried) and tried.startswith(path.read_bytes()[known:])

    def _mend_once(self, case_id: str, path: Path, size: int) -> int:
        """Cut off a torn end, where there may be one; the size after that."""
        known = self._sizes.get(case_id)
        if known is not None and size != known:
            os.truncate(path, known)
            return known
        if known is None or case_id in self._unmended:
            size = self._sizes[case_id] = self._mend(path)
            self._unmended.discard(case_id)
        return size

    def _mend(self, path: Path) -> int:
        """Cut off a torn end before more is appended; returns where the good records end."""
        data = path.read_bytes()
        records = Records(data, self._at(path.parent.name), self.most(path.parent.name))
        for _ in records.strokes(opening=True):
            pass
        if records.end == 0:
            raise StudyError(_BEGINNING.format(path.parent.name))
        if records.end < len(data):
            if records.damaged:
                write_durably(aside_of(path).with_suffix(".damaged"), data)
            write_durably(path, data[: records.end])
        return records.end

    def _keep_damaged(self, path: Path) -> None:
        if path.exists() and path.stat().st_size:
            records = Records(path.read_bytes(), self._at(path.parent.name))
            for _ in records:
                pass
            if records.damaged:
                path.rename(aside_of(path).with_suffix(".damaged"))


def _has_strokes(data: bytes) -> bool:
    records = Records(data)
    return next(records, None) is not None and next(records, None) is not None


def _taken(case_id: str) -> ConflictError:
    return ConflictError(f"Case {case_id} has strokes that are in no revision yet; resume and save or discard them.")
