"""What the intents of predicting, training and choosing a model version lead to."""

from collections.abc import Generator
from contextlib import suppress
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_apprentice.core.config import PredictSettings, TrainSettings
from napari_apprentice.core.progress import Progress
from napari_apprentice.errors import ApprenticeError, InputError, RunError
from napari_apprentice.gui.arriving import Arriving
from napari_apprentice.gui.bridge import Bridge
from napari_apprentice.gui.facts import Facts, FactsReader
from napari_apprentice.gui.layers import CaseLayers
from napari_apprentice.gui.work import Job, Runner
from napari_apprentice.loop.predicting import PredictionRequest
from napari_apprentice.loop.tuning import TuneReport
from napari_apprentice.session import Session
from napari_apprentice.store.runs import RunFolder


class ModelActions(QObject):
    """Prediction and training jobs: one training, one prediction of many cases, and one of the case on the screen.

    Parameters
    ----------
    session, runner, bridge, facts, layers, arriving
        Whose verbs, where they run, who says what changed, what is known, what is looked at, who shows new
        predictions.
    """

    predicted = Signal(object, str)
    """These cases (a tuple) were predicted, on this device."""
    training_began = Signal(object, bool)
    """A training job is under way; true when its reports come from the run's beginning."""
    training_ended = Signal()
    """No training job is under way any more."""
    tuned = Signal(object)
    """A training run ended with this `TuneReport`."""

    def __init__(
        self, session: Session, runner: Runner, bridge: Bridge, facts: FactsReader, layers: CaseLayers,
        arriving: Arriving, parent: QObject | None = None,
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self._session = session
        self._runner = runner
        self._facts = facts
        self._layers, self._arriving = layers, arriving
        self._predictions: list[tuple[PredictionRequest, Job]] = []
        self.training: Job | None = None
        self._run: RunFolder | None = None
        bridge.study_changed.connect(self._on_study_changed)
        facts.changed.connect(self._watch_again)

    # ----------------------------------------------------------- prediction

    def predict_open_case(self, settings: PredictSettings) -> None:
        """Predict the case that is open for correction; it goes before every other prediction."""
        case = self._session.case
        if case is None:
            self._runner.tell(InputError("No case is open: open one first, or predict all open cases."))
            return
        self._predict((case.info.case_id,), settings, on_screen=True)

    def predict_open_cases(self, settings: PredictSettings) -> None:
        """Predict every case that is neither corrected nor predicted by the active model version."""
        case_ids = open_cases(self._facts.now)
        if not case_ids:
            self._session.events.noticed.emit("There is no case left to predict: all are predicted or corrected.")
            return
        if self.prediction is not None:
            self._runner.tell(RunError("A prediction is under way; wait for it or cancel it first."))
            return
        self._predict(case_ids, settings, on_screen=False)

    def get_ready(self, settings: PredictSettings) -> None:
        """Somebody may be about to predict: start the process, load the network, begin with the case on the screen.

        One that the active model version has predicted already is not begun: the mouse is on its way elsewhere.
        """
        if self._facts.now.active is None or self._predictions:
            return
        case, done = self._session.case, {row.case_id for row in self._facts.now.rows if row.predicted}
        here = case.info.case_id if case is not None else ""
        place = (here, self._layers.z_shown()) if here and here not in done else ("", None)
        self._runner.run("Getting ready to predict", lambda: _warm_up(self._session, settings, place), quiet=True)

    @property
    def prediction(self) -> Job | None:
        """The newest prediction under way."""
        return self._predictions[-1][1] if self._predictions else None

    def _predict(self, case_ids: tuple[str, ...], settings: PredictSettings, *, on_screen: bool) -> None:
        began = self._runner.attempt(lambda: self._begin(case_ids, settings, on_screen=on_screen))
        if began:
            self._runner.changed.emit()

    def _begin(self, case_ids: tuple[str, ...], settings: PredictSettings, *, on_screen: bool) -> None:
        request = self._session.begin_prediction(
            case_ids, settings, on_screen=on_screen, focus=self._layers.z_shown() if on_screen else None
        )
        if on_screen:  # the newest wins: the engine cancels an older one too, but nobody need hear of it
            for older, old in self._predictions:
                if older.on_screen:
                    older.cancel()
                    old.quiet = True
                    old.cancelled.disconnect()
        self._arriving.begin(request)
        job = self._runner.run(
            "Predicting", lambda: _predicting(self._session, self._arriving, request, case_ids),
            on_cancel=request.cancel,
        )  # fmt: skip
        if request.cold:
            job.waiting = ": the network is loaded first, which takes a while"
        self._predictions.append((request, job))
        job.returned.connect(lambda result: self._on_predicted(request, *result))
        job.cancelled.connect(lambda: self._runner.said.emit("Prediction was cancelled; finished cases are kept."))
        for stopped in (job.cancelled, job.failed):
            stopped.connect(lambda *_: self._arriving.give_up(request))
        job.ended.connect(lambda: self._on_prediction_ended(request))

    def _on_predicted(self, request: PredictionRequest, case_ids: tuple[str, ...], device: str, empty: int) -> None:
        self.predicted.emit(case_ids, device)
        if request.refused:
            self._runner.tell(RunError(request.refusals()))
        what = case_ids[0] if len(case_ids) == 1 else f"{len(case_ids)} cases"
        found = f" No label was found{'' if len(case_ids) == 1 else f' in {empty} of them'}." if empty else ""
        self._runner.said.emit(f"Predicted {what} on {device}.{found}{self._unlike(request.model)}")
        self._arriving.end(request, case_ids)

    def _unlike(self, model: str) -> str:
        """A sentence where another model version became active while this one predicted."""
        active = self._facts.now.active
        if active in (None, model):
            return ""
        return f" That was {model}; {active} is active now: predict again to see what it proposes."

    def _on_prediction_ended(self, request: PredictionRequest) -> None:
        self._predictions = [(r, j) for r, j in self._predictions if r is not request]
        self._arriving.over(request)
        self._runner.changed.emit()

    # ------------------------------------------------------------- training

    def train(self, settings: TrainSettings) -> None:
        """Fine-tune on corrections, or train from nothing where no model version can be tuned to the study's labels."""
        kind = self._facts.now.training
        self._follow(lambda: self._beginning(kind, settings), "Fine-tuning" if kind == "fine-tune" else "Training")

    def resume(self) -> None:
        """Go on with the newest training run from its checkpoint."""
        run = self._facts.now.resumable
        if run is None:
            self._runner.tell(InputError("There is no cancelled training run to go on with."))
            return
        self._run = run
        self._follow(lambda: self._session.follow_training(run), "Training")

    def cancel_training(self) -> None:
        """Ask the training run to stop; its checkpoint is kept."""
        if self.training is not None:
            self.training.cancel()
            self._runner.changed.emit()

    def activate(self, name: str, why: str = "") -> None:
        """Make a model version the active one; `why` although the gate refused it."""
        self._runner.attempt(lambda: self._session.activate(name, why))

    def refuse(self, name: str, why: str) -> None:
        """Do not use the active model version although it passed the gate."""
        self._runner.attempt(lambda: self._session.refuse_model(name, why))

    def go_back(self) -> None:
        """Make the model version active that was so before."""
        self._runner.attempt(self._session.go_back)

    def keep_note(self, name: str, text: str) -> None:
        """Write something about a model version."""
        self._runner.attempt(lambda: self._session.note_model(name, text))

    def _beginning(self, kind: str, settings: TrainSettings) -> Generator[Progress, None, TuneReport]:
        self._run = self._session.begin_training(kind, settings)
        return (yield from self._session.follow_training(self._run))

    def _follow(self, verb: Any, title: str, from_start: bool = True) -> None:
        if self.training is not None:
            self._runner.tell(RunError("A training run is under way; wait for it or cancel it first."))
            return
        job = self._runner.run(title, verb, on_cancel=self._cancel_run)
        self.training = job
        job.progressed.connect(lambda _: self._cancel_run() if job.cancelling else None)  # asked before it had begun
        job.returned.connect(self._on_tuned)
        job.cancelled.connect(lambda: self._runner.said.emit("Training was cancelled; its checkpoint is kept."))
        job.ended.connect(self._on_training_ended)
        self.training_began.emit(job, from_start)

    def _cancel_run(self) -> None:
        if self._run is not None:
            self._run.cancel()

    def _on_tuned(self, report: TuneReport) -> None:
        self._runner.said.emit(f"Training is done: {report.outcome}")  # the Fine-tune panel says why
        self.tuned.emit(report)

    def _on_training_ended(self) -> None:
        self.training, self._run = None, None
        self.training_ended.emit()
        self._facts.refresh()

    def _on_study_changed(self) -> None:
        for request, job in self._predictions:
            job.cancel()
            job.abandon()
            self._arriving.over(request)
        self._predictions = []
        if self.training is not None:  # another study: its run goes on, unwatched
            self.training.abandon()
            self.training, self._run = None, None
            self.training_ended.emit()

    def _watch_again(self, facts: Facts) -> None:
        run = facts.running
        if run is None or self.training is not None:
            return
        self._run = run
        self._follow(lambda: self._session.follow_training(run), "Training")


def open_cases(facts: Facts) -> tuple[str, ...]:
    """Cases not corrected yet and not predicted by the active model version."""
    return tuple(r.case_id for r in facts.rows if r.revisions == 0 and r.state != "predicted" and r.quality is None)


def _predicting(
    session: Session, arriving: Arriving, request: PredictionRequest, case_ids: tuple[str, ...]
) -> Generator[Progress, None, tuple[tuple[str, ...], str, int]]:
    """The cases predicted, where that was, and in how many of them no label was found."""
    study = session.study  # another one may be open at the end
    yield from arriving.follow(request)
    case_ids = tuple(case_id for case_id in case_ids if case_id not in request.refused)
    empty = sum(not study.predictions.quality_by_label(case_id, request.model) for case_id in case_ids)
    return case_ids, str(study.predictions.record(case_ids[-1], request.model).get("device", "")), empty


def _warm_up(session: Session, settings: PredictSettings, case: tuple[str, int | None]) -> None:
    with suppress(ApprenticeError):  # nobody asked for it; the prediction that comes will say what is wrong
        session.warm_up(settings, case)
