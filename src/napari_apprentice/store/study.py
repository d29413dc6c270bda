"""The study: one folder with everything that survives a restart."""

import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_apprentice.core.labels import Label, LabelSchema
from napari_apprentice.core.records import now
from napari_apprentice.core.words import meant
from napari_apprentice.errors import ApprenticeError, InputError, StorageError, StudyError
from napari_apprentice.store.arrays import create_group
from napari_apprentice.store.cases import Cases
from napari_apprentice.store.cipher import PassingCipher
from napari_apprentice.store.documents import MALFORMED, read_document, write_document
from napari_apprentice.store.encryption import STUDY_DOCUMENT, new_encryption, vault_of
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
from napari_apprentice.store.vault import PLAIN, Vault

PLAIN_LAYOUT, LAYOUT = 1, 2  # an encrypted study is of layout 2, so that an earlier version says what it lacks
DOCUMENT = STUDY_DOCUMENT
_FOLDERS = ("cases.zarr", "journal", "models", "runs")
_OWN = {*_FOLDERS, DOCUMENT, "split.jsonl", "postprocess.json"}


class Study:
    """An open study; `create` and `open` make one.

    Attributes
    ----------
    path
        The study's folder.
    refusal
        Why nothing can be changed, as a sentence; "" when it can.
    vault
        How what it keeps is written: as it is, or encrypted.
    cases, revisions, predictions, journal, models, runs, split
        What it keeps.
    """

    def __init__(self, path: Path, document: dict[str, Any], vault: Vault = PLAIN) -> None:
        self.path = path
        self.vault = vault
        self._take(document)
        version = document["apprentice_study"]
        self.refusal = refusal(path, version, LAYOUT) if version > LAYOUT else ""
        self.cases = Cases(path / "cases.zarr", vault)
        self.revisions = Revisions(self.cases, lambda: self.schema.ids)
        self.predictions = Predictions(self.cases, self._gone)
        self.journal = Journal(path / "journal", vault, self.cases.grid_voxels)
        self.models = Models(path / "models", vault)
        self.runs = Runs(path / "runs", vault)
        self.split = Split(path / "split.jsonl", vault)
        if self.refusal:
            self._only_to_read()

    @classmethod
    def create(cls, path: Path, schema: LabelSchema, title: str = "", *, encrypted: bool = False) -> "Study":
        """Lay down a new study.

        Parameters
        ----------
        encrypted
            Whether voxels, label maps, strokes and all that is told of them are encrypted, with the key in the
            environment variable APPRENTICE_KEY or else a new one that the keyring keeps.

        Raises
        ------
        InputError
            Two labels are called alike, or one is called background. Or the path is taken by a file or by a folder that
            is not empty, other than by what a `create` that was killed left there; or it is to be encrypted, and a
            package for that is missing or there is no place for its key.
        StorageError
            The disk is full, gone or read-only.
        """
        schema.refuse_confusing()
        with storage_errors(f"the study {path.name}"):
            if path.exists() and not (path.is_dir() and is_free(path)):
                raise InputError(f"{path.name} exists already and is not empty; choose another folder.")
            hidden = {"title": title or path.stem, "labels": schema.to_json()}
            if not encrypted:
                document = {"apprentice_study": PLAIN_LAYOUT, "id": uuid.uuid4().hex, "created": now(), **hidden}
                _lay_down(path, document)
                return cls(path, document)
            with new_encryption() as (said, vault):
                document = {"apprentice_study": LAYOUT, "id": uuid.uuid4().hex, "created": now(), "encryption": said}
                document["hidden"] = vault.at(DOCUMENT).close_record(hidden)
                _lay_down(path, document)
                return cls(path, document, vault)

    @classmethod
    def open(cls, path: Path, key: bytes | None = None) -> "Study":
        """Open a study; one of a newer layout can be read, and refuses every change (`refusal`).

        Parameters
        ----------
        key
            Of an encrypted study; by default that of the environment or of the keyring.

        Raises
        ------
        LockedError
            It is encrypted, and its key is not here; nothing of it was changed.
        StudyError
            No study, a damaged one, or one of a newer layout that cannot be read.
        StorageError
            This account may not read it, or its disk is gone.
        """
        with storage_errors(f"the study {path.name[:120]}"):
            there = (path / DOCUMENT).is_file()
            why = "" if there else _why_none(path)
        if why:
            raise StudyError(f"{why} Create one, or open another.")
        document = read_document(path / DOCUMENT)
        version = document.get("apprentice_study")
        if not isinstance(version, int) or version < 1:
            raise StudyError(f"{path.name} is no study of this program: its {DOCUMENT} has no layout version.")
        _refuse_links_out(path)
        vault = vault_of(path, document, key)
        if version <= LAYOUT:
            _make_lost_folders(path)
            return cls(path, document, vault)
        try:
            return cls(path, document, vault)
        except StudyError as error:
            raise StudyError(f"{refusal(path, version, LAYOUT)} This version cannot even read it: {error}") from error

    def _only_to_read(self) -> None:
        self.cases = NewerCases(self.refusal, self.path / "cases.zarr", self.vault)
        self.revisions = NewerRevisions(self.refusal, self.cases)
        self.predictions = NewerPredictions(self.refusal, self.cases, self._gone)
        self.journal = NewerJournal(self.refusal, self.path / "journal", self.vault, self.cases.grid_voxels)
        self.models = NewerModels(self.refusal, self.path / "models", self.vault)
        self.runs = NewerRuns(self.refusal, self.path / "runs", self.vault)
        self.split = NewerSplit(self.refusal, self.path / "split.jsonl", self.vault)

    @property
    def study_id(self) -> str:
        """What it is known by wherever it lies; a copy has the same. "" in studies from before there were ids."""
        return str(self._document.get("id", ""))

    @property
    def title(self) -> str:
        """What the person called it."""
        return str(self._hidden.get("title", self.path.stem))

    @property
    def encrypted(self) -> bool:
        """Whether what it keeps is encrypted."""
        return self.vault.encrypted

    def veil(self) -> PassingCipher | None:
        """What hides bytes of it in a temporary file; None in a plain study."""
        return PassingCipher() if self.encrypted else None

    @property
    def schema(self) -> LabelSchema:
        """The study's labels."""
        return self._schema

    @property
    def retired(self) -> tuple[Label, ...]:
        """Labels that the study had and has no more; their ids are never given to others."""
        return self._retired

    def _gone(self) -> tuple[int, ...]:
        return tuple(x.id for x in self._retired)

    def label_name(self, label_id: int) -> str:
        """What a label is called, or was when the study had it; "label 7" where it never did."""
        names = {x.id: x.name for x in (*self.retired, *self.schema.labels)}
        return "background" if label_id == 0 else names.get(label_id, f"label {label_id}")

    def schema_for(self, labels: Iterable[int]) -> LabelSchema:
        """The study's labels, and of those it has no more the ones that are among `labels`."""
        wanted, names = set(labels), {x.name for x in self.schema.labels}
        more = (replace(x, name=f"{x.name} ({x.id})") if x.name in names else x for x in self.retired if x.id in wanted)
        return LabelSchema((*self.schema.labels, *more))

    def refuse_inside(self, out: Path) -> None:
        """InputError where a file or folder that is to be written would replace the study or a part of it."""
        root, target = self.path.resolve(), out.resolve()
        parts = target.relative_to(root).parts if target.is_relative_to(root) else ()
        if root.is_relative_to(target):
            raise InputError(f"{target} is the study or a folder that it lies in; name a file or folder of its own.")
        if parts and parts[0] in _OWN:
            raise InputError(f"{out.name} is a part of the study itself; choose a place outside of it.")

    def refresh(self) -> None:
        """Take over what another window or process has changed in the study's document, such as its labels.

        Where it cannot be read all stays as it was known; whatever cannot do without says what is wrong.
        """
        with suppress(ApprenticeError):
            self._take(read_document(self.path / DOCUMENT))

    def refuse_changed(self, was: LabelSchema) -> None:
        """InputError where the labels are not those that a change was made from."""
        if self.schema != was:
            names = ", ".join(x.name for x in self.schema.labels)
            raise InputError(
                f"The labels of this study were changed in another window in the meantime: they are {names} now. "
                "Make your change again."
            )

    def set_schema(self, schema: LabelSchema, was: LabelSchema | None = None) -> None:
        """Change the study's labels; what is stored under the old ones stays as it is.

        Parameters
        ----------
        was
            The labels that the change was made from; by default those that this object knows.

        Raises
        ------
        InputError
            Two are called alike, or one background; or another window or process has changed them since, and they are
            known from now on. Nothing was written.
        StorageError
            The disk is full, gone or read-only, or the study is of a newer layout.
        """
        if self.refusal:
            raise StorageError(self.refusal)
        was = was or self.schema
        schema.refuse_confusing(was)
        with self.runs.alone("the study's labels"):
            self._take(read_document(self.path / DOCUMENT))
            self.refuse_changed(was)
            self._write(schema)

    def _write(self, schema: LabelSchema) -> None:
        known = {x.id: x for x in (*self.retired, *self.schema.labels)}
        retired = tuple(known[i] for i in sorted(known) if i not in schema.ids)
        hidden = {**self._hidden, "labels": schema.to_json()}
        if retired or "retired" in hidden:
            hidden["retired"] = [x.to_json() for x in retired]
        changed = {"hidden": self.vault.at(DOCUMENT).close_record(hidden)} if self.encrypted else hidden
        document = sealed({**self._document, **changed})
        write_document(self.path / DOCUMENT, document)
        self._take(document)

    def _take(self, document: dict[str, Any]) -> None:
        hidden = _hidden(document, self.vault)
        schema, retired = _schema(hidden), _retired(hidden)
        self._document, self._hidden, self._schema, self._retired = document, hidden, schema, retired


