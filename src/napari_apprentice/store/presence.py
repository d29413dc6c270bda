"""Who has which case open: a small file per window beside the case's journal, renewed while the case is open.

It informs and never locks: nothing waits for it, and a study that can only be read does without.
"""

import json
import os
import platform
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import psutil

from napari_apprentice.core.records import now
from napari_apprentice.errors import StudyError
from napari_apprentice.store.documents import MALFORMED
from napari_apprentice.store.files import aside_of, clock_of, remove_quietly
from napari_apprentice.store.names import check_name
from napari_apprentice.store.process import lives, place
from napari_apprentice.store.vault import PLAIN, Vault

BEAT_SECONDS = 30.0
STALE_SECONDS = 120.0
_LARGEST = 4096  # bytes of a file; a study may come from a stranger
_LONGEST = 60  # characters of a name


@dataclass(frozen=True)
class Present:
    """A window that has a case open.

    Parameters
    ----------
    author, host
        Who, on which computer.
    pid, born
        Its process, and when that began (seconds since 1970, by its computer's clock).
    since
        When the case was opened, UTC, ISO 8601.
    place
        Where `pid` means what it means there, see `store.process.place`; "" in files of earlier versions.
    """

    author: str
    host: str
    pid: int
    born: float
    since: str
    place: str = ""

    @property
    def sentence(self) -> str:
        """For whoever opens the same case."""
        return (
            f"{self.author} has this case open on {self.host} since {_clock_time(self.since)}; "
            "both revisions will be kept."
        )


class Presence:
    """Says which case one window has open, and knows who else has one open.

    Parameters
    ----------
    root
        The study's journal folder.
    author
        Who corrects.
    vault
        The study's.
    """

    def __init__(self, root: Path, author: str, vault: Vault = PLAIN) -> None:
        self.root = root
        self._vault = vault.at("presence")
        self._names: set[str] = set()  # one for each time: the sign of a case that was left goes a moment later
        self._me = Present(author, platform.node(), os.getpid(), psutil.Process().create_time(), now(), place())
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None

    def enter(self, case_id: str) -> None:
        """Say that a case is open here, until `leave`; returns at once."""
        self.leave()
        self._ends = threading.Event()
        me = Present(**{**asdict(self._me), "since": now()})
        name = f"open-{uuid.uuid4().hex[:8]}.json"
        self._names.add(name)
        path = self.root / check_name("case id", case_id) / name
        self._thread = threading.Thread(
            target=_beat, args=(path, self._told(me), self._ends), name=f"presence at {case_id}", daemon=True
        )
        self._thread.start()

    def _told(self, me: Present) -> bytes:
        return json.dumps(self._vault.close_event(asdict(me))).encode()

    def leave(self, wait: float = 0.0) -> None:
        """Say so no more; waits at most so many seconds until the file is gone."""
        self._ends.set()
        if self._thread is not None and wait:
            self._thread.join(wait)

    def others(self, case_id: str) -> tuple[Present, ...]:
        """Other windows that have a case open, the earliest first."""
        return tuple(sorted(self._found(check_name("case id", case_id)), key=lambda present: present.since))

    def everyone(self) -> dict[str, tuple[Present, ...]]:
        """The other windows of all cases that are open, by case id."""
        with suppress(OSError):
            cases = {path.parent.name for path in self.root.glob("*/open-*.json")}
            return {case_id: others for case_id in sorted(cases) if (others := self.others(case_id))}
        return {}

    def _found(self, case_id: str) -> Iterator[Present]:
        clock: float | None = None
        with suppress(OSError):
            for path in (self.root / case_id).glob("open-*.json"):
                present = _read(path, self._vault)
                if path.name in self._names or present is None:
                    continue
                if present.place == self._me.place and not lives(present.pid, present.born):
                    remove_quietly(path)
                    continue
                clock = clock_of(self.root) if clock is None else clock
                if clock - path.stat().st_mtime < STALE_SECONDS:
                    yield present


def _beat(path: Path, data: bytes, ends: threading.Event) -> None:
    while True:
        with suppress(OSError):  # a share that is gone for a while, a study that can only be read
            _write(path, data)
        if ends.wait(BEAT_SECONDS):
            break
    remove_quietly(path)
    with suppress(OSError):  # the journal stays
        path.parent.rmdir()


def _write(path: Path, data: bytes) -> None:
    # Written anew, not touched: the file system that holds it dates it by its own clock. Need not outlive a crash.
    path.parent.mkdir(exist_ok=True)
    aside = aside_of(path)
    try:
        aside.write_bytes(data)
        aside.replace(path)
    finally:
        remove_quietly(aside)


def _read(path: Path, vault: Vault) -> Present | None:
    try:
        if not path.is_file():  # to open a pipe would be to wait
            return None
        with path.open("rb") as file:
            found = vault.open_record(json.loads(file.read(_LARGEST)), path.name)
        author, host = (plain_name(str(found[key])) for key in ("author", "host"))
        _clock_time(str(found["since"]))
        since, where = str(found["since"]), str(found.get("place", ""))
        return Present(author, host, int(found["pid"]), float(found["born"]), since, where)
    except (OSError, OverflowError, StudyError, *MALFORMED):
        return None


def plain_name(name: str) -> str:
    """What a study says somebody or a computer is called, such that it can be shown."""
    return "".join(c for c in name if c.isprintable())[:_LONGEST] or "Somebody"


def _clock_time(since: str) -> str:
    moment = datetime.fromisoformat(since).astimezone()
    return moment.strftime("%H:%M" if moment.date() == datetime.now().astimezone().date() else "%Y-%m-%d %H:%M")
