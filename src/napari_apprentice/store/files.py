"""Writing so that a reader never sees half of anything, and a full disk is told in plain words."""

import errno
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_apprentice.errors import StorageError

_SYNCS = 8
_ABANDONED_SECONDS = 24 * 3600.0  # no write takes a day
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EINVAL}
_CLOSED = {errno.EACCES, errno.EPERM}
_GONE = {errno.ENOENT, errno.ENODEV, errno.ENOTCONN, errno.ESTALE, errno.EIO, errno.ETIMEDOUT}


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn what the operating system says into a sentence.

    Parameters
    ----------
    what
        What was to be stored or read, as it stands in the sentence: "the revision of case a1".

    Raises
    ------
    StorageError
        In place of any OSError.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(_sentence(what, error)) from error


def _sentence(what: str, error: OSError) -> str:
    kept = "What was stored before is unchanged."
    if error.errno in _FULL:
        return f"The disk is full; {what} could not be stored. {kept} Make room and try again."
    remedy = "Change its permissions, or copy the study to a folder of your own."
    if error.errno == errno.EROFS:
        return f"The study's folder cannot be written to; {what} could not be stored. {kept} {remedy}"
    if error.errno in _CLOSED:
        return (
            f"This account may not read or change the study's folder; {what} could not be stored or read. {kept} "
            f"{remedy}"
        )
    if error.errno in _GONE:
        return (
            f"The study's folder cannot be reached; {what} could not be stored or read. {kept} "
            "Check that its disk or network share is connected and try again."
        )
    if isinstance(error, FileNotFoundError):  # zarr's own, with the file's whole address in its words
        return f"{what[:1].upper()}{what[1:]} is not there any more: files of it were moved or deleted. {kept}"
    reason = error.strerror or str(error) or type(error).__name__
    return f"{what[:1].upper()}{what[1:]} could not be stored or read ({reason}). {kept} Try again."


def aside_of(final: Path) -> Path:
    """Name a hidden neighbour to write to before the rename; readers pass over hidden names."""
    return final.with_name(f".{final.name}.{uuid.uuid4().hex[:8]}.aside")


def is_aside(path: Path) -> bool:
    """Whether a folder entry is not to be read: an aside, or what an operating system left there."""
    return path.name.startswith(".")


def write_durably(path: Path, data: bytes) -> None:
    """Write a whole file: aside, fsync, rename over, fsync of the folder.

    Raises
    ------
    StorageError
        Nothing was changed.
    """
    aside, spare, fresh = aside_of(path), aside_of(path), not path.exists()
    with storage_errors(f"the file {path.name}"):
        try:
            with aside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if not fresh:
                _spare(path, spare)
            aside.replace(path)
            try:
                sync_folder(path.parent)
            except OSError:
                _go_back(path, spare, fresh)
                raise
        finally:
            remove_quietly(aside)
            remove_quietly(spare)


def _spare(path: Path, spare: Path) -> None:
    try:
        os.link(path, spare)
    except OSError as error:
        if error.errno not in _NO_LINKS:  # where there are none, there is no way back
            raise


def _go_back(path: Path, spare: Path, fresh: bool) -> None:
    if fresh:
        remove_quietly(path)
    else:
        with suppress(OSError):
            spare.replace(path)


def create_durably(path: Path, data: bytes) -> bool:
    """Write a whole file under a name that nothing has yet; of two that try at once, one succeeds.

    Returns
    -------
    False when the name is taken; nothing was changed.

    Raises
    ------
    StorageError
        Nothing was changed.
    """
    aside = aside_of(path)
    with storage_errors(f"the file {path.name}"):
        try:
            with aside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            created = _name_once(aside, path)
        finally:
            remove_quietly(aside)
        if created:
            try:
                sync_folder(path.parent)
            except OSError:
                remove_quietly(path)
                raise
    return created


def _name_once(aside: Path, path: Path) -> bool:
    try:
        os.link(aside, path)  # the only renaming that refuses a name that is taken
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():  # FAT and some network shares: as good as it gets there
            return False
        aside.rename(path)
    return True


def append_durably(path: Path, data: bytes) -> None:
    """Append to a file and fsync it; when that fails the file is cut back to what it was.

    Raises
    ------
    StorageError
        Nothing was changed.
    """
    with storage_errors(f"the file {path.name}"):
        fresh = not path.exists()
        with path.open("ab", buffering=0) as file:
            before = os.fstat(file.fileno()).st_size
            try:
                _write_all(file.fileno(), data)
                os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):
                    os.ftruncate(file.fileno(), before)
                raise
        if fresh:
            sync_folder(path.parent)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def commit_folder(aside: Path, final: Path) -> bool:
    """Make a finished folder visible under its name: fsync of all in it, then one rename.

    Asides beside it that a killed process or a full disk left over a day ago are removed.

    Returns
    -------
    False when `final` exists already; the aside is left as it is.
    """
    sync_all(aside)
    return put_in_place(aside, final)


def put_in_place(aside: Path, final: Path) -> bool:
    """The rename of `commit_folder` alone, for a folder that `sync_all` has been through."""
    if final.exists():
        return False
    try:
        aside.rename(final)
    except OSError:
        if final.exists():
            return False
        raise
    try:
        sync_folder(final.parent)
    except OSError:  # whoever is told that it was not stored tries again, and it would be there twice
        with suppress(OSError):
            final.rename(aside)
        raise
    _sweep(final.parent)
    return True


def sync_all(folder: Path) -> None:
    """Make everything in a folder durable."""
    # Side by side: a file system gathers what waits at once, and a label map has a thousand files.
    found = [(Path(place), names) for place, _, names in os.walk(folder)]
    with ThreadPoolExecutor(_SYNCS) as side_by_side:
        for _ in side_by_side.map(_sync_file, [place / name for place, names in found for name in names]):
            pass
        for _ in side_by_side.map(sync_folder, [place for place, _ in found]):
            pass


def _sweep(folder: Path) -> None:
    found = list(folder.glob(".*.aside"))
    now_there = clock_of(folder) if found else 0.0  # a computer that is a day ahead of the share must not sweep
    for path in found:
        with suppress(OSError):
            if now_there - path.stat().st_mtime > _ABANDONED_SECONDS:
                remove_quietly(path)


def clock_of(folder: Path) -> float:
    """What time it is for the file system: computers that share it may disagree with it and each other."""
    path = aside_of(folder / "clock")
    try:
        path.touch()
        return path.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        remove_quietly(path)


def remove_quietly(path: Path) -> None:
    """Remove an aside where possible; one that stays is hidden and does no harm."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _sync_file(path: Path) -> None:
    # Windows flushes only descriptors that may write.
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Make new names in a folder durable."""
    if os.name == "nt":  # Windows cannot open a folder; NTFS journals the rename itself.
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network shares
            raise
    finally:
        os.close(descriptor)
