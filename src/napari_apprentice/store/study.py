"""The study: one folder with everything that survives a restart."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.records import now
from napari_apprentice.errors import ApprenticeError, InputError, StorageError, StudyError
from napari_apprentice.store.arrays import create_group
from napari_apprentice.store.cases import Cases
from napari_apprentice.store.documents import MALFORMED, read_document, write_document
from napari_apprentice.store.files import remove_quietly, storage_errors
from napari_apprentice.store.journal import Journal
from napari_apprentice.store.models import Models
from napari_apprentice.store.newer import (
    NewerCases,
    NewerJournal,
    NewerModels,
    NewerPredictions,
    NewerRevisions,
    NewerRuns,
    NewerSplit,
    refusal,
)
from napari_apprentice.store.predictions import Predictions
from napari_apprentice.store.revisions import Revisions
from napari_apprentice.store.runs import Runs
from napari_apprentice.store.seal import sealed
from napari_apprentice.store.split import Split

LAYOUT = 1
DOCUMENT = "study.json"
_FOLDERS = ("cases.zarr", "journal", "models", "runs")


class Study:
    """An open study; `create` and `open` make one.

    Attributes
    ----------
    path
        The study's folder.
    refusal
        Why nothing can be changed, as a sentence; "" when it can.
    cases, revisions, predictions, journal, models, runs, split
        What it keeps.
    """

    def __init__(self, path: Path, document: dict[str, Any]) -> None:
        self.path = path
        self._document = document
        self._schema = _schema(document)
        version = document["apprentice_study"]
        self.refusal = refusal(path, version, LAYOUT) if version > LAYOUT else ""
        self.cases = Cases(path / "cases.zarr")
        self.revisions = Revisions(self.cases)
        self.predictions = Predictions(self.cases)
        self.journal = Journal(path / "journal")
        self.models = Models(path / "models")
        self.runs = Runs(path / "runs")
        self.split = Split(path / "split.jsonl")
        if self.refusal:
            self._only_to_read()

    @classmethod
    def create(cls, path: Path, schema: LabelSchema, title: str = "") -> "Study":
        """Lay down a new study.

        Raises
        ------
        InputError
            The path is taken by a file or by a folder that is not empty.
        StorageError
            The disk is full, gone or read-only.
        """
        with storage_errors(f"the study {path.name}"):
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                raise InputError(f"{path.name} exists already and is not empty; choose another folder.")
            document = {
                "apprentice_study": LAYOUT,
                "title": title or path.stem,
                "created": now(),
                "labels": schema.to_json(),
            }
            _lay_down(path, document)
        return cls(path, document)

    @classmethod
    def open(cls, path: Path) -> "Study":
        """Open a study; one of a newer layout can be read, and refuses every change (`refusal`).

        Raises
        ------
        StudyError
            No study, a damaged one, or one of a newer layout that cannot be read.
        """
        if not (path / DOCUMENT).is_file():
            raise StudyError(f"{path.name} is no study: it has no {DOCUMENT}. Create one, or open another.")
        document = read_document(path / DOCUMENT)
        version = document.get("apprentice_study")
        if not isinstance(version, int) or version < 1:
            raise StudyError(f"{path.name} is no study of this program: its {DOCUMENT} has no layout version.")
        _refuse_links_out(path)
        if version <= LAYOUT:
            _make_lost_folders(path)
            return cls(path, document)
        try:
            return cls(path, document)
        except StudyError as error:
            raise StudyError(f"{refusal(path, version, LAYOUT)} This version cannot even read it: {error}") from error

    def _only_to_read(self) -> None:
        self.cases = NewerCases(self.refusal, self.path / "cases.zarr")
        self.revisions = NewerRevisions(self.refusal, self.cases)
        self.predictions = NewerPredictions(self.refusal, self.cases)
        self.journal = NewerJournal(self.refusal, self.path / "journal")
        self.models = NewerModels(self.refusal, self.path / "models")
        self.runs = NewerRuns(self.refusal, self.path / "runs")
        self.split = NewerSplit(self.refusal, self.path / "split.jsonl")

    @property
    def title(self) -> str:
        """What the person called it."""
        return str(self._document.get("title", self.path.stem))

    @property
    def schema(self) -> LabelSchema:
        """The study's labels."""
        return self._schema

    def set_schema(self, schema: LabelSchema) -> None:
        """Change the study's labels; what is stored under the old ones stays as it is.

        Raises
        ------
        StorageError
            The disk is full, gone or read-only, or the study is of a newer layout.
        """
        if self.refusal:
            raise StorageError(self.refusal)
        document = sealed({**self._document, "labels": schema.to_json()})
        write_document(self.path / DOCUMENT, document)
        self._document, self._schema = document, schema


def _lay_down(path: Path, document: dict[str, Any]) -> None:
    try:
        for name in _FOLDERS:
            (path / name).mkdir(parents=True, exist_ok=True)
        create_group(path / "cases.zarr", {})
        # Last, because it is what makes the folder a study.
        write_document(path / DOCUMENT, sealed(document))
    except (OSError, StorageError):
        for name in _FOLDERS:  # so that the same folder can be tried again
            remove_quietly(path / name)
        raise


def _schema(document: dict[str, Any]) -> LabelSchema:
    try:
        return LabelSchema.from_json(document["labels"])
    except (*MALFORMED, ApprenticeError) as error:
        raise StudyError(f"{DOCUMENT} is damaged: its labels cannot be understood ({error}).") from error


def _refuse_links_out(path: Path) -> None:
    # A study from someone else must not make this program write elsewhere.
    root = path.resolve()
    for name in (*_FOLDERS, "split.jsonl"):
        target = path / name
        if target.is_symlink() and root not in target.resolve().parents:
            raise StudyError(f"{path.name}: {name} is a link that leads out of the study; it is not followed.")
    if not (path / "cases.zarr").is_dir():
        raise StudyError(f"{path.name} is damaged: it has no cases.zarr.")


def _make_lost_folders(path: Path) -> None:
    for name in _FOLDERS:  # empty folders get lost in some copies and archives
        with suppress(OSError):  # a study that can only be read does without
            (path / name).mkdir(exist_ok=True)
