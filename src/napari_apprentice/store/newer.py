"""The parts of a study that a newer version wrote: read as far as they are understood, never written."""

from pathlib import Path
from typing import Any, NoReturn

from napari_apprentice.errors import StorageError
from napari_apprentice.store.cases import Cases
from napari_apprentice.store.journal import Journal
from napari_apprentice.store.models import Models
from napari_apprentice.store.predictions import Predictions
from napari_apprentice.store.revisions import Revisions
from napari_apprentice.store.runs import Runs
from napari_apprentice.store.split import Split


class _Refusal:
    # Every class below takes the sentence first, and what the class it reads with takes after it.
    def __init__(self, refusal: str, *place: Any) -> None:
        super().__init__(*place)
        self._refusal = refusal

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise StorageError(self._refusal)


class NewerCases(_Refusal, Cases):
    """Cases that can only be read."""

    add = _Refusal._refuse


class NewerRevisions(_Refusal, Revisions):
    """Revisions that can only be read."""

    save = _Refusal._refuse


class NewerPredictions(_Refusal, Predictions):
    """Predictions that can only be read."""

    write = _Refusal._refuse


class NewerJournal(_Refusal, Journal):
    """Journals that can only be read."""

    start = append = archive = close = _Refusal._refuse

    def another(self) -> "NewerJournal":
        """A journal of the same study for another writer."""
        return NewerJournal(self._refusal, self.root, self._vault, self._grid_voxels)


class NewerModels(_Refusal, Models):
    """Model versions that can only be read."""

    register = activate = note = _Refusal._refuse


class NewerRuns(_Refusal, Runs):
    """Runs that can only be looked at."""

    create = alone = discard = _Refusal._refuse


class NewerSplit(_Refusal, Split):
    """A split that can only be read."""

    assign = move = _Refusal._refuse


def refusal(path: Path, version: int, known: int) -> str:
    """The sentence for a person."""
    return (
        f"{path.name} was written by a newer version of Apprentice (layout {version}, this one knows up to {known}). "
        "It can be looked at and not changed; update Apprentice to work on it."
    )
