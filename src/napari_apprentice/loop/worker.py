"""What a child process runs: run folders, one after another. The only way into learn, and so to torch.

`python -m napari_apprentice.loop.worker RUN_FOLDER` does one run and ends; with `--serve` it takes run
folders from standard input, a line of JSON each, until that closes; then it leaves the run under way.
"""

import json
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from napari_apprentice.core.progress import Progress
from napari_apprentice.errors import ApprenticeError, Cancelled, RunError, StorageError
from napari_apprentice.loop.launch import DISK_FAILED
from napari_apprentice.loop.worker_predict import PredictionTask
from napari_apprentice.loop.worker_train import train
from napari_apprentice.store.runs import RunFolder

Task = Callable[[RunFolder], Generator[Progress, None, dict[str, Any]]]
log = logging.getLogger(__name__)


def run_one(run: RunFolder, task: Task) -> None:
    """Do a run and write down how it went; nothing that goes wrong in it escapes, but a failing disk."""
    born = psutil.Process().create_time()
    run.emit({"event": "started", "pid": os.getpid(), "born": born})
    try:
        run.emit({"event": "done", "result": _drain(run, task)})
    except Cancelled:
        run.emit({"event": "cancelled"})
    except ApprenticeError as error:
        log.exception("Run %s", run.run_id)
        run.emit({"event": "failed", "error": type(error).__name__, "text": str(error)})
    except MemoryError:
        text = "There is not enough memory for this scan and network; close other programs or use a smaller patch."
        run.emit({"event": "failed", "error": "RunError", "text": text})
    except OSError as error:
        log.exception("Run %s", run.run_id)
        text = (
            f"Reading or writing failed: {error.strerror or error}. The study is unharmed; mend this and start again."
        )
        run.emit({"event": "failed", "error": "StorageError", "text": text})
    except Exception as error:
        log.exception("Run %s", run.run_id)
        text = f"Run {run.run_id} stopped on an unexpected fault ({type(error).__name__}: {error})."
        run.emit({"event": "failed", "error": "RunError", "text": text})


def _drain(run: RunFolder, task: Task) -> dict[str, Any]:
    work = task(run)
    while True:
        try:
            progress = next(work)
        except StopIteration as end:
            result: dict[str, Any] = end.value
            return result
        run.emit({"event": "progress", **{k: v for k, v in vars(progress).items() if v is not None}})


class Requests(Iterator[RunFolder]):
    """Run folders from standard input; when that closes, the asker is gone and the run under way is cancelled."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._now: RunFolder | None = None
        threading.Thread(target=self._read, name="read requests", daemon=True).start()

    def __next__(self) -> RunFolder:
        path = self._waiting.get()
        if path is None:
            raise StopIteration
        self._now = RunFolder.at(path)
        return self._now

    def _read(self) -> None:
        for line in sys.stdin:
            self._waiting.put(Path(json.loads(line)))
        self._waiting.put(None)
        if self._now is not None:
            with suppress(StorageError):  # it then ends after this run
                self._now.cancel()


def task_for(run: RunFolder, prediction: PredictionTask) -> Task:
    """The work a run's kind stands for."""
    tasks: dict[str, Task] = {"predict": prediction, "train": train, "fine-tune": train}
    if run.kind not in tasks:
        raise RunError(f"Run {run.run_id} is of a kind this version does not know: {run.kind}.")
    return tasks[run.kind]


def main(arguments: list[str]) -> int:
    """Entry point; returns the exit status."""
    prediction = PredictionTask()
    runs = Requests() if arguments == ["--serve"] else (RunFolder.at(Path(a)) for a in arguments)
    try:
        for run in runs:
            run_one(run, task_for(run, prediction))
    except (StorageError, OSError):
        log.exception("The run folder cannot be written")
        return DISK_FAILED
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    sys.exit(main(sys.argv[1:]))
