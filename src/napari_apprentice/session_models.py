"""Training and model versions: the verbs of a session that are about models."""

from abc import ABC, abstractmethod
from collections.abc import Generator
from pathlib import Path

from napari_apprentice.core.config import TrainSettings
from napari_apprentice.core.import_settings import ImportSettings
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import ModelVersion
from napari_apprentice.loop import choosing, model_export, model_import, run_rows, sides, tuning
from napari_apprentice.loop.rows import ModelRow, model_rows
from napari_apprentice.session_events import SessionEvents
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study


class ModelVerbs(ABC):
    """The part of `session.Session` that trains, and chooses between model versions; by itself it has no study."""

    events: SessionEvents
    author: str

    @property
    @abstractmethod
    def study(self) -> Study:
        """The open study; StudyError when there is none."""

    def begin_training(
        self, kind: str, settings: TrainSettings, memory_mb: float = 1500.0, features: int = 16
    ) -> RunFolder:
        """Make the run folder of a "train" or "fine-tune" run; `follow_training` starts and follows it."""
        self.study.refresh()
        return tuning.begin_training(self.study, kind, settings, memory_mb=memory_mb, features=features)

    def follow_training(
        self, run: RunFolder, *, take_over: bool = False, news_only: bool = False
    ) -> Generator[Progress, None, tuning.TuneReport]:
        """Start, find again or resume a training run, to its end. Closing the generator does not stop it.

        With `take_over` also one of another computer that has gone silent; with `news_only` without what one that is
        found again has reported already.
        """
        self.study.refresh()  # what it will report has the labels of now
        try:
            return (yield from tuning.follow_training(run, take_over=take_over, news_only=news_only))
        finally:
            self.events.models_changed.emit()
            self.events.cases_changed.emit()

    def stop_training(self, run: RunFolder) -> Generator[Progress, None, tuning.TuneReport]:
        """Ask a training run to stop and follow it until it has; Cancelled when it did."""
        return tuning.stop_training(run)

    def running_training(self) -> RunFolder | None:
        """The training run under way in this study, also one an earlier session started."""
        return tuning.running_training(self.study)

    def resumable_training(self) -> RunFolder | None:
        """The newest training run if it was cancelled or killed and can go on from its checkpoint."""
        return tuning.resumable_training(self.study)

    def already_learned(self, kind: str) -> str:
        """A sentence where another "train" or "fine-tune" run would do the newest one over; see `loop.tuning`."""
        return tuning.already_learned(self.study, kind)

    def untunable(self) -> str:
        """What is damaged or gone, so that the active model version cannot be fine-tuned; "" for nothing."""
        return tuning.untunable(self.study)

    def models(self) -> tuple[ModelRow, ...]:
        """The model versions, oldest first."""
        return model_rows(self.study)

    def model(self, name: str) -> ModelVersion:
        """All that is known of one model version."""
        return self.study.models.info(name)

    def import_model(
        self, source: Path, settings: ImportSettings | None = None
    ) -> Generator[Progress, None, model_import.ImportReport]:
        """Take a model from elsewhere over as a new model version; see `loop.model_import.import_model`."""
        try:
            return (yield from model_import.import_model(self.study, source, settings or ImportSettings()))
        finally:
            self.events.models_changed.emit()
            self.events.cases_changed.emit()

    def export_model(self, name: str, out: Path) -> Path:
        """Write a model version with its model card into a new folder."""
        return model_export.export_model(self.study, name, out)

    def activate(self, name: str, why: str = "") -> None:
        """Make a model version the active one; against the gate only with a reason, see `loop.choosing.choose`."""
        choosing.choose(self.study, name, self.author, why)
        self._announce_models()

    def refuse_model(self, name: str, why: str) -> str:
        """Do not use the active model version although it passed the gate; which one is active now."""
        earlier = choosing.refuse(self.study, name, self.author, why)
        self._announce_models()
        return earlier

    def go_back(self) -> str:
        """Make the model version active that was so before; which one that is."""
        earlier = choosing.go_back(self.study, self.author)
        self._announce_models()
        return earlier

    def note_model(self, name: str, text: str) -> None:
        """Write something about a model version; what was written before is kept."""
        self.study.models.note(name, text, self.author)
        self.events.models_changed.emit()

    def model_details(self, name: str) -> choosing.ModelDetails:
        """All that a person may want to know of a model version."""
        return choosing.details(self.study, name)

    def runs(self, *, everything: bool = False) -> tuple[run_rows.RunRow, ...]:
        """The training runs, oldest first; with `everything` also those that predicted or imported."""
        return run_rows.run_rows(self.study, everything=everything)

    def sides(self) -> tuple[sides.SubjectSide, ...]:
        """Which subjects are learned from and which are measured on."""
        return sides.subject_sides(self.study)

    def move_subject(self, subject: str, side: str, why: str) -> None:
        """Put a subject on the other side ("train" or "validation"); the ledger keeps who did it and why."""
        self.study.split.move(subject, side, why, self.author)
        self.events.cases_changed.emit()

    def previous_model(self) -> str | None:
        """The model version that was active before the present one; where one click back leads."""
        return choosing.previous(self.study)

    def _announce_models(self) -> None:
        self.events.models_changed.emit()
        self.events.cases_changed.emit()
