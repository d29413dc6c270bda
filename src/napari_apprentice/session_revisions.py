"""What was stored and by whom: the verbs of a session that look back."""

from abc import ABC, abstractmethod
from pathlib import Path

from napari_apprentice.core.correction import whole
from napari_apprentice.core.differences import Place
from napari_apprentice.core.records import Revision
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import InputError
from napari_apprentice.loop import audit, comparing, history, merging
from napari_apprentice.loop.opening import OpenCase
from napari_apprentice.session_events import SessionEvents
from napari_apprentice.store.study import Study


class RevisionVerbs(ABC):
    """The part of `session.Session` that compares and restores revisions; by itself it has no study."""

    events: SessionEvents
    author: str

    @property
    @abstractmethod
    def study(self) -> Study:
        """The open study; StudyError when there is none."""

    @property
    @abstractmethod
    def case(self) -> OpenCase | None:
        """The case under correction."""

    @abstractmethod
    def load_case(self, case_id: str) -> OpenCase:
        """Read a case from disk without showing it."""

    @abstractmethod
    def save(self, merged: str | None = None) -> Revision:
        """Store the corrections of the open case as a revision."""

    @abstractmethod
    def show_case(self, case: OpenCase | None) -> None:
        """Make a loaded case the one under correction."""

    def compare_revisions(self, case_id: str, first: str, second: str) -> comparing.Comparison:
        """Where two revisions of a case differ, and in how many voxels; see `loop.comparing`."""
        return comparing.compare_revisions(self.study, case_id, first, second)

    def compare_with_shown(self, name: str) -> comparing.Comparison:
        """Where a revision of the open case differs from what is on the screen; see `loop.comparing`."""
        return comparing.compare_with_shown(self.study, self._opened(), name)

    def revision_labels(self, case_id: str, name: str) -> LabelArray:
        """The label map (z, y, x) of a stored revision, to look at."""
        return self.study.revisions.read(case_id, name)[0]

    def begin_merge(self, name: str) -> merging.Merging:
        """Where the open case and another revision of it differ, and who decided what; see `loop.merging`."""
        return merging.begin_merge(self.study, self._opened(), name)

    def take_place(self, found: merging.Merging, place: Place, whose: str) -> None:
        """Put "mine" or "theirs" at one place of a merge; can be undone."""
        if merging.take_place(self._opened(), found, place, whose):
            self.events.canvas_changed.emit(place.box)

    def take_all(self, found: merging.Merging, whose: str) -> None:
        """Put "mine" or "theirs" everywhere, or theirs where I did nothing ("untouched"); can be undone."""
        if merging.take_all(self._opened(), found, whose):
            self.events.canvas_changed.emit(whole(self._opened().info.shape))

    def save_merge(self, found: merging.Merging) -> Revision:
        """Store what is on the screen as the revision that both go into."""
        if self._opened().info.case_id != found.case_id:
            raise InputError(f"Case {found.case_id} is not open any more; open it to save its merge.")
        return self.save(merged=found.theirs.name)

    def _opened(self) -> OpenCase:
        if self.case is None:
            raise InputError("No case is open: choose one in the table first.")
        return self.case

    def restore_revision(self, case_id: str, name: str) -> Revision:
        """Store an earlier revision again as the newest one; a case that is open shows it.

        Raises
        ------
        InputError
            The case has strokes that are in no revision yet, or there is no such revision.
        """
        shown = self.case if self.case and self.case.info.case_id == case_id else None
        if shown is not None and shown.unsaved:
            raise InputError(f"Case {case_id} has strokes that are in no revision yet; save them first.")
        revision = comparing.restore_revision(self.study, case_id, name, self.author)
        if shown is not None:
            self.show_case(self.load_case(case_id))
        self.events.saved.emit(revision.name)
        self.events.cases_changed.emit()
        return revision

    def case_history(self, case_id: str) -> tuple[history.HistoryRow, ...]:
        """Who changed what in a case, when, and which model versions learned from it."""
        return history.case_history(self.study, case_id)

    def export_audit(self, out: Path, *, overwrite: bool = False) -> int:
        """Write the history of all cases as .csv or .json; how many lines."""
        return audit.export_audit(self.study, out, overwrite=overwrite)
