"""A cohort on a cluster: the workers of a dask.distributed scheduler that is there already.

The scheduler carries names of cases and sentences; voxels go through the study's folder, which every worker
must reach at the same path. Neither this process nor a worker's imports torch: engines do.
"""

import importlib
import logging
import math
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from napari_apprentice.core.cohort import Outcome
from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.progress import Progress
from napari_apprentice.errors import ApprenticeError, Cancelled, InputError, RunError
from napari_apprentice.loop.child import thread_limit
from napari_apprentice.loop.cohort_case import predict_case
from napari_apprentice.loop.engine import Engine
from napari_apprentice.loop.launch import POLL_SECONDS
from napari_apprentice.store.study import Study

ANSWER_SECONDS = 20
STOP_SECONDS = 10.0
GONE_SECONDS = 1.0
LOOK_SECONDS = 3.0  # between two questions whether there are workers
_PLACE = "apprentice_place"


def predict_there(
    study: Study, cases: Sequence[str], settings: PredictSettings, model: str, address: str
) -> Generator[Outcome | Progress, None, None]:
    """Predict cases on the workers of a scheduler: yields an outcome whenever a case has ended.

    Progress comes where a person would wonder why nothing happens: the scheduler has no worker, not yet or not any
    more.

    Closing the generator stops all workers within about a second; their engines end with the cohort.

    Raises
    ------
    InputError
        The package distributed is not installed.
    RunError
        No scheduler answers at the address, or not any longer.
    """
    distributed = _distributed()
    client = _client(distributed, address)
    # Its file `cancel` is what workers elsewhere look at.
    run = study.runs.create("cohort", {"model": model, "cases": list(cases), "settings": settings.to_json()})
    job = {"run": str(run.path.resolve()), "model": model, "settings": settings.to_json()}
    finished = False
    futures: list[Any] = []
    try:
        futures = client.map(predict_on_worker, [job] * len(cases), list(cases), pure=False)
        names = dict(zip((f.key for f in futures), cases, strict=True))
        for future in _ended(distributed, client, futures):
            if _is_gone(client):  # it cancels what is left; the cases themselves are not at fault
                raise RunError(
                    f"The scheduler at {address} does not answer any more. What was predicted is kept: give the same "
                    "command again when it is back."
                )
            if future is None:
                text = f"No worker has joined the scheduler at {address} yet, or none is left: waiting for one"
                yield Progress(0, len(cases), text)
            else:
                yield _outcome(future, names[future.key])
        finished = True
        study.runs.discard(run.run_id)
    finally:
        if not finished:
            run.cancel()
        _leave(client, futures, job, finished)


def predict_on_worker(job: dict[str, Any], case_id: str) -> dict[str, Any]:
    """What a worker of the cluster does with one case; plain values in and out."""
    path = Path(job["run"])
    study = Study.open(path.parents[1])
    run = study.runs.open(path.name)
    settings = PredictSettings.from_json(job["settings"])
    with _place().engine_for(job["run"]) as engine:
        if run.cancelled():
            raise Cancelled("The cohort was stopped before this case had begun.")
        outcome = predict_case(study, engine, case_id, settings, str(job["model"]), run.cancelled)
    return vars(outcome)


def leave_worker(job: dict[str, Any], dask_worker: Any) -> None:
    """End a worker's engine, unless other cohorts use it; what is called so is handed the worker by dask."""
    place = vars(dask_worker).get(_PLACE)
    if place is not None:
        place.leave(job["run"])


class EnginePlace:
    """The engine of one worker, which stays warm from case to case.

    A worker of several threads has several cases in hand, and those of several cohorts where its scheduler is shared;
    they take turns.

    Parameters
    ----------
    threads
        With how many the engine computes.
    """

    def __init__(self, threads: int) -> None:
        self._engine = Engine(thread_limit(threads))
        self._turn, self._door = threading.Lock(), threading.Lock()
        self._cohorts: set[str] = set()
        self._left: set[str] = set()

    @contextmanager
    def engine_for(self, cohort: str) -> Iterator[Engine]:
        """Wait for the turn of a case of this cohort, so that its seconds are its own.

        Raises
        ------
        Cancelled
            Its cohort has left meanwhile.
        """
        with self._turn:
            with self._door:
                if cohort in self._left:
                    raise Cancelled("its cohort was stopped")
                self._cohorts.add(cohort)
            yield self._engine

    def leave(self, cohort: str) -> None:
        """The engine ends with the last cohort that used it."""
        with self._door:
            self._left.add(cohort)
            self._cohorts.discard(cohort)
            if not self._cohorts:
                self._engine.stop()


def _place() -> EnginePlace:
    worker = _distributed().get_worker()
    place: EnginePlace = vars(worker).setdefault(_PLACE, EnginePlace(worker.state.nthreads))
    return place


def _distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise InputError(
            "Predicting on a cluster needs a package that is not installed: pip install 'napari-apprentice[cluster]'."
        ) from error


def _client(distributed: Any, address: str) -> Any:
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # its tracebacks; here they are sentences
    try:
        return distributed.Client(address, timeout=ANSWER_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise RunError(
            f"No scheduler answers at {address}: start one (`dask scheduler`) or mend the address, as in "
            "tcp://HOST:8786."
        ) from error


def _ended(distributed: Any, client: Any, futures: Sequence[Any]) -> Generator[Any, None, None]:
    """Every future when it has ended; None where the scheduler has no worker (any more), once, or is gone."""
    waiting = distributed.as_completed(futures, loop=client.loop)
    alone, looked = False, -math.inf
    while not waiting.is_empty():
        yield from waiting.next_batch(block=False)
        if time.monotonic() - looked > LOOK_SECONDS:
            before, alone = alone, not _is_gone(client) and not client.scheduler_info()["workers"]
            looked = time.monotonic()
            if _is_gone(client) or (alone and not before):
                yield None
        time.sleep(POLL_SECONDS)


def _is_gone(client: Any) -> bool:
    return bool(client.status != "running")


def _outcome(future: Any, case_id: str) -> Outcome:
    if future.status == "finished":
        return Outcome(**future.result())
    error = future.exception() if future.status == "error" else Cancelled("it was cancelled at the scheduler")
    if isinstance(error, ApprenticeError):
        return Outcome(case_id, error=str(error))
    return Outcome(
        case_id,
        error=f"A worker of the cluster could not do it ({type(error).__name__}: {error}); the same version of "
        "Apprentice must be installed there.",
    )


def _leave(client: Any, futures: Sequence[Any], job: dict[str, Any], finished: bool) -> None:
    gone = _is_gone(client)
    with suppress(Exception):  # the scheduler may go at any moment
        if not finished and not gone:
            client.cancel(list(futures), force=True)
        if not gone:  # else this would wait for it to come back
            client.run(leave_worker, job, on_error="ignore")
    with suppress(Exception):
        client.close(timeout=GONE_SECONDS if gone else STOP_SECONDS)
