"""Start child processes, hand them run folders, and follow what they report.

The run folder is the whole interface: `run.json` goes in, `events.jsonl` comes out, a file named
`cancel` asks the child to stop. Nothing here imports torch; only the child does.
"""

import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

from napari_apprentice.core.progress import Progress
from napari_apprentice.errors import (
    ApprenticeError,
    Cancelled,
    InputError,
    ModelError,
    NoNumbersError,
    RunError,
    StorageError,
)
from napari_apprentice.loop.child import CLAIMED, DISK_FAILED, GPU_LOST, NOT_LOADED, environment, step_back
from napari_apprentice.store.presence import STALE_SECONDS, plain_name
from napari_apprentice.store.process import lives, place, works_on_another
from napari_apprentice.store.runs import RunFolder

OUTPUT = "output.txt"
OVERTAKEN = "overtaken"
_ENDS = ("done", "failed", "cancelled")
POLL_SECONDS = 0.05
WATCH_SECONDS = 0.5  # between two looks at a process that somebody else started, perhaps over a network
_ERRORS: dict[str, type[ApprenticeError]] = {
    e.__name__: e for e in (InputError, ModelError, NoNumbersError, RunError, StorageError)
}


def start_training(run: RunFolder) -> "subprocess.Popen[bytes]":
    """Start a training run in a process of its own, which outlives the one that started it."""
    # What a child prints may name anything, and a file that it writes to by itself cannot be encrypted.
    place = Path(os.devnull) if run.vault.encrypted else run.path / OUTPUT
    with place.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *_together(run), "-m", "napari_apprentice.loop.worker_start", str(run.path)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**environment(large_pages=True, processes=_devices(run)), **run.vault.environment()},
        )
    step_back(process.pid)
    # Whoever follows the run may leave before it ends; somebody must still take note of its end.
    threading.Thread(target=process.wait, name=f"wait for {run.run_id}", daemon=True).start()
    return process


def _together(run: RunFolder) -> tuple[str, ...]:
    """How to start several processes that train together; nothing for one."""
    devices = _devices(run)
    if devices == 1:
        return ()
    return "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(devices)


def _devices(run: RunFolder) -> int:
    return int(run.request.get("settings", {}).get("devices", 1))


def is_running(run: RunFolder) -> bool:
    """Whether a process works on this run now, started by this or by an earlier session, here or elsewhere.

    One at another place works on it while it keeps the run's folder locked, or gave a sign of life a moment ago.
    """
    start = _open_start(run)
    if start is None:
        return False
    if run.is_claimed():
        return True
    if not _is_here(start):
        return run.silent_seconds() < STALE_SECONDS
    return lives(start["pid"], start["born"]) and not works_on_another(start["pid"], run.path)


def host_elsewhere(run: RunFolder) -> str:
    """The computer where a run that has not ended was started last, if that was at another place; else ""."""
    start = _open_start(run)
    return "" if start is None or _is_here(start) else plain_name(str(start.get("host", "another computer")))


def is_silent(run: RunFolder) -> bool:
    """Whether a run that has not ended was started on another computer, which is not heard of any more.

    It may be switched off, or only out of reach.
    """
    return host_elsewhere(run) not in ("", platform.node()) and not is_running(run)


def _open_start(run: RunFolder) -> dict[str, Any] | None:
    """What a run said when it was started last; None when it has ended, or never began."""
    if ending(run) is not None:
        return None  # as most have, and they are looked at again and again: thousands of steps are not read for that
    starts = [e for e in run.events(0)[0] if e.get("event") == "started"]
    return starts[-1] if starts else None


def _is_here(start: Mapping[str, Any]) -> bool:
    """Whether the number of a run's process means something here; earlier versions took that for granted."""
    here = place()
    return bool(start.get("place", here) == here)


