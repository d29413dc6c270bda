"""Whose turn a device is: training runs of all studies of a user, one at a time on each device."""

import json
import os
import re
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from napari_apprentice.errors import Cancelled
from napari_apprentice.store.documents import MALFORMED
from napari_apprentice.store.files import remove_quietly
from napari_apprentice.store.process import lives
from napari_apprentice.store.user_folder import user_folder

POLL_SECONDS = 0.5
SETTLE_SECONDS = 0.2  # of two that take a dead one's place at once, the second to write has it


@dataclass(frozen=True)
class Holder:
    """A process that computes on a device, since when it lives, and one word that only it knows."""

    pid: int
    born: float
    word: str

    def lives(self) -> bool:
        """Whether it is still there."""
        return lives(self.pid, self.born)


class DeviceTurn:
    """One process's claim on a device; a small file in the user's folder says who has it.

    Parameters
    ----------
    device
        Its name, such as "cpu" or that of a GPU.
    folder
        Where the files are; by default $APPRENTICE_HOME, or the platform's user data folder.
    """

    def __init__(self, device: str, folder: Path | None = None) -> None:
        self._path = (folder or user_folder()) / "devices" / (re.sub(r"[^A-Za-z0-9.-]+", "-", device) + ".json")
        self._me = Holder(os.getpid(), psutil.Process().create_time(), uuid.uuid4().hex)

    def wait(self, cancelled: Callable[[], bool]) -> Generator[Holder, None, None]:
        """Take the device, yielding who has it for as long as somebody has.

        A user's folder that cannot be written keeps nobody from working.

        Raises
        ------
        Cancelled
            `cancelled` said so while it waited.
        """
        while (other := self._take()) is not None:
            yield other
            if cancelled():
                raise Cancelled("The run was cancelled while it waited for its turn; it can be resumed.")
            time.sleep(POLL_SECONDS)

    def end(self) -> None:
        """Let the next one in."""
        if _read(self._path) == self._me:
            remove_quietly(self._path)

    def _take(self) -> Holder | None:
        """Who has the device; None when it is this process, or nobody can have it."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            aside = self._path.with_name(f"{self._path.name}.{self._me.word}")
            aside.write_text(json.dumps(asdict(self._me)), encoding="utf-8")
            try:
                return self._put(aside)
            finally:
                remove_quietly(aside)
        except OSError:
            return None

    def _put(self, aside: Path) -> Holder | None:
        with suppress(FileExistsError):
            os.link(aside, self._path)  # whole, or not at all
            return None
        other = _read(self._path)
        if other is not None and other.lives():
            return other
        aside.replace(self._path)
        time.sleep(SETTLE_SECONDS)
        other = _read(self._path)
        return None if other in (None, self._me) else other


def _read(path: Path) -> Holder | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Holder(int(found["pid"]), float(found["born"]), str(found["word"]))
    except (OSError, *MALFORMED):
        return None
