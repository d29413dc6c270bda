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
    cases, revisions, predictions, journal, models, runs, split
        What it keeps.
    """

    def __init__(self, path: Path, document: dict[str, Any]) -> None:
        self.path = path
        self._document = document
        self._schema = _schema(document)
        self.cases = Cases(path / "cases.zarr")
        self.revisions = Revisions(self.cases)
        self.predictions = Predictions(self.cases)
        self.journal = Journal(path / "journal")
        self.models = Models(path / "models")
        self.runs = Runs(path / "runs")
        self.split = Split(path / "split.jsonl")

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
        """Open a study.

        Raises
        ------
        StudyError
            No study, a damaged one, or one of a newer layout.
        """
        if not (path / DOCUMENT).is_file():
            raise StudyError(f"{path.name} is no study: it has no {DOCUMENT}. Create one, or open another.")
        document = read_document(path / DOCUMENT)
        version = document.get("apprentice_study")
        if not isinstance(version, int) or version < 1:
            raise StudyError(f"{path.name} is no study of this program: its {DOCUMENT} has no layout version.")
        if version > LAYOUT:
            raise StudyError(
                f"{path.name} was written by a newer version of Apprentice (layout {version}, this one reads "
                f"up to {LAYOUT}). Update Apprentice to open it."
            )
        _refuse_links_out(path)
        return cls(path, document)

    @property
    def title(self) -> str:
        """What the person called it."""
        return str(self._document.get("title", self.path.stem))

    @property
    def schema(self) -> LabelSchema:
        """The study's labels."""
        return self._schema

    def set_schema(self, schema: LabelSchema) -> None:
        """Change the study's labels; what is stored under the old ones stays as it is."""
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
    missing = [name for name in _FOLDERS if not (path / name).is_dir()]
    if "cases.zarr" in missing:
        raise StudyError(f"{path.name} is damaged: it has no cases.zarr.")
    for name in missing:  # empty folders get lost in some copies and archives
        with suppress(OSError):  # a study that can only be read does without
            (path / name).mkdir()
