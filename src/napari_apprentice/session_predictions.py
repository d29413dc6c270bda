"""Predictions: the verbs of a session that let a model version propose label maps."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import Prediction
from napari_apprentice.core.slabs import PredictedSlab
from napari_apprentice.loop.channel_order import prediction_notes
from napari_apprentice.loop.engine import Engines
from napari_apprentice.loop.ensembles import settled
from napari_apprentice.loop.exporting import active_model
from napari_apprentice.loop.opening import OpenCase
from napari_apprentice.loop.predicting import PredictionRequest, begin
from napari_apprentice.session_events import SessionEvents
from napari_apprentice.store.study import Study


class PredictionVerbs(ABC):
    """The part of `session.Session` that predicts; by itself it has no study."""

    events: SessionEvents
    _engines: Engines

    @property
    @abstractmethod
    def study(self) -> Study:
        """The open study; StudyError when there is none."""

    def predict(
        self, case_ids: Sequence[str], settings: PredictSettings | None = None, model: str | None = None
    ) -> Generator[Progress, None, tuple[str, ...]]:
        """Let the active model version, or `model`, propose label maps; the cases predicted are returned."""
        request = self.begin_prediction(case_ids, settings, model)
        yield from self.follow_prediction(request)
        return tuple(case_id for case_id in case_ids if case_id not in request.refused)

    def begin_prediction(
        self, case_ids: Sequence[str], settings: PredictSettings | None = None, model: str | None = None,
        *, on_screen: bool = False, focus: int | None = None,
    ) -> PredictionRequest:  # fmt: skip
        """A prediction that `follow_prediction` does and that can be cancelled.

        Parameters
        ----------
        on_screen
            A person waits in front of the case: it goes before all others, and takes the place of an older one.
        focus
            The slice along z that the person looks at; `look_at` tells later ones.

        Raises
        ------
        InputError, ModelError
            There is no such case or model version, or model versions that cannot predict together; no process was
            started.
        """
        self.study.refresh()
        settings = settings or PredictSettings()
        engine = self._engines.of(settings.device)
        request = begin(self.study, engine, case_ids, settings, model, on_screen=on_screen, focus=focus)
        for note in prediction_notes(self.study, request.model, case_ids):
            self.events.noticed.emit(note)
        return request

    def follow_prediction(self, request: PredictionRequest) -> Generator[Progress, None, None]:
        """Do a prediction to its end; a report with a `slab` says what `slab` can read."""
        try:
            yield from request.work()
        finally:
            self.events.cases_changed.emit()

    def slab(self, request: PredictionRequest, case_id: str, start: int, stop: int) -> PredictedSlab | None:
        """A part of a prediction under way; None when that was given up. May run in another thread."""
        return request.slab(case_id, start, stop)

    def show_slab(self, case: OpenCase, slab: PredictedSlab, model: str) -> None:
        """Let a part of a new prediction show in an open case, wherever nobody has looked yet.

        In the thread that changes the case, and not while a stroke is being drawn or the case saved. Raises as
        `OpenCase.show_prediction` does.
        """
        case.show_prediction(slab.start, slab.labels, model)

    def look_at(self, case_id: str, index: int | None) -> None:
        """Say which slice along z of a case is on the screen: it is predicted first. Returns at once."""
        self._engines.look_at(case_id, index)

    def warm_up(self, settings: PredictSettings | None = None, case: tuple[str, int | None] = ("", None)) -> None:
        """Start the prediction process and load the active model version, where there is one.

        What the first slab of `case` needs is read, too: of its id and the slice along z that is looked at.

        Raises
        ------
        InputError, ModelError
            Model versions are named in the settings that are not there, or cannot predict together.
        """
        active, settings = self.study.models.active(), settings or PredictSettings()
        if active is not None:
            settings = settled(self.study, active, settings)
            keys = self.study.vault.environment()
            self._engines.of(settings.device).warm(self.study.path, active, settings, keys, case)

    def predicts_warm(self, device: str) -> bool:
        """Whether the prediction process of a device is there and has loaded what it needs."""
        return self._engines.of(device).answered

    def prediction(self, case_id: str) -> Prediction:
        """The active model version's prediction of a case."""
        return self.study.predictions.read(case_id, active_model(self.study))