def _lay_down(path: Path, document: dict[str, Any]) -> None:
    try:
        for name in _FOLDERS:
            remove_quietly(path / name)  # what a `create` that was killed left
            (path / name).mkdir(parents=True, exist_ok=True)
        create_group(path / "cases.zarr", {})
        # Last, because it is what makes the folder a study.
        write_document(path / DOCUMENT, sealed(document))
    except (OSError, StorageError):
        for name in _FOLDERS:  # so that the same folder can be tried again
            remove_quietly(path / name)
        raise


def is_free(path: Path) -> bool:
    """Whether a folder holds nothing, or nothing but what `_lay_down` makes before the document; no case, no run."""
    for found in path.iterdir():
        if found.name == "cases.zarr" and found.is_dir():
            inside = [p for p in found.iterdir() if not (p.is_file() and p.name.startswith("zarr."))]
        elif found.name in _FOLDERS and found.is_dir():
            inside = list(found.iterdir())
        else:
            inside = [] if found.match(f".{DOCUMENT}.*.aside") else [found]
        if inside:
            return False
    return True


def _hidden(document: dict[str, Any], vault: Vault) -> dict[str, Any]:
    """Title and labels: beside the rest of a plain study's document, encrypted in that of an encrypted study."""
    if not vault.encrypted:
        return {key: document[key] for key in ("title", "labels", "retired") if key in document}
    hidden = document.get("hidden")
    return vault.at(DOCUMENT).open_record(hidden if isinstance(hidden, dict) else {}, DOCUMENT)


