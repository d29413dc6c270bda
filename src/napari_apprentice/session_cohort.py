"""Cohorts: the verb of a session that predicts many cases side by side."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence

from napari_apprentice.core.cohort import CohortReport, CohortSettings
from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.progress import Progress
from napari_apprentice.loop.cohort import predict_cohort
from napari_apprentice.session_events import SessionEvents
from napari_apprentice.store.study import Study


class CohortVerbs(ABC):
    """The part of `session.Session` that predicts cohorts; by itself it has no study."""

    events: SessionEvents

    @property
    @abstractmethod
    def study(self) -> Study:
        """The open study; StudyError when there is none."""

    def predict_cohort(
        self,
        case_ids: Sequence[str],
        settings: PredictSettings | None = None,
        cohort: CohortSettings | None = None,
        model: str | None = None,
    ) -> Generator[Progress, None, CohortReport]:
        """Predict cases with processes of the cohort's own; see `loop.cohort.predict_cohort`."""
        work = predict_cohort(self.study, case_ids, settings or PredictSettings(), cohort or CohortSettings(), model)
        try:
            report = yield from work
            for note in report.notes:
                self.events.noticed.emit(note)
            return report
        finally:
            self.events.cases_changed.emit()
