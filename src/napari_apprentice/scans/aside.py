"""Writing a scan file whole or not at all."""

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_apprentice.errors import InputError, StorageError


@contextmanager
def written_aside(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a hidden neighbour to write to; it takes the path's name when the block ends well.

    Raises
    ------
    InputError
        The file exists already and may not be written over, or its folder does not exist.
    StorageError
        The disk is full, gone or read-only; nothing is left behind.
    """
    if path.exists() and not overwrite:
        raise InputError(f"{path.name} exists already; choose another name, or say that it may be replaced.")
    if not path.parent.is_dir():
        raise InputError(f"The folder {path.parent.name} does not exist; create it first.")
    # The name ends like the path, because writers choose the format by it.
    aside = path.with_name(f".{uuid.uuid4().hex[:8]}.{path.name}")
    try:
        yield aside
        _sync(aside)
        aside.replace(path)
    except (OSError, RuntimeError) as error:  # SimpleITK says RuntimeError for a full disk
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else getattr(error, "strerror", None) or "the disk refused it"
        raise StorageError(f"{path.name} could not be written: {reason}. Nothing was changed.") from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    with path.open("r+b") as file:
        os.fsync(file.fileno())
