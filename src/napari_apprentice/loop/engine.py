"""The warm processes that predict: one per device, started on first use.

Requests go in by standard input, a line of JSON each; events come out of the run's folder. Nothing here imports
torch; only the child does.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from weakref import WeakSet

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.errors import ApprenticeError, Cancelled, RunError
from napari_apprentice.loop.child import environment, step_back
from napari_apprentice.loop.launch import POLL_SECONDS, at_work
from napari_apprentice.store.runs import RunFolder

STOP_SECONDS = 5.0
DEAF_SECONDS = 10.0  # for a process that has not left a cancelled run; to start another takes longer than most windows
WORKER = ("-m", "napari_apprentice.loop.worker_start", "--serve")


class Engine:
    """One warm child process that predicts.

    It starts on first use, keeps the network in memory between requests, and ends when its standard
    input closes, so it never outlives the process that started it.

    Parameters
    ----------
    variables
        What its environment says beside this process's own.
    program
        What Python runs in it.
    """

    def __init__(self, variables: Mapping[str, str] | None = None, program: Sequence[str] = WORKER) -> None:
        self._variables, self._program = dict(variables or {}), program
        self._process: subprocess.Popen[str] | None = None
        self._keys: dict[str, str] = {}
        self.stops = 0
        """How often it was stopped on purpose; whoever began before that starts no process anew."""
        self._proved: subprocess.Popen[str] | None = None
        self._on_purpose: WeakSet[subprocess.Popen[str]] = WeakSet()
        self._heard: WeakSet[subprocess.Popen[str]] = WeakSet()
        self._lock = threading.Lock()  # requests come from worker threads, the slice looked at from the window's

    def submit(self, run: RunFolder, stops: int | None = None) -> "subprocess.Popen[str]":
        """Hand a run over; starts the process, which is returned, when there is none.

        Parameters
        ----------
        stops
            What `stops` said when the request began.

        Raises
        ------
        RunError
            The process died while the request was handed over twice in a row.
        Cancelled
            The engine was stopped since `stops`.
        """
        return self._send({"run": str(run.path.resolve())}, run.vault.environment(), stops)

    @property
    def answered(self) -> bool:
        """Whether the process that is there has done a request; before that it loads libraries and the network."""
        process = self._process
        return process is not None and process is self._proved and process.poll() is None

    def proved(self, process: "subprocess.Popen[str]") -> None:
        """Note that a process has done a request."""
        self._proved = process

    def warm(
        self, study: Path, model: str, settings: PredictSettings, keys: Mapping[str, str] | None = None,
        case: tuple[str, int | None] = ("", None),
    ) -> None:  # fmt: skip
        """Start the process and load a model version, so that the first request need not wait for that.

        Parameters
        ----------
        settings
            What the request will probably have; those that predict together are named in it.
        keys
            The environment of the study's vault.
        case
            The case on the screen and the slice along z, where there is one: its voxels are read beforehand.

        Raises
        ------
        RunError
            As for `submit`.
        """
        self._send({"warm": [str(study.resolve()), model, settings.to_json()], "case": list(case)}, keys or {})

    def look_at(self, case_id: str, index: int | None) -> None:
        """Say which slice along z is on the screen: it is predicted first. Returns at once, starts nothing."""
        with self._lock, suppress(OSError, ValueError):  # a process that is gone looks at nothing
            if self._process is not None and self._process.poll() is None:
                _write(self._process, {"look": [case_id, index]})

    def stop(self) -> None:
        """End the process; a request under way is lost, its run folder stays."""
        with self._lock:
            self.stops += 1
            if self._process is not None:
                self._on_purpose.add(self._process)
            self._end()

    def was_ended(self, process: "subprocess.Popen[str]") -> bool:
        """Whether a process was ended on purpose: it did not die over what it was asked for."""
        return process in self._on_purpose

    def heard(self, process: "subprocess.Popen[str]") -> None:
        """Note that a process has reported something."""
        self._heard.add(process)

    def was_heard(self, process: "subprocess.Popen[str]") -> bool:
        """Whether a process was at work at all; one that was not died by itself, not over what it was at work on."""
        return process in self._heard

    def leave_behind(self, run: RunFolder, process: "subprocess.Popen[str]") -> None:
        """Wait for a run that was asked to stop no longer; returns at once.

        Its process stops at the end of its window by itself. One that does not is ended.
        """
        name = f"watch {run.run_id} stop"
        threading.Thread(target=self._end_if_deaf, args=(run, process), name=name, daemon=True).start()

    def _end_if_deaf(self, run: RunFolder, process: "subprocess.Popen[str]") -> None:
        until = time.monotonic() + DEAF_SECONDS
        with suppress(ApprenticeError):  # the study may go away meanwhile
            while process.poll() is None and at_work(run):
                if time.monotonic() > until:
                    self._end_this(process)
                    return
                time.sleep(POLL_SECONDS)

    def _end_this(self, process: "subprocess.Popen[str]") -> None:
        with self._lock:
            if self._process is process:  # a later one may be at work already
                self._on_purpose.add(process)
                self._end(patience=0.0)

    def _send(
        self, message: dict[str, Any], keys: Mapping[str, str], stops: int | None = None
    ) -> "subprocess.Popen[str]":
        with self._lock:
            if stops is not None and stops != self.stops:
                raise Cancelled("The prediction was stopped, because its study was left; what was finished is kept.")
            for _ in range(2):
                process = self._alive(dict(keys))
                try:
                    _write(process, message)
                    return process
                except OSError:
                    self._end()
        raise RunError("The prediction process ends as soon as it is started; `apprentice check` may say why.")

    def _alive(self, keys: dict[str, str]) -> "subprocess.Popen[str]":
        if self._process is not None and self._process.poll() is not None:
            self._end()  # it died: its pipe is closed before another one is opened
        if self._keys != keys:
            self._end()  # it cannot open this study: it was started for one with another key, or with none
        if self._process is None:
            self._keys = keys
            self._process = _start(self._program, {**environment(), **self._variables, **keys})
            step_back(self._process.pid)
        return self._process

    def _end(self, patience: float = STOP_SECONDS) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            with suppress(OSError):  # what was not handed over to a dead process is lost with it
                process.stdin.close()
        process.terminate()
        try:
            process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Engines:
    """The engines of one session, by the device that they were asked for."""

    def __init__(self) -> None:
        self._engines: dict[str, Engine] = {}

    def of(self, device: str) -> Engine:
        """The engine of a device; nothing is started yet."""
        return self._engines.setdefault(device, Engine())

    def look_at(self, case_id: str, index: int | None) -> None:
        """Tell every engine that runs which slice is on the screen."""
        for engine in list(self._engines.values()):
            engine.look_at(case_id, index)

    def stop(self) -> None:
        """End all processes."""
        for engine in list(self._engines.values()):
            engine.stop()


def _start(program: Sequence[str], variables: Mapping[str, str]) -> "subprocess.Popen[str]":
    # In a session of its own, which can step back as a whole; see `step_back`. It ends with its pipe, not by Ctrl-C.
    return subprocess.Popen(
        [sys.executable, *program], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        text=True, env=variables, start_new_session=True,
    )  # fmt: skip


def _write(process: "subprocess.Popen[str]", message: dict[str, Any]) -> None:
    if process.stdin is None:
        raise BrokenPipeError
    process.stdin.write(json.dumps(message) + "\n")
    process.stdin.flush()
