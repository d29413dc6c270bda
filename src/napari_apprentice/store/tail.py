"""What follows the last good record of a journal."""

from dataclasses import dataclass

from napari_apprentice.store.record_walk import Records
from napari_apprentice.store.stroke_record import TornError, decode
from napari_apprentice.store.vault import Vault


@dataclass(frozen=True)
class Tail:
    """The end of a journal's bytes.

    Parameters
    ----------
    start
        Where the good records end.
    strokes
        How many strokes are before it.
    size
        Bytes that follow; 0 in a sound journal.
    damaged
        Whether they are more than a crash leaves behind: a crash cuts a record short or leaves zeros.
    """

    start: int
    strokes: int
    size: int
    damaged: bool


def tail_of(data: bytes, vault: Vault, most: float) -> Tail:
    """Find where a journal's good records end; `vault` is the study's, at the journal, `most` voxels of a stroke."""
    records = Records(data, vault, most)
    strokes = sum(1 for _ in records.strokes(opening=True))
    rest = data[records.end :]
    return Tail(records.end, strokes, len(rest), records.damaged or (any(rest) and not _cut_short(data, records.end)))


def _cut_short(data: bytes, offset: int) -> bool:
    try:
        decode(memoryview(data), offset)
    except TornError:
        return True
    except ValueError:
        return False
    return False