def _schema(document: dict[str, Any]) -> LabelSchema:
    try:
        return LabelSchema.from_json(document["labels"])
    except (*MALFORMED, ApprenticeError) as error:
        raise StudyError(f"{DOCUMENT} is damaged: its labels cannot be understood ({error}).") from error


def _retired(document: dict[str, Any]) -> tuple[Label, ...]:
    try:
        return tuple(Label.from_json(x) for x in document.get("retired", []))
    except (*MALFORMED, ApprenticeError) as error:
        raise StudyError(f"{DOCUMENT} is damaged: its former labels cannot be understood ({error}).") from error


def _why_none(path: Path) -> str:
    """Why a folder is no study, and which one may have been meant."""
    name = path.absolute().name
    around = next((p for p in path.absolute().parents if _is_study(p)), None)
    if around is not None:
        return f"{name} is no study but lies in one: {around.name} is the study's folder."
    if not path.exists():
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        return f"{name} does not exist.{meant(name, (p.name for p in beside if _is_study(p)))}"
    if not path.is_dir():
        return f"{name} is a file; a study is a folder."
    inside = sorted(p.name for p in path.iterdir() if _is_study(p))
    return f"{name} is no study: it has no {DOCUMENT}." + (f" {inside[0]} in it is one." if len(inside) == 1 else "")


def _is_study(path: Path) -> bool:
    with suppress(OSError):  # somebody else's folder
        return (path / DOCUMENT).is_file()
    return False


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
