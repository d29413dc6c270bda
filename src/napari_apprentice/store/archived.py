"""Strokes that led to a revision, read one by one from the journal that has its name."""

from dataclasses import dataclass
from pathlib import Path

from napari_apprentice.core.correction import Stroke
from napari_apprentice.errors import StorageError
from napari_apprentice.store.files import storage_errors
from napari_apprentice.store.shelf import Kept
from napari_apprentice.store.stroke_record import DamagedError, stroke_of
from napari_apprentice.store.vault import Vault


@dataclass(frozen=True, eq=False)
class Archive:
    """The strokes that led to a revision.

    Parameters
    ----------
    parent, model
        The revision and the model version's prediction that they were drawn on.
    strokes
        Oldest first; none is in memory.
    """

    parent: str | None
    model: str | None
    strokes: tuple["Archived", ...]


class Archived(Kept):
    """A stroke in a revision's journal.

    Parameters
    ----------
    path, start, end
        The file, the record's first byte and the byte after its last.
    vault
        Opens it.
    """

    def __init__(self, tool: str, seconds: float, path: Path, place: tuple[int, int], vault: Vault) -> None:
        super().__init__(tool, seconds)
        self._path = path
        self._start, self._end = place
        self._vault = vault

    @property
    def earlier(self) -> bool:
        """It is in a revision."""
        return True

    def stroke(self) -> Stroke:
        """The stroke itself, read anew."""
        with storage_errors(f"an earlier stroke of case {self._path.parent.name}"), self._path.open("rb") as file:
            file.seek(self._start)
            record = file.read(self._end - self._start)
        try:
            return stroke_of(record, self._vault)
        except DamagedError as error:
            raise StorageError(
                f"An earlier stroke of case {self._path.parent.name} is damaged, so that undo ends here. "
                "Revert to a revision reaches what was before."
            ) from error
