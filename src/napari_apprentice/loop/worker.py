"""What a child process runs: run folders, one after another. The only way into learn, and so to torch.

`python -m napari_apprentice.loop.worker_start RUN_FOLDER` does one run and ends; with `--serve` it takes requests
from standard input, a line of JSON each, until that closes; then it leaves the run under way.
"""

import logging
import os
import signal
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

from napari_apprentice.core.progress import Progress
from napari_apprentice.errors import Cancelled, GpuLostError, RunError, StorageError
from napari_apprentice.learn.device import release_memory
from napari_apprentice.learn.ranks import first_here, several
from napari_apprentice.loop.child import CLAIMED, DISK_FAILED, GPU_LOST, started
from napari_apprentice.loop.child_errors import told
from napari_apprentice.loop.launch import OVERTAKEN
from napari_apprentice.loop.requests import Request, Requests, WarmUp
from napari_apprentice.loop.worker_import import import_weights
from napari_apprentice.loop.worker_predict import PredictionTask
from napari_apprentice.loop.worker_train import train
from napari_apprentice.store.run_claim import ClaimedError
from napari_apprentice.store.runs import RunFolder

Task = Callable[[RunFolder], Generator[Progress, None, dict[str, Any]]]
Between = Callable[[], None]
REPORT_SECONDS = 0.1
log = logging.getLogger(__name__)


def run_one(run: RunFolder, task: Task, between: Between = lambda: None) -> None:
    """Do a run and write down how it went; nothing that goes wrong in it escapes, but a failing disk.

    Parameters
    ----------
    between
        Called after every report of the run.

    Raises
    ------
    GpuLostError
        The GPU failed: the run is left without an end, for whoever asked starts another process for it.
    """
    run.emit(started(os.getpid()))
    try:
        run.emit({"event": "done", "result": _drain(run, task, between)})
    except Cancelled:
        run.emit({"event": "cancelled"})
    except GpuLostError as error:
        run.emit({"event": "gpu lost", "text": str(error)})
        raise
    except Exception as error:
        log.exception("Run %s", run.run_id)
        run.emit({"event": "failed", **told(error, run.run_id)})


def _drain(run: RunFolder, task: Task, between: Between) -> dict[str, Any]:
    work, told, text = task(run), 0.0, ""
    while True:
        try:
            progress = next(work)
        except StopIteration as end:
            result: dict[str, Any] = end.value
            return result
        # Every window reports, and a run of a cohort reports a million of them; slabs and new words are all told.
        news = progress.slab or progress.loss is not None or progress.text != text
        if news or time.monotonic() - told > REPORT_SECONDS:
            told, text = time.monotonic(), progress.text
            run.emit({"event": "progress", **{k: v for k, v in vars(progress).items() if v is not None}})
        between()


def task_for(run: RunFolder, prediction: PredictionTask) -> Task:
    """The work a run's kind stands for."""
    tasks: dict[str, Task] = {"predict": prediction, "train": train, "fine-tune": train, "import": import_weights}
    if run.kind not in tasks:
        raise RunError(f"Run {run.run_id} is of a kind this version does not know: {run.kind}.")
    return tasks[run.kind]


def serve(requests: Requests, prediction: PredictionTask) -> None:
    """Do what is asked for until nothing more can be."""
    while (request := requests.next()) is not None:
        _do(request, requests, prediction)
        release_memory()  # until the next request a training run may need what torch would keep of the GPU's


def _do(request: Request, requests: Requests, prediction: PredictionTask) -> None:
    if isinstance(request, WarmUp):
        try:
            prediction.warm_up(request, lambda: requests.others_than(request.case_id))
        except GpuLostError:
            raise
        except Exception as error:  # noqa: BLE001 - nobody asked for it; the request that comes will say what is wrong
            log.info("Not warmed up: %s", type(error).__name__)
        return

    def overtaken() -> None:
        while (other := requests.overtaking(request)) is not None:
            request.emit({"event": OVERTAKEN})
            _do(other, requests, prediction)
            request.emit({"event": "continued"})

    try:
        run_one(request, task_for(request, prediction), overtaken)
    finally:
        requests.end(request)


def _help(run: RunFolder, task: Task) -> int:
    """Compute beside the first of several processes, which reports for all."""
    with suppress(Cancelled):
        for _ in task(run):
            pass
    return 0


def _done(run: RunFolder) -> bool:
    events, _ = run.events()
    return bool(events) and events[-1].get("event") == "done"


def main(arguments: list[str]) -> int:
    """Entry point; returns the exit status."""
    try:
        if arguments == ["--serve"]:
            # Ctrl-C reaches every process of a terminal; whoever asked decides what it means for this one.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            requests = Requests()
            serve(requests, PredictionTask(requests.focus))
        else:
            for path in arguments:
                run = RunFolder.at(Path(path))
                task = task_for(run, PredictionTask())
                if not first_here():
                    return _help(run, task)
                with run.claimed():
                    run_one(run, task)
                if task is train and _done(run):
                    run.let_go()
                if several() and not _done(run):
                    return 1  # the others may wait for this one, also where it was cancelled: torchrun ends them
    except ClaimedError as error:
        log.error("%s", error)
        return CLAIMED
    except GpuLostError as error:
        log.error("%s", error)
        return GPU_LOST
    except (StorageError, OSError):
        log.exception("The run folder cannot be written")
        return DISK_FAILED
    return 0
