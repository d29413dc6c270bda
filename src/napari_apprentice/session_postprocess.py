"""Post-processing of predictions: the verbs of a session that choose, learn and apply it."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence

from napari_apprentice.core.postprocess import PostRecipe, PostStep
from napari_apprentice.core.progress import Progress
from napari_apprentice.loop.exporting import active_model
from napari_apprentice.loop.postprocessing import PostReport, apply_recipe, suggest
from napari_apprentice.session_events import SessionEvents
from napari_apprentice.store.postprocess import change_recipe, read_recipe
from napari_apprentice.store.study import Study


class PostVerbs(ABC):
    """The part of `session.Session` that post-processes predictions; by itself it has no study."""

    events: SessionEvents
    author: str

    @property
    @abstractmethod
    def study(self) -> Study:
        """The open study; StudyError when there is none."""

    def postprocessing(self) -> PostRecipe:
        """The steps that predictions of this study go through."""
        return read_recipe(self.study)

    def set_postprocessing(
        self, steps: Mapping[int, Sequence[PostStep]], why: str = "chosen by hand", *, clear: bool = False
    ) -> None:
        """Choose steps by label id for predictions from now on; `apply_postprocessing` changes those that are stored.

        Labels that are not named keep the steps that they have by now, unless `clear` takes them first.
        """
        known = {x.id for x in self.study.retired}
        for label in steps.keys() - known:
            self.study.schema.name(label)  # refuses a label that the study never had
        change_recipe(self.study, steps, self.author, why, clear=clear)

    def suggest_postprocessing(self, model: str | None = None) -> Generator[Progress, None, PostReport]:
        """Steps that raise held-out Dice of the active model version, or `model`; nothing is changed."""
        return suggest(self.study, model or active_model(self.study))

    def apply_postprocessing(
        self, case_ids: Sequence[str] | None = None, model: str | None = None
    ) -> Generator[Progress, None, tuple[str, ...]]:
        """Put stored predictions (by default all of the active model version) through the study's steps."""
        cases = self.study.cases.ids() if case_ids is None else case_ids
        version = model or active_model(self.study)
        try:
            return (yield from apply_recipe(self.study, version, cases, self.postprocessing()))
        finally:
            self.events.cases_changed.emit()
