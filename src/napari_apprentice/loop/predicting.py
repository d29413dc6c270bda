"""The prediction verb of the parent process."""

import subprocess
import time
from collections import Counter
from collections.abc import Generator, Sequence
from typing import Any

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.slabs import PredictedSlab
from napari_apprentice.errors import Cancelled, RunError, StudyError
from napari_apprentice.loop.engine import Engine
from napari_apprentice.loop.ensembles import settled
from napari_apprentice.loop.exporting import active_model
from napari_apprentice.loop.launch import OVERTAKEN, at_work, follow
from napari_apprentice.store.postprocess import read_recipe
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study

DEATHS = 2  # of the process, over one case; after that the person is told
CANCEL_SECONDS = 0.7  # most windows take a tenth of that; whoever takes longer is not waited for
LISTED = 5  # refused cases that a person is told by name


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
        self.refused: dict[str, str] = {}
        """Cases that could not be predicted, and why; the others of the request are predicted all the same."""
        self._study, self._engine, self._settings = study, engine, settings
        self._cases, self._left = tuple(dict.fromkeys(case_ids)), list(case_ids)
        self._deaths: Counter[str] = Counter()  # by the case it was at work on; "" before it had begun
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
            What the child reported; RunError also when it died again and again, and when several cases were asked
            for and none of them could be predicted.
        """
        stops = self._engine.stops
        while self._left:
            run = self.run = self._study.runs.create("predict", self._request())
            if self._cancelled:
                run.cancel()
            process = self._engine.submit(run, stops)
            try:
                yield from self._follow(run, process)
                self._engine.proved(process)
                self._take_note(run)
                break
            except RunError as error:
                if process.poll() is None:
                    raise
                self._take_note(run)
                if told := self._after_death(run, process, error):
                    yield Progress(0, 0, told)
        if self.refused and len(self.refused) == len(self._cases):
            raise RunError(self.refusals())

    def refusals(self) -> str:
        """For a person: which cases could not be predicted, and why; "" where all were."""
        if not self.refused:
            return ""
        count, total = len(self.refused), len(self._cases)
        first = "None of them could be" if count == total else f"{count} of {total} cases could not be"
        rest = "." if count == total else "; the others are."
        lines = [f"{case_id}: {why}" for case_id, why in list(self.refused.items())[:LISTED]]
        more = [f"And {count - LISTED} more; `apprentice predict` lists them all."] if count > LISTED else []
        return "\n".join([f"{first} predicted{rest}", *lines, *more])

    def _request(self) -> dict[str, Any]:
        settings = self._settings.smaller(self._deaths[self._left[0]])
        return {
            "model": self.model, "cases": self._left, "settings": settings.to_json(),
            "postprocess": read_recipe(self._study).to_json(), "several": len(self._cases) > 1, **self._asked_for,
        }  # fmt: skip

    def _follow(self, run: RunFolder, process: "subprocess.Popen[str]") -> Generator[Progress, None, None]:
        finished = False
        try:
            for progress in follow(run, process, give_up=_Patience(self._engine, run, process)):
                self._engine.heard(process)
                yield progress
            finished = True
        except RunError as error:
            if run.cancelled() and process.poll() is not None:  # it is not to be asked for anew
                raise Cancelled(f"Run {run.run_id} was cancelled; what was finished is kept.") from error
            raise
        finally:
            if not finished:
                run.cancel()

    def _take_note(self, run: RunFolder) -> None:
        """Of what a run has done; what is left is asked for anew."""
        events = [event for event in run.events()[0] if event["event"] in ("predicted", "refused")]
        self.refused |= {e["case_id"]: e["text"] for e in events if e["event"] == "refused"}
        self._left = self._left[len(events) :]

    def _after_death(self, run: RunFolder, process: "subprocess.Popen[str]", error: RunError) -> str:
        """Count whose fault it was; what a person is told, "" where it was none of this request's."""
        events, _ = run.events()
        others = events[-1]["event"] == OVERTAKEN if events else self._engine.was_heard(process)
        if not self._left or others or self._engine.was_ended(process):
            return ""
        case_id = self._left[0] if events else ""
        self._deaths[case_id] += 1
        if self._deaths[case_id] < DEATHS:
            return f"{_how(error)} It was started again{', with smaller work' if case_id else ''}."
        if not case_id or len(self._cases) == 1:
            raise error
        self.refused[case_id] = _how(error)
        self._left = [other for other in self._left if other != case_id]
        return f"{_how(error)} It was started again, without {case_id}."


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
        if not at_work(self._run):
            return True  # it has not begun, or another one goes first: it will not go on
        if now - self._since < CANCEL_SECONDS:
            return False
        self._engine.leave_behind(self._run, self._process)
        return True


def predict(
    study: Study, engine: Engine, case_ids: Sequence[str], settings: PredictSettings, model: str | None = None
) -> Generator[Progress, None, tuple[str, ...]]:
    """Let a model version (by default the active one) propose label maps for cases; see `PredictionRequest`.

    Returns
    -------
    The cases predicted.
    """
    request = begin(study, engine, case_ids, settings, model)
    yield from request.work()
    return tuple(case_id for case_id in case_ids if case_id not in request.refused)


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
    StudyError
        The only case is damaged.
    """
    version = model or active_model(study)
    settings = settled(study, version, settings)
    for case_id in case_ids:
        try:
            study.cases.info(case_id)
        except StudyError:  # damaged: of several cases, the others are predicted
            if len(case_ids) == 1:
                raise
    return PredictionRequest(study, engine, case_ids, settings, version, on_screen=on_screen, focus=focus)


def _how(error: RunError) -> str:
    return str(error).partition(" The study is unharmed")[0]
