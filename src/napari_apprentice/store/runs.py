"""Run folders: how the window and a process of its own talk, and what is left to look at afterwards."""

import json
import math
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from napari_apprentice.core.records import now
from napari_apprentice.errors import InputError, RunError, StudyError
from napari_apprentice.store.documents import read_document, write_document
from napari_apprentice.store.encryption import study_vault
from napari_apprentice.store.file_lock import one_at_a_time
from napari_apprentice.store.files import aside_of, clock_of, commit_folder, remove_quietly, storage_errors
from napari_apprentice.store.names import check_name, folders_in, is_name
from napari_apprentice.store.run_claim import CLAIM, Claim, is_claimed, silent_seconds
from napari_apprentice.store.trust import refuse_links, refuse_odd_file
from napari_apprentice.store.vault import PLAIN, Vault

_STALE_SECONDS = 10.0
_TAIL = 2**16  # bytes
LARGEST_EVENTS = 2**28  # bytes; a step of training takes some 200
DOCUMENT, EVENTS, CANCEL = "run.json", "events.jsonl", "cancel"
CHECKPOINT = "checkpoint"  # folder of a training run


class RunFolder:
    """One run: `run.json` goes in, `events.jsonl` comes out, a file named `cancel` asks it to stop.

    Attributes
    ----------
    path, run_id
        The folder and its name.
    kind
        predict, train ...
    request
        What was asked for; JSON values.
    vault
        The study's, at this run.
    """

    def __init__(self, path: Path, kind: str, request: Mapping[str, Any], vault: Vault = PLAIN) -> None:
        self.path = path
        self.vault = vault
        self.run_id = path.name
        self.kind = kind
        self.request = dict(request)
        self._mended = False
        self._claim: Claim | None = None

    @classmethod
    def at(cls, path: Path, vault: Vault | None = None) -> "RunFolder":
        """Open a run's folder, also from another process.

        Parameters
        ----------
        vault
            The study's; by default what the study's own document asks for.

        Raises
        ------
        InputError
            No run folder.
        StudyError
            Its run.json is damaged.
        """
        with storage_errors(f"run {path.name}"):
            there = (path / DOCUMENT).is_file()
        if not there:
            raise InputError(f"{path.name} is no run folder: it has no {DOCUMENT}.")
        refuse_links(path.parent, path / EVENTS)
        vault = (study_vault(path.resolve().parents[1]) if vault is None else vault).at("runs", path.name)
        document = vault.open_record(read_document(path / DOCUMENT), f"{path.name}/{DOCUMENT}")
        request = document.get("request")
        if not isinstance(request, dict):
            raise StudyError(f"{path.name}/{DOCUMENT} is damaged: it holds no request.")
        return cls(path, str(document.get("kind", "")), request, vault)

    @property
    def study_path(self) -> Path:
        """The study it lies in; not written down, so that a copied or moved study keeps to itself."""
        return self.path.resolve().parents[1]

    def record(self) -> dict[str, Any]:
        """The run's document, as it was stored."""
        return self.vault.open_record(read_document(self.path / DOCUMENT), f"{self.run_id}/{DOCUMENT}")

    def note(self, facts: Mapping[str, Any]) -> None:
        """Put what the run found out about itself into its document, as "made"; what stood there goes.

        Raises
        ------
        StorageError
            The disk is full, gone or read-only; the document is as it was.
        ClaimedError
            Another process has taken the run over.
        """
        self._check()
        document = {**self.record(), "made": dict(facts)}
        write_document(self.path / DOCUMENT, self.vault.close_record(document))

    def emit(self, event: Mapping[str, Any]) -> None:
        """Append one event; a reader sees it at once, whole.

        Not synced: events tell how far the work is, they are not the work.

        Raises
        ------
        StorageError
            The disk is full, gone or read-only.
        ClaimedError
            Another process has taken the run over.
        """
        self._check()
        line = (json.dumps(self.vault.at(EVENTS).close_event(event)) + "\n").encode()
        with storage_errors(f"an event of run {self.run_id}"), self._opened() as file:
            if not self._mended and self._torn():
                line = b"\n" + line
            self._mended = False  # a disk that fills up now has a part of the line
            while line:
                line = line[file.write(line) or 0 :]
            self._mended = True

    def events(self, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Events after a byte offset, and the offset to go on from.

        An unfinished last line waits for the next call; a line that a kill cut off is passed over.
        """
        with storage_errors(f"the events of run {self.run_id}"):
            if not self._events.exists():
                return [], offset
            refuse_odd_file(self._events, LARGEST_EVENTS)
            with self._events.open("rb") as file:
                file.seek(offset)
                data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        parsed = (_parse(line) for line in whole.splitlines())
        vault, what = self.vault.at(EVENTS), f"{self.run_id}/{EVENTS}"
        return [vault.open_record(event, what) for event in parsed if event is not None], offset + len(whole)

    def newest(self) -> dict[str, Any] | None:
        """The newest event that is whole, read from the end of what may be many; None before the first."""
        with storage_errors(f"the events of run {self.run_id}"):
            if not self._events.exists():
                return None
            refuse_odd_file(self._events, LARGEST_EVENTS)
            event = _newest_in(self._events)
        return None if event is None else self.vault.at(EVENTS).open_record(event, f"{self.run_id}/{EVENTS}")

    def cancel(self) -> None:
        """Ask the run to stop after its current step and keep what it has."""
        with storage_errors(f"the request to stop run {self.run_id}"):
            (self.path / CANCEL).touch()

    def withdraw_cancel(self) -> None:
        """Take the request to stop back, so that the run can go on."""
        with storage_errors(f"the request to stop run {self.run_id}"):
            (self.path / CANCEL).unlink(missing_ok=True)

    def cancelled(self) -> bool:
        """Whether the run was asked to stop."""
        return (self.path / CANCEL).exists()

    def let_go(self) -> None:
        """Remove what a training run that is done needs no more: its model version has the weights."""
        for path in (*self.path.glob(f"{CHECKPOINT}*"), *self.path.glob("*.safetensors")):  # and one put aside
            remove_quietly(path)

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Let no other process work on this run.

        Raises
        ------
        ClaimedError
            One does.
        StorageError
            The disk is full, gone or read-only.
        """
        with storage_errors(f"the folder of run {self.run_id}"):
            self._claim = Claim(self.path)
        try:
            yield
        finally:
            self._claim.end()
            self._claim = None

    def is_claimed(self) -> bool:
        """Whether a process works on this run, as far as the locks of the file system reach."""
        return is_claimed(self.path)

    def silent_seconds(self) -> float:
        """How long ago a process that works on it last gave a sign of life, by the file system's clock."""
        return silent_seconds(self._events, self.path / CLAIM)

    def _check(self) -> None:
        if self._claim is not None:
            self._claim.check()

    @property
    def _events(self) -> Path:
        return self.path / EVENTS

    def _opened(self) -> BinaryIO:
        if self._events.exists():
            refuse_odd_file(self._events, math.inf)  # a pipe would be waited for
        return self._events.open("ab", buffering=0)

    def _torn(self) -> bool:
        with self._events.open("rb") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"


class Runs:
    """Creates and lists run folders.

    Parameters
    ----------
    root
        The study's runs folder.
    vault
        The study's.
    """

    def __init__(self, root: Path, vault: Vault = PLAIN) -> None:
        self.root = root
        self._vault = vault

    def ids(self) -> tuple[str, ...]:
        """Run ids, oldest first."""
        with storage_errors("the list of runs"):
            return tuple(n for n in folders_in(self.root) if (self.root / n / DOCUMENT).exists())

    def create(self, kind: str, request: Mapping[str, Any]) -> RunFolder:
        """Lay down a run's folder with its run.json.

        Raises
        ------
        StorageError
            The disk is full, gone or read-only; nothing was added.
        """
        with storage_errors("the run's folder"):
            while True:
                # Down to the millisecond: ids are in the order in which they were made. Older ones end at the second.
                stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")[:-3]
                run_id = check_name("run", f"{stamp}-{kind}-{uuid.uuid4().hex[:4]}")
                if self._lay_down(run_id, kind, request):
                    return RunFolder.at(self.root / run_id, self._vault)

    def open(self, run_id: str) -> RunFolder:
        """Open a run again.

        Raises
        ------
        InputError
            No such run.
        """
        if not is_name(run_id):
            raise InputError(f"There is no run {run_id[:120]!r} in this study.")
        return RunFolder.at(self.root / run_id, self._vault)

    @contextmanager
    def alone(self, what: str = "the start of a run") -> Iterator[None]:
        """Let one process at a time decide about what all of them go by: which run trains, which labels there are.

        Parameters
        ----------
        what
            What is decided, as it stands in a sentence.

        Raises
        ------
        RunError
            Another process has been deciding for longer than that takes.
        StorageError
            The disk is full, gone or read-only.
        """
        gate = self.root / ".alone"
        with one_at_a_time(gate, what, RunError), self._gate(gate, what):
            yield

    @contextmanager
    def _gate(self, gate: Path, what: str) -> Iterator[None]:
        """For computers that the lock does not reach; the lock lets only one of those it reaches clear a stale one."""
        patience = time.monotonic() + 2 * _STALE_SECONDS
        with storage_errors(what):
            while not _made(gate):
                if time.monotonic() > patience:
                    raise RunError("Another process is changing something in this study; try again.")
                if _age(gate) > _STALE_SECONDS:  # whoever made it was killed
                    with suppress(OSError):
                        gate.rmdir()
                time.sleep(0.05)
        try:
            yield
        finally:
            with suppress(OSError):
                gate.rmdir()

    def discard(self, run_id: str) -> None:
        """Remove a run that never began."""
        remove_quietly(self.open(run_id).path)

    def _lay_down(self, run_id: str, kind: str, request: Mapping[str, Any]) -> bool:
        aside = aside_of(self.root / run_id)
        try:
            aside.mkdir()
            document = {"run_id": run_id, "kind": kind, "created": now(), "request": dict(request)}
            write_document(aside / DOCUMENT, self._vault.at("runs", run_id).close_record(document))
            return commit_folder(aside, self.root / run_id)
        finally:
            remove_quietly(aside)


def _made(folder: Path) -> bool:
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def _age(folder: Path) -> float:
    try:
        return clock_of(folder.parent) - folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _newest_in(path: Path) -> dict[str, Any] | None:
    """The last line that is an event, looked for from the end."""
    with path.open("rb") as file:
        size, length = file.seek(0, os.SEEK_END), _TAIL
        while True:
            start = max(0, size - length)
            file.seek(start)
            data = file.read(size - start)
            lines = data[: data.rfind(b"\n") + 1].splitlines()[1 if start else 0 :]  # the first may be half of one
            event = next((e for e in map(_parse, reversed(lines)) if e is not None), None)
            if event is not None or start == 0:
                return event
            length *= 16


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
