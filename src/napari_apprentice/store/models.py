"""Model versions: registered once, never changed; a ledger says which one is active."""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_apprentice.core.records import ModelVersion, now
from napari_apprentice.errors import ApprenticeError, InputError, ModelError, StorageError, StudyError
from napari_apprentice.store.cipher import SealError
from napari_apprentice.store.documents import MALFORMED, read_document
from napari_apprentice.store.files import aside_of, commit_folder, remove_quietly, storage_errors
from napari_apprentice.store.ledger import Ledger
from napari_apprentice.store.names import check_name, folders_in, is_name
from napari_apprentice.store.trust import read_plain, refuse_links
from napari_apprentice.store.vault import PLAIN, Vault

WEIGHTS = "weights.safetensors"
DOCUMENT = "model.json"
WENT_BACK = "went back from "  # how the reason of a turn begins with which a person went back
_IN_PLACE_OF = "in_place_of"  # in a turn that counts only where that model version is active; None for none
_DAMAGED = (
    "Put models/{} back from a copy. Without one, activate a model version that was not tuned from it (`apprentice "
    "models` lists them), or import one or train one anew, and activate that."
)
_LARGEST_PICTURE = 32 * 1024**2  # bytes


@dataclass(frozen=True)
class Activation:
    """One turn of the switch.

    Parameters
    ----------
    name
        Which model version became active.
    reason, time
        Why, for a person, and when, UTC.
    author
        Who turned it; "" for the gate itself, and where an earlier version did not write it down.
    overrules
        The model version whose verdict a person went against; "" for none.
    why
        The person's own words.
    """

    name: str
    reason: str
    time: str
    author: str = ""
    overrules: str = ""
    why: str = ""

    @property
    def went_back(self) -> bool:
        """Whether it led back to an earlier model version, because the present one was refused or just so."""
        return self.overrules not in ("", self.name) or self.reason.startswith(WENT_BACK)


@dataclass(frozen=True)
class Note:
    """What a person wrote about a model version; the newest counts."""

    name: str
    text: str
    author: str
    time: str


