"""The secret that pseudonyms come from: it stays in the user's own data folder and never enters a study."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

import platformdirs

from napari_apprentice.errors import StorageError

SIZE = 32
NAME = "pseudonym.key"


def private_key(folder: Path | None = None) -> bytes:
    """The user's 32 random bytes, made at first use and readable by the user alone.

    Parameters
    ----------
    folder
        Where the key is kept; by default $APPRENTICE_HOME, or the platform's user data folder.

    Raises
    ------
    StorageError
        The key can neither be read nor made: pseudonyms would change from one time to the next.
    """
    home = os.environ.get("APPRENTICE_HOME")
    path = (folder or Path(home or platformdirs.user_data_dir("napari-apprentice"))) / NAME
    try:
        if not path.exists():
            _make(path)
        key = path.read_bytes()
    except OSError as error:
        raise StorageError(
            f"The key that pseudonyms come from cannot be kept in {path.parent}: {error.strerror or error}. Make that "
            "folder writable, or set APPRENTICE_HOME to another one."
        ) from error
    if len(key) != SIZE:
        raise StorageError(
            f"{path} is damaged: it is the key that pseudonyms come from. Put it back from a copy, or take it away; "
            "without it the subjects of scans added from now on get other pseudonyms than before."
        )
    return key


def _make(path: Path) -> None:
    """Write a new key whole or not at all; one that another process made in the meantime stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{NAME}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(SIZE))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)