def outcome(events: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The event that ends a run's newest attempt, or None while it has not ended."""
    last = events[-1] if events else {}
    return last if last.get("event") in _ENDS else None


def has_not_begun(events: list[dict[str, Any]]) -> bool:
    """Whether no process has said that it works on a run since the run ended last, if it ever did; nor has it ended."""
    turns = [event for event in events if event.get("event") in ("started", *_ENDS)]
    return outcome(events) is None and (not turns or turns[-1]["event"] != "started")


def ending(run: RunFolder) -> dict[str, Any] | None:
    """The `outcome` of a run, read from the end of its events."""
    newest = run.newest()
    return outcome([newest] if newest else [])


def at_work(run: RunFolder) -> bool:
    """Whether a process computes for a run now: it has begun and not ended, and no other one has overtaken it."""
    newest = run.newest()
    return newest is not None and newest.get("event") not in (OVERTAKEN, *_ENDS)


def follow(
    run: RunFolder, process: "subprocess.Popen[Any] | None" = None, offset: int = 0,
    give_up: Callable[[], bool] = lambda: False,
) -> Generator[Progress, None, dict[str, Any]]:  # fmt: skip
    """Yield what a run reports until it ends; its result is returned.

    Parameters
    ----------
    process
        The child; None when another session started it, then the run's own record of it is used.
    offset
        Byte of events.jsonl to start from.
    give_up
        Asked between two looks at the run: whether to wait for its end no longer.

    Raises
    ------
    Cancelled
        It stopped because it was asked to.
    InputError, ModelError, StorageError, RunError
        What the child reported, in its words; RunError also when it was killed.
    """
    host = host_elsewhere(run) if process is None else ""
    while True:
        ended = _has_ended(run, process)  # asked before reading: the last words are read after the end
        events, offset = run.events(offset)
        for event in events:
            if event.get("event") == "progress":
                yield _progress(event, host)
        result = outcome(events)
        if result is not None:
            return _result(result, run)
        if ended:
            raise _death(run, process, host)
        if give_up():
            raise Cancelled(f"Run {run.run_id} was cancelled; what was finished is kept.")
        time.sleep(POLL_SECONDS if process is not None else WATCH_SECONDS)


def _has_ended(run: RunFolder, process: "subprocess.Popen[Any] | None") -> bool:
    return not is_running(run) if process is None else process.poll() is not None


def _progress(event: dict[str, Any], host: str) -> Progress:
    where = f"Running on {host}. " if host else ""
    return Progress(
        int(event["done"]), int(event["total"]), f"{where}{event['text']}",
        event.get("loss"), event.get("dice"), event.get("seconds_left"), event.get("case_id"),
        tuple(event["slab"]) if "slab" in event else None,
    )  # fmt: skip


def _result(event: dict[str, Any], run: RunFolder) -> dict[str, Any]:
    if event["event"] == "cancelled":
        raise Cancelled(f"Run {run.run_id} was cancelled; what was finished is kept.")
    if event["event"] == "failed":
        raise _ERRORS.get(event["error"], RunError)(event["text"])
    result: dict[str, Any] = event["result"]
    return result


def _death(run: RunFolder, process: "subprocess.Popen[Any] | None", host: str) -> ApprenticeError:
    code = process.poll() if process is not None else None
    if code == DISK_FAILED:
        return StorageError(
            f"The disk that holds {run.path.parent.parent} is full or cannot be written; free some space."
        )
    if code == NOT_LOADED:
        return RunError(
            f"PyTorch or MONAI, which predict and train, cannot be loaded on {platform.node()}. `pip install "
            "'napari-apprentice[learn]'` installs them; where they are installed, `python -c \"import torch, monai\"` "
            "says what is wrong."
        )
    if code == CLAIMED:
        return RunError(f"Another process works on run {run.run_id} already; wait for it or cancel it first.")
    if host and is_silent(run):
        return silent_error(run)
    if code == GPU_LOST:
        told = [event["text"] for event in run.events()[0] if event.get("event") == "gpu lost"]
        return RunError(
            f"{told[-1] if told else 'The GPU failed.'} Its driver may be why, or that the computer slept. The study "
            "is unharmed; predict again, or choose cpu as the device."
        )
    how = "was killed, perhaps for want of memory" if code is None or code < 0 else f"ended with status {code}"
    if run.kind == "predict":
        return RunError(f"The prediction process {how}. The study is unharmed; predict again.")
    return RunError(
        f"The process of run {run.run_id} {how}. The study is unharmed; resume the run, and it goes on from its "
        f"last checkpoint. Details: {_last_line(run.path / OUTPUT)}"
    )


def silent_error(run: RunFolder) -> RunError:
    """Why a run of another computer is not simply gone on with, and how it can be."""
    return RunError(
        f"Run {run.run_id} was started on {host_elsewhere(run)} and has given no sign of life for "
        f"{run.silent_seconds() / 60:.0f} minutes. If it does not run there any more, go on with it here: "
        f"apprentice {run.kind} STUDY --resume --take-over."
    )


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        return "none"
    return lines[-1] if lines else "none"
