"""Strokes that can be had again: the newest packed in memory, older ones in a file without a name, or in a journal."""

import tempfile
import threading
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from napari_apprentice.core.correction import Stroke
from napari_apprentice.errors import StorageError
from napari_apprentice.store.files import storage_errors
from napari_apprentice.store.record_walk import StoredStrokes
from napari_apprentice.store.stroke_record import DamagedError, encode_stroke, sealed, stroke_of
from napari_apprentice.store.vault import PLAIN, Vault

MEMORY_BYTES = 64 * 1024**2  # of strokes in memory; more of them are put into a file


class Kept(ABC):
    """A stroke kept for undo.

    Parameters
    ----------
    tool, seconds
        As in `Stroke`.
    """

    def __init__(self, tool: str, seconds: float) -> None:
        self.tool = tool
        self.seconds = seconds

    @property
    def earlier(self) -> bool:
        """Whether it was drawn before the case was opened, on what it showed then."""
        return False

    @abstractmethod
    def stroke(self) -> Stroke:
        """The stroke itself.

        Raises
        ------
        StorageError
            The file that it is in cannot be read.
        """


class TakenBack(Kept):
    """The inverse of another."""

    def __init__(self, other: Kept) -> None:
        super().__init__(other.tool, other.seconds)
        self.other = other

    @property
    def earlier(self) -> bool:
        """As the other."""
        return self.other.earlier

    def stroke(self) -> Stroke:
        """The stroke itself."""
        return self.other.stroke().inverse()


class Shelved(Kept):
    """A stroke on a shelf: as drawn until it is packed, then as its record. `Shelf` makes them."""

    def __init__(self, shelf: "Shelf", tool: str, seconds: float) -> None:
        super().__init__(tool, seconds)
        self._shelf = shelf
        self._drawn: Stroke | None = None
        self._packed: bytes | None = None
        self._place: tuple[int, int] | None = None

    @classmethod
    def drawn(cls, shelf: "Shelf", stroke: Stroke) -> "Shelved":
        """One that was drawn just now."""
        kept = cls(shelf, stroke.tool, stroke.seconds)
        kept._drawn = stroke
        return kept

    def stroke(self) -> Stroke:
        """The stroke itself."""
        drawn = self._drawn
        return drawn if drawn is not None else _decoded(self.record())

    def settle(self) -> None:
        """Take little memory from now on."""
        if self._drawn is not None:
            self.record()

    def record(self) -> bytes:
        """The stroke's record; packs it, so that from now on it takes little memory."""
        if self._packed is None and self._place is None and self._drawn is not None:
            self.pack(encode_stroke(self._drawn))
        packed, place = self._packed, self._place  # in this order: it is in the file before it leaves memory
        return packed if packed is not None else self._shelf.read(place or (0, 0))

    def pack(self, record: bytes) -> None:
        """Take the record instead of the stroke."""
        self._packed, self._drawn = record, None
        self._shelf.count(self, len(record))

    def put_away(self, place: tuple[int, int]) -> None:
        """Leave memory: offset and length in the shelf's file."""
        self._place = place
        self._packed = None


class Shelf:
    """Keeps all strokes of a case that is open, in bounded memory.

    Strokes that have been packed take `MEMORY_BYTES` at most; the oldest are moved to a file that has no name
    and ends with the program. While that file cannot be written either, they stay in memory.

    Parameters
    ----------
    folder
        On the disk where the file is made; by default the temporary folder's.
    vault
        Seals what goes into the file.
    memory
        Bytes of packed strokes in memory.
    """

    def __init__(self, folder: Path | None = None, vault: Vault = PLAIN, memory: int = MEMORY_BYTES) -> None:
        self._folder = folder
        self._vault = vault
        self._most = memory
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._end = 0
        self._here: deque[tuple[Shelved, int]] = deque()
        self.in_memory = 0
        """Bytes of packed strokes in memory."""

    def add(self, stroke: Stroke) -> Shelved:
        """Keep a stroke that was drawn just now; it is packed when its record is asked for."""
        return Shelved.drawn(self, stroke)

    def add_record(self, record: bytes, tool: str, seconds: float) -> Shelved:
        """Keep a stroke that was read from a journal."""
        kept = Shelved(self, tool, seconds)
        kept.pack(record)
        return kept

    def add_all(self, strokes: Sequence[Stroke]) -> list[Shelved]:
        """Keep strokes that were read from a journal."""
        if isinstance(strokes, StoredStrokes):  # packed as they are
            return [self.add_record(strokes.record(i), *facts) for i, facts in enumerate(strokes.facts)]
        return [self.add_record(encode_stroke(s), s.tool, s.seconds) for s in strokes]

    def count(self, kept: Shelved, size: int) -> None:
        """Take note of a stroke that was packed, and make room."""
        with self._lock:
            self._here.append((kept, size))
            self.in_memory += size
            while self.in_memory > self._most and self._put_away():
                pass

    def read(self, place: tuple[int, int]) -> bytes:
        """A record out of the file.

        Raises
        ------
        StorageError
            The file cannot be read.
        """
        offset, length = place
        with self._lock, storage_errors("an older stroke"):
            if self._file is None:
                raise StorageError("An older stroke cannot be read again: its file is gone.")
            self._file.seek(offset)
            return bytes(self._vault.open(self._file.read(length)))

    def _put_away(self) -> bool:
        kept, size = self._here[0]
        try:
            if self._file is None:
                self._file = _nameless(self._folder)
                weakref.finalize(self, self._file.close)
            data = self._vault.seal(kept.record())
            self._file.seek(self._end)
            self._file.write(data)
            self._file.flush()
        except OSError:  # this disk is full too: what is in memory stays there
            return False
        kept.put_away((self._end, len(data)))
        self._end += len(data)
        self._here.popleft()
        self.in_memory -= size
        return True


AnyStroke = Stroke | Shelved


def as_records(strokes: Iterable[AnyStroke], vault: Vault) -> Iterator[bytes]:
    """Records of strokes as they are to be stored."""
    return (sealed(s.record() if isinstance(s, Shelved) else encode_stroke(s), vault) for s in strokes)


def _nameless(folder: Path | None) -> IO[bytes]:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return tempfile.TemporaryFile(dir=folder, prefix="strokes-")


def _decoded(record: bytes) -> Stroke:
    try:
        return stroke_of(record)
    except DamagedError as error:
        raise StorageError("An older stroke could not be read back; save, and open the case again.") from error
