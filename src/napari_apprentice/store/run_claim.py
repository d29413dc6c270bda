"""Who works on a run: a file in its folder that one process has locked and renews while it works.

Both, because neither is enough: locks do not reach every computer that shares a folder, and whoever is silent for a
while may only be slow.
"""

import os
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from napari_apprentice.errors import RunError, StudyError
from napari_apprentice.store.file_lock import lock
from napari_apprentice.store.files import clock_of
from napari_apprentice.store.presence import BEAT_SECONDS
from napari_apprentice.store.trust import refuse_links, refuse_odd_file

CLAIM = "alive"
_LARGEST = 4096  # bytes; a study may come from a stranger
_PATIENCE_SECONDS = 2.0  # somebody may be looking whether it is locked, and hold it for that moment


class ClaimedError(RunError):
    """Another process works on the run: nothing more may be written to it by this one."""


class Claim:
    """What one process has of a run while it works on it; it ends with the process in any case.

    Parameters
    ----------
    folder
        The run's.

    Raises
    ------
    ClaimedError
        Another process has it.
    StorageError, OSError
        The folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / CLAIM
        refuse_links(folder, self._path)
        self._path.touch()
        self._file = _opened(self._path)
        self._word = uuid.uuid4().hex.encode()
        self._ends = threading.Event()
        _wait_for(self._file, folder.name)
        self._write()
        self._thread = threading.Thread(target=self._beat, name=f"claim on {folder.name}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Make sure that no other process has taken the run over, while this one slept or was out of reach.

        Raises
        ------
        ClaimedError
            One has.
        """
        with suppress(OSError):  # a share that is gone for a while
            if self._path.read_bytes() != self._word:
                raise ClaimedError(f"Run {self._path.parent.name} was taken over by another process.")

    def end(self) -> None:
        """Let others work on the run."""
        self._ends.set()
        self._thread.join()
        self._file.close()

    def _beat(self) -> None:
        while not self._ends.wait(BEAT_SECONDS):
            with suppress(OSError, ClaimedError):
                self.check()
                self._write()

    def _write(self) -> None:
        # Written, not touched: the file system that holds it dates it by its own clock.
        self._file.seek(0)
        self._file.write(self._word)
        os.fsync(self._file.fileno())


def is_claimed(folder: Path) -> bool:
    """Whether a process works on a run, as far as the locks of its file system reach."""
    with suppress(OSError, StudyError), _opened(folder / CLAIM) as file:
        return not lock(file)
    return False


def silent_seconds(*paths: Path) -> float:
    """How long ago the newest of some files of one folder was written, by the clock of the file system."""
    dates = [0.0]
    for path in paths:
        with suppress(OSError):
            dates.append(path.stat().st_mtime)
    return clock_of(paths[0].parent) - max(dates)


def _opened(path: Path) -> BinaryIO:
    refuse_links(path.parent, path)
    refuse_odd_file(path, _LARGEST)
    return path.open("r+b", buffering=0)


def _wait_for(file: BinaryIO, run_id: str) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while not lock(file):
        if time.monotonic() > end:
            file.close()
            raise ClaimedError(f"Another process works on run {run_id}.")
        time.sleep(0.05)
