"""From the bytes of a journal to its records, and why the walk ended."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np

from napari_apprentice.core.correction import Stroke
from napari_apprentice.store.stroke_record import (
    DamagedError,
    TornError,
    another_follows,
    decode,
    decode_stroke,
    encode,
    stroke_of,
    unsealed,
)
from napari_apprentice.store.vault import PLAIN, Vault


class Records(Iterator[tuple[dict[str, Any], memoryview]]):
    """Walks over good records; `start` is where the newest begins, `end` where it ends, `damaged` why it stopped.

    Parameters
    ----------
    data
        Of the whole file.
    vault
        Opens each record.
    most
        Voxels that a stroke may have; a larger one is damage.
    """

    def __init__(self, data: bytes, vault: Vault = PLAIN, most: float = math.inf) -> None:
        self._bytes = data
        self._vault = vault
        self._most = most
        self.data = memoryview(data)
        self.start = self.end = 0
        self.damaged = False

    def __next__(self) -> tuple[dict[str, Any], memoryview]:
        if self.damaged or self.end >= len(self.data):
            raise StopIteration
        try:
            header, payload, end = decode(self.data, self.end)
        except (TornError, DamagedError):
            # A crash can leave zeros or half a block at the end; a record after it proves older damage.
            self.damaged = another_follows(self._bytes, self.end + 1)
            raise StopIteration from None
        try:
            header, payload = unsealed(header, payload, self._vault)
        except DamagedError:  # written whole once: no crash does that
            self.damaged = True
            raise StopIteration from None
        self.start, self.end = self.end, end
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
                stroke = decode_stroke(*record, self._most)
            except DamagedError:
                self.end, self.damaged = before, True
                return
            yield stroke

    def rest(self) -> "StoredStrokes":
        """The rest as strokes that are read when asked for."""
        places, facts, kinds = [], [], {np.dtype(np.uint8)}
        for stroke in self.strokes():
            places.append((self.start, self.end))
            facts.append((stroke.tool, stroke.seconds))
            kinds.add(stroke.labels_after.dtype)
        return StoredStrokes(self.data, places, facts, self._vault, np.result_type(*kinds))


def label_type(strokes: Sequence[Stroke]) -> "np.dtype[Any]":
    """Number type that has room for the labels of all strokes."""
    if isinstance(strokes, StoredStrokes):
        return strokes.label_type
    return np.result_type(np.uint8, *(stroke.labels_after.dtype for stroke in strokes))


class StoredStrokes(Sequence[Stroke]):
    """Strokes of a file, decoded anew each time that one is asked for: none stays in memory.

    Parameters
    ----------
    data
        Of the whole file.
    places
        First byte of each record and the byte after its last.
    facts
        Tool and seconds of each.
    vault
        Opens each record.
    label_type
        Number type that has room for the labels of all of them.
    """

    def __init__(
        self, data: memoryview, places: Sequence[tuple[int, int]], facts: Sequence[tuple[str, float]], vault: Vault,
        label_type: "np.dtype[Any]",
    ) -> None:  # fmt: skip
        self.label_type = label_type
        self._data = data
        self._vault = vault
        self.places = places
        self.facts = facts

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Stroke: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Stroke]: ...
    def __getitem__(self, index: int | slice) -> Stroke | Sequence[Stroke]:
        if isinstance(index, slice):
            return StoredStrokes(self._data, self.places[index], self.facts[index], self._vault, self.label_type)
        return stroke_of(self.stored(index), self._vault)

    def stored(self, index: int) -> memoryview:
        """A record as it stands in the file."""
        start, end = self.places[index]
        return self._data[start:end]

    def record(self, index: int) -> bytes:
        """A record as `encode_stroke` made it."""
        stored = self.stored(index)
        if not self._vault.encrypted:
            return bytes(stored)
        header, payload, _ = decode(stored, 0)
        return encode(*unsealed(header, payload, self._vault))
