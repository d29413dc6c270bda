"""A file that one process at a time has for itself."""

import errno
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from napari_apprentice.errors import ApprenticeError, StorageError
from napari_apprentice.store.files import storage_errors
from napari_apprentice.store.trust import refuse_links, refuse_odd_file

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_LARGEST = 4096  # bytes; a study may come from a stranger
_PATIENCE_SECONDS = 20.0  # what is done under a lock takes a moment


def lock(file: BinaryIO) -> bool:
    """Whether an open file is this object's now, until it is closed; a file system without locks never refuses."""
    try:
        if sys.platform == "win32":
            file.seek(1 << 40)  # far behind the records, which stay readable for others
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # no locks there; on Windows also where somebody else has it
        return sys.platform != "win32" or error.errno not in (errno.EACCES, errno.EDEADLK)
    return True


@contextmanager
def one_at_a_time(path: Path, what: str, busy: type[ApprenticeError] = StorageError) -> Iterator[None]:
    """Let one process at a time change a file, as far as the locks of its file system reach.

    The lock is on a hidden neighbour that stays: the file itself may be replaced, and a lock goes with what it was on.

    Parameters
    ----------
    path
        What is changed; it need not be there.
    what
        The same as it stands in a sentence: "the file split.jsonl".
    busy
        What is raised where another process has had it for longer than that takes.

    Raises
    ------
    StorageError
        The disk is full, gone or read-only.
    """
    neighbour = path.with_name(f".{path.name.lstrip('.')}.lock")
    with storage_errors(what):
        refuse_links(path.parent, neighbour)
        if not neighbour.exists():
            neighbour.touch()
        refuse_odd_file(neighbour, _LARGEST)
        file = _opened(neighbour)
    with file:
        end = time.monotonic() + _PATIENCE_SECONDS
        while not lock(file):
            if time.monotonic() > end:
                raise busy(f"Another process is busy with {what} in this study; try again.")
            time.sleep(0.01)
        yield


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("r+b", buffering=0)
    except PermissionError:  # somebody else made it, in a folder that both may write to
        return path.open("rb", buffering=0)
