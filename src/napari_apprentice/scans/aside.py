"""Writing a scan, one file or a folder, whole or not at all."""

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_apprentice.errors import InputError, StorageError
from napari_apprentice.scans.sight import is_zarr


@contextmanager
def written_aside(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a hidden neighbour to write to; it takes the path's name when the block ends well.

    Raises
    ------
    InputError
        The file exists already and may not be written over, or its folder does not exist; or it is a folder
        that holds something else than a Zarr.
    StorageError
        The disk is full, gone or read-only; nothing is left behind.
    """
    if path.exists() and not overwrite:
        raise InputError(f"{path.name} exists already; choose another name, or let it be replaced (--overwrite).")
    if not path.parent.is_dir():
        raise InputError(f"The folder {path.parent.name} does not exist; create it first.")
    if path.is_dir() and not is_zarr(path):
        raise InputError(f"{path.name} is a folder that this program did not write; choose another name.")
    # The name ends like the path, because writers choose the format by it; ITK writes A.MHA under another name.
    aside = path.with_name(f".{uuid.uuid4().hex[:8]}.{path.name.lower()}")
    try:
        yield aside
        _sync(aside)
        _put(aside, path)
    except (OSError, RuntimeError) as error:  # SimpleITK says RuntimeError for a full disk
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else getattr(error, "strerror", None) or "the disk refused it"
        raise StorageError(f"{path.name} could not be written: {reason}. Nothing was changed.") from error
    finally:
        _remove(aside)


def _put(aside: Path, path: Path) -> None:
    """Give what was written its name; a folder can only take the place of one that has stepped aside."""
    if not path.is_dir():
        aside.replace(path)
        return
    old = path.with_name(f".{uuid.uuid4().hex[:8]}.{path.name}")
    path.replace(old)
    try:
        aside.replace(path)
    except OSError:
        old.replace(path)
        raise
    _remove(old)


def _sync(path: Path) -> None:
    for part in [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]:
        with part.open("r+b") as file:
            os.fsync(file.fileno())


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
