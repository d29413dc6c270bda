"""What study.json says of a study's encryption: which key it needs, and never the key."""

import hmac
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_apprentice.errors import InputError, LockedError, StudyError
from napari_apprentice.store.cipher import Cipher, check_value
from napari_apprentice.store.documents import read_document
from napari_apprentice.store.keys import (
    VARIABLE,
    ask_keyring,
    from_environment,
    from_keyring,
    into_keyring,
    new_key,
    out_of_keyring,
)
from napari_apprentice.store.vault import PLAIN, Vault

STUDY_DOCUMENT = "study.json"
_ANOTHER = "The key that was given is not the key of {}. Nothing was changed."
CIPHER = "AES-256-GCM"


@contextmanager
def new_encryption() -> Iterator[tuple[dict[str, str], Vault]]:
    """What study.json is to say of a new study's encryption, and its vault.

    The key is that of the environment; without one it is a random one that the keyring keeps, and that is taken
    out again when the study cannot be made.

    Raises
    ------
    InputError
        A package is missing, or there is neither a key in the environment nor a keyring.
    """
    key_id, given = uuid.uuid4().hex, from_environment()
    key = given or new_key()
    vault = Vault(Cipher(key, key_id), key_id)  # a missing package is told before a key is kept
    if given is None:
        into_keyring(key_id, key)
    try:
        yield {"cipher": CIPHER, "key_id": key_id, "check": check_value(key, key_id)}, vault
    except BaseException:
        if given is None:
            out_of_keyring(key_id)
        raise


def vault_of(path: Path, document: Mapping[str, Any], key: bytes | None = None) -> Vault:
    """The vault of a study.

    Parameters
    ----------
    path, document
        The study's folder and its study.json.
    key
        The key where a person gave it; by default that of the environment or of the keyring.

    Raises
    ------
    LockedError
        The study is encrypted, and its key is not here.
    StudyError
        What the document says of the encryption cannot be understood.
    InputError
        The package cryptography is missing.
    """
    if "encryption" not in document:
        return PLAIN
    key_id, check = _said(path, document)
    found = key if key is not None else _found_key(path, key_id, check)
    if not _fits(found, key_id, check):
        raise LockedError(_ANOTHER.format(path.name))
    return Vault(Cipher(found, key_id), key_id, key)


def study_vault(path: Path) -> Vault:
    """The vault of a study that is not opened; see `vault_of`."""
    document = path / STUDY_DOCUMENT
    return vault_of(path, read_document(document)) if document.exists() else PLAIN


def key_of(path: Path) -> bytes:
    """The key of a study, from the environment or the keyring.

    Raises
    ------
    LockedError
        It is not on this computer.
    StudyError
        No study, or one that is not encrypted.
    """
    return _found_key(path, *_said(path, read_document(path / STUDY_DOCUMENT)))


def keep_key(path: Path, key: bytes) -> None:
    """Put a study's key into the operating system's keyring.

    Raises
    ------
    LockedError
        It is another study's key.
    StudyError
        No study, or one that is not encrypted.
    InputError
        There is no keyring here, or it refuses.
    """
    key_id, check = _said(path, read_document(path / STUDY_DOCUMENT))
    if not _fits(key, key_id, check):
        raise LockedError(_ANOTHER.format(path.name))
    into_keyring(key_id, key)


def refuse_keyless() -> None:
    """Make sure that a new study could be encrypted here, without making anything.

    Raises
    ------
    InputError
        A package is missing, or there is neither a key in the environment nor a keyring.
    """
    Cipher(new_key(), "")
    if from_environment() is None:
        ask_keyring()


def _said(path: Path, document: Mapping[str, Any]) -> tuple[str, str]:
    """Id of an encrypted study's key and what tells a wrong key."""
    said = document.get("encryption")
    if said is None:
        raise StudyError(f"{path.name} is not encrypted; it needs no key.")
    if not isinstance(said, dict) or said.get("cipher") != CIPHER or not isinstance(said.get("key_id"), str):
        raise StudyError(f"{path.name} is encrypted in a way that this version of Apprentice does not know.")
    return said["key_id"], str(said.get("check"))


def _found_key(path: Path, key_id: str, check: str) -> bytes:
    """The study's own key, wherever it is on this computer."""
    try:
        given, fault = from_environment(), ""
    except InputError as error:
        given, fault = None, f" {error}"
    if _fits(given, key_id, check):
        assert given is not None
        return given
    kept = from_keyring(key_id)
    if kept is not None and _fits(kept, key_id, check):
        return kept
    if given is not None:
        fault = f" The key in the environment variable {VARIABLE} is another study's."
    elif kept is not None:
        fault = " What the keyring holds under the study's name is another key, or study.json was altered."
    raise LockedError(
        f"{path.name} is encrypted, and its key is not on this computer.{fault} Set the environment variable "
        f"{VARIABLE} to its key, or put the key into the keyring with apprentice key {path.name} --store. "
        "Nothing was changed."
    )


def _fits(key: bytes | None, key_id: str, check: str) -> bool:
    return key is not None and hmac.compare_digest(check_value(key, key_id), check)
