"""One case of a cohort, on an engine: the same here and on a worker of a cluster."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from napari_apprentice.core.cohort import Outcome
from napari_apprentice.core.config import PredictSettings
from napari_apprentice.errors import ApprenticeError, Cancelled
from napari_apprentice.loop.engine import Engine
from napari_apprentice.loop.predicting import PredictionRequest, begin
from napari_apprentice.store.study import Study

WATCH_SECONDS = 0.2


def predict_case(
    study: Study, engine: Engine, case_id: str, settings: PredictSettings, model: str, stopped: Callable[[], bool]
) -> Outcome:
    """Predict a case; what goes wrong with it is in the outcome.

    Parameters
    ----------
    stopped
        Asked all the time; once it says so the request is cancelled.

    Raises
    ------
    Cancelled
        `stopped` said so; the case is as before.
    """
    began = time.monotonic()
    try:
        request = begin(study, engine, (case_id,), settings, model)
        with _watched(request, stopped):
            for _ in request.work():
                pass
        quality = study.predictions.quality(case_id, model)
        _discard(study, request)
    except ApprenticeError as error:
        if stopped():  # its process may have been stopped by the same key press
            raise Cancelled(f"Stopped while {case_id} was predicted.") from error
        # Somebody may have asked this one run to stop, by its folder.
        text = "its prediction was cancelled" if isinstance(error, Cancelled) else str(error)
        return Outcome(case_id, time.monotonic() - began, error=text)
    return Outcome(case_id, time.monotonic() - began, quality)


@contextmanager
def _watched(request: PredictionRequest, stopped: Callable[[], bool]) -> Iterator[None]:
    over = threading.Event()

    def watch() -> None:
        while not over.wait(WATCH_SECONDS):
            if stopped():
                request.cancel()
                return

    watcher = threading.Thread(target=watch, name="watch a prediction", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _discard(study: Study, request: PredictionRequest) -> None:
    # A run folder per case would bury the others; what it has to tell is in the prediction's own record.
    if request.run is not None:
        study.runs.discard(request.run.run_id)
