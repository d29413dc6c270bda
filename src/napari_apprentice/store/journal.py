"""Strokes since the newest revision, each safe on disk before the next one is drawn."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_apprentice.core.correction import Stroke
from napari_apprentice.core.records import now
from napari_apprentice.errors import ConflictError, InputError, StudyError
from napari_apprentice.store.files import append_durably, aside_of, storage_errors, write_durably
from napari_apprentice.store.names import check_name
from napari_apprentice.store.stroke_record import (
    DamagedError,
    TornError,
    another_follows,
    decode,
    decode_stroke,
    encode,
    encode_stroke,
)

FILE = "strokes.bin"
_BEGINNING = "The journal of case {} is damaged at its beginning; what its strokes were drawn on is unknown."


@dataclass(frozen=True, eq=False)
class JournalContent:
    """What a journal holds.

    Parameters
    ----------
    parent, model
        The revision and the model version's prediction that the strokes were drawn on.
    strokes
        Oldest first; a stroke that a crash cut off in writing is not among them.
    damaged
        A record before the last is damaged: only the strokes before it could be read.
    """

    parent: str | None
    model: str | None
    strokes: tuple[Stroke, ...]
    damaged: bool = False


class Journal:
    """Appends strokes durably, reads them back after a crash.

    Parameters
    ----------
    root
        The study's journal folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._ends: dict[str, int] = {}  # where this writer's last record ended, by case

    def start(self, case_id: str, parent: str | None, model: str | None) -> None:
        """Begin a case's journal: what the strokes to come are drawn on.

        Raises
        ------
        ConflictError
            There are strokes of this case in no revision yet; nothing was changed.
        StorageError
            The disk is full, gone or read-only.
        """
        path = self._path(case_id)
        if self.started(case_id):
            raise ConflictError(
                f"Case {case_id} has strokes that are in no revision yet; resume and save or discard them."
            )
        with storage_errors(f"the journal of case {case_id}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._keep_damaged(path)
        data = encode({"journal": 1, "parent": parent, "model": model, "started": now()})
        write_durably(path, data)
        self._ends[case_id] = len(data)

    def append(self, case_id: str, stroke: Stroke) -> None:
        """Store one stroke; when this returns, it survives a crash.

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
        known = self._ends.pop(case_id, None)  # forgotten when anything below fails
        if not path.exists():
            self._refuse_missing(case_id, known)
        with storage_errors(f"the journal of case {case_id}"):
            size = path.stat().st_size
        if known is not None and size != known:
            raise ConflictError(
                f"Another window corrects case {case_id} as well; close one of them and open the case again."
            )
        if known is None:
            size = self._mend(path)
        data = encode_stroke(stroke)
        append_durably(path, data)
        self._ends[case_id] = size + len(data)

    def read(self, case_id: str) -> JournalContent | None:
        """Strokes of a case; None when no journal was started.

        Raises
        ------
        StudyError
            The journal's beginning is damaged, so that it is not known what its strokes were drawn on.
        """
        path = self._path(case_id)
        if not path.exists():
            return None
        records = _Records(self._bytes(path))
        opening = next(records, None)
        if opening is None or "journal" not in opening[0]:
            raise StudyError(_BEGINNING.format(case_id))
        strokes = tuple(records.strokes())
        parent, model = (opening[0].get(k) for k in ("parent", "model"))
        return JournalContent(
            None if parent is None else str(parent),
            None if model is None else str(model),
            strokes,
            records.damaged,
        )

    def started(self, case_id: str) -> bool:
        """Whether there is at least one stroke."""
        path = self._path(case_id)
        if not path.exists():
            return False
        records = _Records(self._bytes(path))
        return next(records, None) is not None and next(records, None) is not None

    def close(self, case_id: str) -> None:
        """Remove a case's journal: its strokes are in a revision, or the person discarded them."""
        path = self._path(case_id)
        self._ends.pop(case_id, None)
        with storage_errors(f"the journal of case {case_id}"):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # what a damaged journal left stays
            path.parent.rmdir()

    def _path(self, case_id: str) -> Path:
        return self.root / check_name("case id", case_id) / FILE

    def _bytes(self, path: Path) -> bytes:
        with storage_errors(f"the journal of case {path.parent.name}"):
            return path.read_bytes()

    def _refuse_missing(self, case_id: str, known: int | None) -> None:
        if known is None:
            raise InputError(f"The journal of case {case_id} was not started.")
        raise ConflictError(f"Another window saved or discarded the correction of case {case_id}.")

    def _mend(self, path: Path) -> int:
        """Cut off a torn end before more is appended; returns where the good records end."""
        data = self._bytes(path)
        records = _Records(data)
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
            records = _Records(path.read_bytes())
            for _ in records:
                pass
            if records.damaged:
                path.rename(aside_of(path).with_suffix(".damaged"))


class _Records(Iterator[tuple[dict[str, Any], memoryview]]):
    """Walks over good records; `end` is where they end, `damaged` why it stopped."""

    def __init__(self, data: bytes) -> None:
        self._bytes = data
        self.data = memoryview(data)
        self.end = 0
        self.damaged = False

    def __next__(self) -> tuple[dict[str, Any], memoryview]:
        if self.damaged or self.end >= len(self.data):
            raise StopIteration
        try:
            header, payload, self.end = decode(self.data, self.end)
        except (TornError, DamagedError):
            # A crash can leave zeros or half a block at the end; a record after it proves older damage.
            self.damaged = another_follows(self._bytes, self.end + 1)
            raise StopIteration from None
        return header, payload

    def strokes(self, *, opening: bool = False) -> Iterator[Stroke]:
        """The rest as strokes; `opening` skips the journal's first record."""
        if opening:
            next(self, None)
        while True:
            before = self.end
            record = next(self, None)
            if record is None:
                return
            try:
                stroke = decode_stroke(*record)
            except DamagedError:
                self.end, self.damaged = before, True
                return
            yield stroke
