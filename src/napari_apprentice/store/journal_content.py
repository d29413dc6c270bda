"""What a journal holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_apprentice.core.correction import Stroke
from napari_apprentice.store.record_walk import Records
from napari_apprentice.store.vault import Vault


@dataclass(frozen=True, eq=False)
class JournalContent:
    """What a journal holds.

    Parameters
    ----------
    parent, model
        The revision and the model version's prediction that the strokes were drawn on.
    strokes
        Oldest first, decoded when asked for; a stroke that a crash cut off in writing is not among them.
    damaged
        A record before the last is damaged: only the strokes before it could be read.
    size
        Bytes of the file when it was read, a torn end included.
    work
        Whose strokes they are: what one opening of the case drew, and who went on with it. "" in older journals.
    base
        Digest of that prediction, by which it is told from one made anew. "" in older journals.
    """

    parent: str | None
    model: str | None
    strokes: Sequence[Stroke]
    damaged: bool = False
    size: int = 0
    work: str = ""
    base: str = ""
    schema: tuple[int, ...] | None = None
    """Ids of the labels that there were when the first stroke was drawn; None in older journals."""


def content_of(data: bytes, vault: Vault, most: float) -> JournalContent | None:
    """Read a journal's bytes; None when its beginning is damaged, so that its strokes cannot be placed.

    Parameters
    ----------
    most
        Voxels that a stroke may have.
    """
    records = Records(data, vault, most)
    opening = next(records, None)
    if opening is None or "journal" not in opening[0]:
        return None
    parent, model = (None if opening[0].get(k) is None else str(opening[0][k]) for k in ("parent", "model"))
    strokes = records.rest()
    work, base = (str(opening[0].get(k, "")) for k in ("work", "base"))
    return JournalContent(parent, model, strokes, records.damaged, len(data), work, base, schema_of(opening[0]))


def schema_of(opening: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Ids of the labels that there were when a journal was begun; None where it does not say."""
    ids = opening.get("schema")
    return tuple(int(i) for i in ids) if isinstance(ids, list) else None
