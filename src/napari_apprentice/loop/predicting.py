"""The prediction verb of the parent process."""

import subprocess
import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.slabs import PredictedSlab
from napari_apprentice.errors import RunError
from napari_apprentice.loop.engine import Engine
from napari_apprentice.loop.ensembles import settled
from napari_apprentice.loop.exporting import active_model
from napari_apprentice.loop.launch import follow
from napari_apprentice.store.postprocess import read_recipe
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study

DEATHS = 2  # of the process, over one request; after that the person is told
CANCEL_SECONDS = 0.7  # a window takes a tenth of that; whoever takes longer is ended
LEAST_MB = 16


class PredictionRequest:
    """One request to an engine, with as many runs as it takes.

    Parameters
    ----------
    study, engine
        Whose cases, who predicts.
    case_ids, settings, model
        What is asked for.
    on_screen
        Whether a person waits in front of the case: it goes before every other request.
    focus
        The slice along z that the person looks at.
    """

    def __init__(
        self, study: Study, engine: Engine, case_ids: Sequence[str], settings: PredictSettings, model: str,
        *, on_screen: bool = False, focus: int | None = None,
    ) -> None:  # fmt: skip
        self.model, self.on_screen = model, on_screen
        self.run: RunFolder | None = None
        """The run under way; its id finds the slabs that are done."""
        self._study, self._engine, self._settings = study, engine, settings
        self._left = list(case_ids)
        self._asked_for = {"on_screen": on_screen, "focus": focus}
        self._cancelled = False

    @property
    def cold(self) -> bool:
        """Whether libraries and the network are loaded first, which takes far longer than anything after it."""
        return not self._engine.answered

    def cancel(self) -> None:
        """Ask it to stop; it does within a second. From any thread."""
        self._cancelled = True
        if self.run is not None:
            self.run.cancel()

    def slab(self, case_id: str, start: int, stop: int) -> PredictedSlab | None:
        """Slices `start` to `stop` - 1 of a case, as soon as they are reported; None when they were given up."""
        if self.run is None:
            return None
        return self._study.predictions.unfinished(case_id, self.model, self.run.run_id).read(start, stop)

    def work(self) -> Generator[Progress, None, None]:
        """Do it; may be closed at any time: the child is then asked to stop after its window.

        Raises
        ------
        Cancelled
            Somebody asked it to stop, or a newer request for a case on the screen took its place.
        InputError, ModelError, StorageError, RunError
            What the child reported; RunError also when it died again and again.
        """
        stops = self._engine.stops
        for deaths in range(1, DEATHS + 1):
            self.run = self._study.runs.create("predict", self._request())
            if self._cancelled:
                self.run.cancel()
            process = self._engine.submit(self.run, stops)
            try:
                yield from self._follow(self.run, process)
                self._engine.proved(process)
                return
            except RunError as error:
                if process.poll() is None or deaths == DEATHS or not self._shrink(self.run):
                    raise
                yield Progress(0, 0, f"{_how(error)} It was started again, with smaller work.")

    def _request(self) -> dict[str, Any]:
        return {
            "model": self.model, "cases": self._left, "settings": self._settings.to_json(),
            "postprocess": read_recipe(self._study).to_json(), **self._asked_for,
        }  # fmt: skip

    def _follow(self, run: RunFolder, process: "subprocess.Popen[str]") -> Generator[Progress, None, None]:
        finished = False
        try:
            yield from follow(run, process, give_up=_Patience(self._engine, run, process))
            finished = True
        finally:
            if not finished:
                run.cancel()

    def _shrink(self, run: RunFolder) -> bool:
        """Ask for less memory, and only for the cases that are not done; false when all were."""
        self._left = self._left[sum(event["event"] == "predicted" for event in run.events()[0]) :]
        self._settings = replace(self._settings, memory_mb=max(LEAST_MB, self._settings.memory_mb // 2))
        return bool(self._left)


class _Patience:
    """Whether a run that was asked to stop is waited for no longer."""

    def __init__(self, engine: Engine, run: RunFolder, process: "subprocess.Popen[str]") -> None:
        self._engine, self._run, self._process = engine, run, process
        self._since: float | None = None

    def __call__(self) -> bool:
        if not self._run.cancelled():
            return False
        now = time.monotonic()
        self._since = self._since or now
        if not any(e["event"] == "started" for e in self._run.events()[0]):
            return True  # it has not begun, and will not
        if now - self._since < CANCEL_SECONDS:
            return False
        self._engine.stop_process(self._process)
        return True


def predict(
    study: Study, engine: Engine, case_ids: Sequence[str], settings: PredictSettings, model: str | None = None
) -> Generator[Progress, None, tuple[str, ...]]:
    """Let a model version (by default the active one) propose label maps for cases; see `PredictionRequest`.

    Returns
    -------
    The cases predicted.
    """
    yield from begin(study, engine, case_ids, settings, model).work()
    return tuple(case_ids)


def begin(
    study: Study, engine: Engine, case_ids: Sequence[str], settings: PredictSettings, model: str | None = None,
    *, on_screen: bool = False, focus: int | None = None,
) -> PredictionRequest:  # fmt: skip
    """A prediction that is ready to be done.

    Raises
    ------
    InputError, ModelError
        There is no such case or model version, or model versions that cannot predict together; no process was
        started.
    """
    version = model or active_model(study)
    settings = settled(study, version, settings)
    for case_id in case_ids:
        study.cases.info(case_id)
    return PredictionRequest(study, engine, case_ids, settings, version, on_screen=on_screen, focus=focus)


def _how(error: RunError) -> str:
    return str(error).partition(" The study is unharmed")[0]