class Models:
    """Registers and activates model versions.

    Parameters
    ----------
    root
        The study's models folder.
    vault
        The study's; weights are never encrypted, what is told of them is.
    """

    def __init__(self, root: Path, vault: Vault = PLAIN) -> None:
        self.root = root
        self._vault = vault.at("models")
        self.ledger = Ledger(root / "activations.jsonl", self._vault)
        self.note_ledger = Ledger(root / "notes.jsonl", self._vault)
        self._digests: dict[tuple[Path, int, int], str] = {}  # of weights, by path, time and size

    def names(self) -> tuple[str, ...]:
        """Registered model versions, sorted."""
        with storage_errors("the list of model versions"):
            return folders_in(self.root)

    def info(self, name: str) -> ModelVersion:
        """What is known of a model version.

        Raises
        ------
        ModelError
            No such model version.
        StudyError
            Its document is damaged.
        """
        try:
            document = self.record(name)
        except StudyError as error:
            raise StudyError(f"{error} {_DAMAGED.format(name)}") from error
        try:
            return ModelVersion.from_json(document)
        except (*MALFORMED, ApprenticeError) as error:
            text = f"Model version {name} is damaged: its {DOCUMENT} is incomplete."
            raise StudyError(f"{text} {_DAMAGED.format(name)}") from error

    def readable(self) -> tuple[ModelVersion, ...]:
        """All model versions whose document is whole, by name; one that is damaged keeps nobody from the others."""
        found = []
        for name in self.names():
            with suppress(StudyError):
                found.append(self.info(name))
        return tuple(found)

    def record(self, name: str) -> dict[str, Any]:
        """A model version's document, as it was stored.

        Raises
        ------
        ModelError
            No such model version.
        StudyError
            It is damaged, or the disk does not give it, such as one with a bad sector there.
        StorageError
            The list of model versions cannot be read either: the study is out of reach.
        """
        try:
            document = read_document(self._folder(name) / DOCUMENT)
        except StorageError as error:
            if name not in self.names():
                raise
            raise StudyError(f"models/{name}/{DOCUMENT} cannot be read ({_reason(error)}).") from error
        return self._vault.at(name).open_record(document, f"Model version {name}")

    def weights(self, name: str) -> Path:
        """File of a model version's weights (safetensors).

        Raises
        ------
        ModelError
            No such model version, or its weights are gone.
        """
        path = self._folder(name) / WEIGHTS
        if not path.is_file():
            raise ModelError(f"The weights of model version {name} are missing. Choose another version.")
        return path

    def digests(self, *names: str) -> dict[str, str]:
        """SHA-256 of the weights of model versions by name: whose folder was removed may have given its name away.

        Raises
        ------
        ModelError, StudyError
            As for `info`.
        """
        return {name: self.info(name).weights_digest for name in names}

    def sound_weights(self, name: str, *, at_a_glance: bool = False) -> Path:
        """File of a model version's weights, after comparing it with what was registered.

        Parameters
        ----------
        at_a_glance
            Not to read them again where they were read before, and have the same time and size.

        Raises
        ------
        ModelError
            No such model version, or its weights are gone or damaged.
        """
        path = self.weights(name)
        with storage_errors(f"the weights of model version {name}"):
            sound = self._digest(path, at_a_glance=at_a_glance) == self.info(name).weights_digest
        if not sound:
            raise ModelError(
                f"The weights of model version {name} are damaged: they are not what was registered. Choose another "
                "version, train one anew (`apprentice train`), or put its folder back from a copy."
            )
        return path

    def _digest(self, path: Path, *, at_a_glance: bool) -> str:
        as_written = path.stat()
        key = path, as_written.st_mtime_ns, as_written.st_size
        if not at_a_glance or key not in self._digests:
            self._digests[key] = file_digest(path)
        return self._digests[key]

    def damage(self, name: str, *, at_a_glance: bool = False) -> str:
        """What is wrong with a model version, or with the document of one it descends from; "" for nothing.

        Parameters
        ----------
        at_a_glance
            As for `sound_weights`.

        Raises
        ------
        StorageError
            The list of model versions cannot be read either: the study is out of reach.
        """
        try:
            self.sound_weights(name, at_a_glance=at_a_glance)
            self.base_of(name)
        except StorageError as error:  # such as a bad sector below this one file
            if name not in self.names():
                raise
            return f"Model version {name} cannot be read. {error}"
        except (ModelError, StudyError) as error:
            return str(error)
        return ""

    def register(
        self, version: ModelVersion, weights: Path, pictures: Mapping[str, bytes] | None = None
    ) -> ModelVersion:
        """Copy weights into the study under a free name, whole or not at all.

        Parameters
        ----------
        pictures
            PNG files by name; the version's own `pictures` says what each of them shows.

        Returns
        -------
        The version with the SHA-256 of its weights and of its pictures filled in.

        Raises
        ------
        InputError
            The name is taken or cannot be a folder's name.
        StorageError
            The disk is full, gone or read-only; nothing was added.
        """
        final = self.root / check_name("model version", version.name)
        aside = aside_of(final)
        with storage_errors(f"model version {version.name}"):
            try:
                aside.mkdir()
                shutil.copyfile(weights, aside / WEIGHTS)
                version = replace(
                    version,
                    weights_digest=file_digest(aside / WEIGHTS),
                    pictures=self._draw(version, aside, pictures or {}),
                )
                text = json.dumps(self._vault.at(version.name).close_record(version.to_json()), indent=2)
                (aside / DOCUMENT).write_text(text + "\n", encoding="utf-8")
                committed = commit_folder(aside, final)
            finally:
                remove_quietly(aside)
        if not committed:
            raise InputError(f"Model version {version.name} exists already; take the next free name.")
        return version

    def register_as_next(
        self, version: ModelVersion, weights: Path, pictures: Mapping[str, bytes] | None = None
    ) -> ModelVersion:
        """As `register`, under the next free number where somebody else has taken the version's name meanwhile."""
        while True:
            try:
                return self.register(version, weights, pictures)
            except InputError:
                if version.name not in self.names():
                    raise
                version = replace(version, name=self.next_name())

    def _draw(self, version: ModelVersion, folder: Path, pictures: Mapping[str, bytes]) -> dict[str, Any]:
        """Write pictures, and say what they show and are."""
        told = dict(version.pictures)
        for name, data in pictures.items():
            path = folder / check_name("picture", name)
            path.write_bytes(self._vault.at(version.name, name).seal(data))
            told[name] = {**told.get(name, {}), "digest": file_digest(path)}
        return told

    def picture(self, name: str, picture: str) -> bytes:
        """A picture of a model version, a PNG file.

        Raises
        ------
        ModelError
            No such model version or picture.
        StudyError
            It is not what was stored.
        """
        folder = self._folder(name)
        path = folder / picture
        if not is_name(picture) or not path.is_file():
            raise ModelError(f"Model version {name} has no picture {picture[:120]!r}.")
        with storage_errors(f"a picture of model version {name}"):
            data = read_plain(path, _LARGEST_PICTURE)
        try:
            return bytes(self._vault.at(name, picture).open(data))
        except SealError as error:
            raise StudyError(f"The picture {picture} of model version {name} is damaged: {error}.") from error

    def next_name(self) -> str:
        """v0001, or one more than the highest number that is taken, or was that of an active version which is gone."""
        names = (*self.names(), *(turn.name for turn in self.activations()))
        taken = (re.fullmatch(r"v(\d{1,9})", n) for n in names)
        return f"v{max((int(m.group(1)) for m in taken if m), default=0) + 1:04d}"

    def activations(self) -> tuple[Activation, ...]:
        """Every turn of the switch, oldest first."""
        turns: list[Activation] = []
        try:
            for record in self.ledger.read():
                # Of two who turned it at once, the first one counts: see `activate_in_place_of`.
                if _IN_PLACE_OF not in record or record[_IN_PLACE_OF] == (turns[-1].name if turns else None):
                    turns.append(_activation(record))
            return tuple(turns)
        except MALFORMED as error:
            raise StudyError("activations.jsonl is damaged: a line has no model version.") from error

    def active(self) -> str | None:
        """The active model version; None before the first."""
        lines = self.activations()
        return lines[-1].name if lines else None

    def activate(self, name: str, reason: str, *, author: str = "", overrules: str = "", why: str = "") -> None:
        """Make a registered model version the active one; every switch is kept, see `Activation`.

        Raises
        ------
        ModelError
            No such model version.
        """
        self._folder(name)
        told = {"author": author, "overrules": overrules, "why": why}
        self.ledger.append({"name": name, "reason": reason, "time": now(), **{k: v for k, v in told.items() if v}})

    def activate_in_place_of(self, earlier: str | None, name: str, reason: str) -> bool:
        """Make a registered model version the active one, unless another than `earlier` is active by now.

        The line says in place of which, and does not count where somebody's line came before it: nothing has to be
        locked.

        Parameters
        ----------
        earlier
            The version that was active when this was decided; None for none.

        Returns
        -------
        Whether it became active.

        Raises
        ------
        ModelError
            No such model version.
        """
        self._folder(name)
        turns = self.activations()
        if (turns[-1].name if turns else None) != earlier:
            return False
        self.ledger.append({"name": name, "reason": reason, "time": now(), _IN_PLACE_OF: earlier})
        return any(turn.name == name for turn in self.activations()[len(turns) :])

    def note(self, name: str, text: str, author: str) -> None:
        """Write something about a model version; what was written before stays in the ledger.

        Raises
        ------
        ModelError
            No such model version.
        """
        self._folder(name)
        self.note_ledger.append({"name": name, "text": text, "author": author, "time": now()})

    def notes(self) -> dict[str, Note]:
        """The newest note on each model version that has one."""
        try:
            return {
                str(r["name"]): Note(str(r["name"]), str(r["text"]), str(r["author"]), str(r["time"]))
                for r in self.note_ledger.read()
            }
        except MALFORMED as error:
            raise StudyError("notes.jsonl is damaged: a line has no note.") from error

    def base_of(self, name: str) -> str:
        """The model version without a parent that a version descends from; itself when it has none.

        Raises
        ------
        ModelError
            No such model version.
        """
        seen = {name}
        parent = self.info(name).parent
        while parent is not None and parent not in seen and parent in self.names():
            name = parent
            seen.add(name)
            parent = self.info(name).parent
        return name

    def _folder(self, name: str) -> Path:
        folder = self.root / name
        if not is_name(name) or not folder.is_dir():
            known = ", ".join(self.names()) or "there is none yet"
            raise ModelError(f"There is no model version {name[:120]!r} in this study ({known}).")
        refuse_links(self.root, folder / WEIGHTS)
        return folder


def _reason(error: StorageError) -> str:
    """What the operating system said."""
    cause = error.__cause__
    return (cause.strerror if isinstance(cause, OSError) else None) or type(cause).__name__


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _activation(record: Mapping[str, object]) -> Activation:
    told = (str(record.get(key, "")) for key in ("reason", "time", "author", "overrules", "why"))
    return Activation(str(record["name"]), *told)
