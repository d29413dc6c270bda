"""A study's key: as text, in the environment, in the keyring of the operating system."""

import binascii
import os
import secrets
from base64 import b64decode, b64encode
from contextlib import suppress
from typing import Any

from napari_apprentice.errors import InputError
from napari_apprentice.store.cipher import KEY_BYTES

VARIABLE = "APPRENTICE_KEY"
SERVICE = "napari-apprentice"


def new_key() -> bytes:
    """A random key of 256 bits."""
    return secrets.token_bytes(KEY_BYTES)


def to_text(key: bytes) -> str:
    """A key as base64."""
    return b64encode(key).decode()


def from_text(text: str, where: str) -> bytes:
    """A key from base64 (also its form for URLs) or hexadecimal digits.

    Parameters
    ----------
    where
        Where the text came from, at the beginning of a sentence.

    Raises
    ------
    InputError
        It is no key of 256 bits.
    """
    text = "".join(text.split())
    with suppress(ValueError):
        if len(text) == 2 * KEY_BYTES:
            return bytes.fromhex(text)
    with suppress(binascii.Error, ValueError):
        key = b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
        if len(key) == KEY_BYTES:
            return key
    raise InputError(
        f"{where} is no key: a key is 32 bytes, as 44 characters of base64 or 64 hexadecimal digits; "
        "apprentice key --new prints a new one."
    )


def from_environment() -> bytes | None:
    """The key in the environment variable APPRENTICE_KEY; None where that is not set or empty.

    Raises
    ------
    InputError
        It holds something else.
    """
    text = os.environ.get(VARIABLE, "")
    return from_text(text, f"The environment variable {VARIABLE}") if text.strip() else None


def from_keyring(key_id: str) -> bytes | None:
    """The key that the operating system's keyring holds under an id; None where there is none, or no keyring."""
    try:
        keyring, failures = _keyring()
        text = _asked(keyring, failures, key_id)
    except InputError:
        return None
    return from_text(text, "What the keyring holds for this study") if text else None


def into_keyring(key_id: str, key: bytes) -> None:
    """Keep a key in the operating system's keyring.

    Raises
    ------
    InputError
        There is no keyring here, or it refuses; nothing was kept.
    """
    keyring, failures = _keyring()
    try:
        keyring.set_password(SERVICE, key_id, to_text(key))
    except failures as error:
        raise InputError(_no_keyring(type(error).__name__)) from error
    if _asked(keyring, failures, key_id) != to_text(key):  # keyring's null backend takes everything and keeps nothing
        raise InputError(_no_keyring("it does not keep what it is given"))


def ask_keyring() -> None:
    """Make sure that there is a keyring that answers.

    Raises
    ------
    InputError
        There is none.
    """
    _asked(*_keyring(), "any")


def out_of_keyring(key_id: str) -> None:
    """Take a key out again that no study was made with."""
    keyring, failures = _keyring()
    with suppress(*failures):
        keyring.delete_password(SERVICE, key_id)


def _asked(keyring: Any, failures: tuple[type[Exception], ...], key_id: str) -> str | None:
    try:
        text: str | None = keyring.get_password(SERVICE, key_id)
    except failures as error:
        raise InputError(_no_keyring(type(error).__name__)) from error
    return text


def _keyring() -> tuple[Any, tuple[type[Exception], ...]]:
    try:
        import keyring  # noqa: PLC0415 - an extra
        from keyring.errors import KeyringError  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            "To keep a study's key in the keyring needs the package keyring, which is not installed: "
            f'pip install "napari-apprentice[encryption]", or give the key in the environment variable {VARIABLE}.'
        ) from error
    # None at all, locked, refused, or no desktop to ask.
    return keyring, (KeyringError, RuntimeError, OSError)


def _no_keyring(reason: str) -> str:
    return (
        f"This computer has no keyring that keeps the study's key ({reason}): set the environment variable "
        f"{VARIABLE} to a key, and keep the key safe. apprentice key --new prints a new one."
    )
