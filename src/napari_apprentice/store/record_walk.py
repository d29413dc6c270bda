"""From the bytes of a journal to its records, and why the walk ended."""

from collections.abc import Iterator
from typing import Any

from napari_apprentice.core.correction import Stroke
from napari_apprentice.store.stroke_record import DamagedError, TornError, another_follows, decode, decode_stroke


class Records(Iterator[tuple[dict[str, Any], memoryview]]):
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
