"""The loop's evented state and its verbs. No Qt, no napari, no torch.

The window, the command line and a script all drive this one class. Verbs that take long are
generators that yield `Progress` and return a value; the others return at once.
"""

import getpass
import os
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path

from napari_apprentice.core.box import inside
from napari_apprentice.core.correction import Box, Stroke, whole
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.ranking import QueueItem, next_item, review_queue
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.records import Revision
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import InputError, StudyError
from napari_apprentice.loop import correcting, evaluating, exporting, relabelling
from napari_apprentice.loop.engine import Engines
from napari_apprentice.loop.opening import OpenCase, load_case
from napari_apprentice.loop.rows import DAMAGED, CaseRow, ModelRow, candidate, case_rows
from napari_apprentice.session_cohort import CohortVerbs
from napari_apprentice.session_events import SessionEvents
from napari_apprentice.session_models import ModelVerbs
from napari_apprentice.session_postprocess import PostVerbs
from napari_apprentice.session_predictions import PredictionVerbs
from napari_apprentice.session_revisions import RevisionVerbs
from napari_apprentice.session_scans import ScanVerbs
from napari_apprentice.store.presence import Presence, Present
from napari_apprentice.store.recent import RecentStudies
from napari_apprentice.store.rescue import Rescues
from napari_apprentice.store.study import Study

__all__ = ["CaseRow", "ModelRow", "Session", "SessionEvents"]

LEAVE_SECONDS = 2.0  # the longest that closing waits until the others know of it


def _login_name() -> str:
    """The login name, or the user's number where the system has no name for it, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # which of them depends on the version of Python, and on the system
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "somebody"


class Session(ScanVerbs, PredictionVerbs, CohortVerbs, ModelVerbs, RevisionVerbs, PostVerbs):
    """One study, one case under correction, and everything one can do with them.

    Parameters
    ----------
    author
        Who corrects; by default the login name.
    recent
        Where the list of recent studies is kept.
    """

    def __init__(self, author: str = "", recent: RecentStudies | None = None) -> None:
        self.events = SessionEvents()
        self.author = author or _login_name()
        self.recent = recent or RecentStudies()
        self._rescues = Rescues(self.recent.folder / "rescue")
        self._study: Study | None = None
        self._presence: Presence | None = None
        self._case: OpenCase | None = None
        self._passed: dict[QueueItem, int] = {}
        self._engines = Engines()

    # ---------------------------------------------------------------- study

    @property
    def study(self) -> Study:
        """The open study; StudyError when there is none."""
        if self._study is None:
            raise StudyError("No study is open: create or open one first.")
        return self._study

    @property
    def has_study(self) -> bool:
        """Whether a study is open."""
        return self._study is not None

    def create_study(self, path: Path, schema: LabelSchema, title: str = "", encrypted: bool = False) -> None:
        """Make a study folder and open it; see `Study.create`."""
        self._show_study(Study.create(path, schema, title, encrypted=encrypted))

    def open_study(self, path: Path, key: bytes | None = None) -> None:
        """Open a study folder; StudyError when it is none, LockedError when it is encrypted and its key is not here."""
        self._show_study(Study.open(path, key))

    def close(self) -> None:
        """Leave the study and end the prediction process; unsaved strokes stay in the journal.

        Raises
        ------
        StorageError
            Strokes that no disk could take are lost with this session; all else is closed.
        """
        self._engines.stop()
        if self._presence is not None:
            self._presence.leave(LEAVE_SECONDS)
        case, self._case, self._study, self._presence = self._case, None, None, None
        if case is not None:
            case.leave()

    def _show_study(self, study: Study) -> None:
        self._leave_case()
        self._study = study
        self._passed = {}
        self._presence = None if study.refusal else Presence(study.journal.root, self.author, study.vault)
        self.recent.remember(study.path)
        self.events.study_changed.emit()
        self.events.case_opened.emit()
        if study.refusal:
            self.events.noticed.emit(study.refusal)
        waiting = self._rescues.cases(study.path, study.vault, study.study_id)
        if waiting:
            self.events.noticed.emit(
                f"Strokes of {', '.join(waiting)} are on this computer only, because the study could not take them. "
                "Open these cases to bring them over."
            )

    def _leave_case(self) -> None:
        # Before anything is given up: it may refuse, with strokes in memory that no disk could take.
        if self._case is not None:
            self._case.leave()
        if self._presence is not None:
            self._presence.leave()
        self._case = None

    def labels_with(self, schema: LabelSchema, names: Sequence[str]) -> LabelSchema:
        """A list of labels and more of the given names; see `loop.relabelling.with_names`."""
        return relabelling.with_names(self.study, schema, names)

    def set_labels(self, schema: LabelSchema, was: LabelSchema | None = None) -> Generator[Progress, None, None]:
        """Give the study another list of labels; see `loop.relabelling.change_labels`.

        An open case is to be opened again: it still shows what was predicted of a label that went.

        Parameters
        ----------
        was
            The list that the change was made from; by default the one that this session knows.
        """
        was = was or self.study.schema
        if self._case is not None:
            self._case.settle()
        if set(was.ids) - set(schema.ids):
            study = self.study
            relabelling.refuse_waiting(self._case, self._rescues.cases(study.path, study.vault, study.study_id))
        try:
            yield from relabelling.change_labels(self.study, schema, self.present(), was)
        finally:
            self.events.cases_changed.emit()  # also where it was refused: another window's labels are shown then

    def case_rows(self) -> tuple[CaseRow, ...]:
        """The case table, by case id; reads no voxels."""
        return case_rows(self.study, self.present())

    def present(self) -> dict[str, tuple[Present, ...]]:
        """Who else has which case open, by case id; empty where that cannot be known."""
        presence = self._presence
        return presence.everyone() if presence else {}

    # -------------------------------------------------------------- correct

    @property
    def case(self) -> OpenCase | None:
        """The case under correction."""
        return self._case

    def load_case(self, case_id: str) -> OpenCase:
        """Read a case from disk without showing it; may run in another thread."""
        self.study.refresh()
        if self._case is not None:
            self._case.settle()  # its newest strokes may be those that are read
            if self._case.info.case_id == case_id and (self._case.rescued or self._case.unwritten):
                return self._case  # the study lacks strokes of it, and nobody else can read them meanwhile
        others = self._presence.others(case_id) if self._presence else ()
        return load_case(self.study, case_id, self._rescues, self.author, others)

    def show_case(self, case: OpenCase | None) -> None:
        """Make a loaded case the one under correction; what was unsaved of the last one is in its journal.

        Raises
        ------
        StorageError
            The one before has strokes that no disk could take; it stays open.
        """
        if case is not self._case:
            self._leave_case()
        self._case = case
        if case is not None:
            case.listen(self.events.went_wrong.emit, self._on_recovered)
            case.bring_over()
            if self._presence is not None:
                self._presence.enter(case.info.case_id)
        self.events.case_opened.emit()
        for note in case.notes if case else ():
            self.events.noticed.emit(note)

    def flush(self) -> None:
        """Wait until every stroke is durable in the study; StorageError or ConflictError when it cannot be."""
        if self._case is not None:
            self._case.flush()

    def take_in(self, start: int = 0, stop: int | None = None) -> None:
        """Keep what something else wrote into the labels of the open case; see `OpenCase.take_in`.

        Only a case that is watched knows of it, as the window's are.
        """
        self._tell_of_foreign(self._case.take_in(start, stop) if self._case is not None else "")

    def take_over(self, labels: LabelArray) -> None:
        """Keep labels that something else put in place of those of the open case; see `OpenCase.take_over`."""
        self._tell_of_foreign(self._open().take_over(labels))

    def _tell_of_foreign(self, sentence: str) -> None:
        if sentence:
            self.events.canvas_changed.emit(whole(self._open().info.shape))
            self.events.noticed.emit(sentence)

    def record(self, box: Box, before: LabelArray, after: LabelArray, tool: str = "paint") -> None:
        """Keep what a paint tool changed inside `box`; `before` and `after` are labels (z, y, x) of the box."""
        self._announce(self._open().record(box, before, after, tool))

    def accept_slice(self, axis: int, index: int) -> None:
        """Accept what is unseen in one slice across axis 0 (z), 1 (y) or 2 (x)."""
        self._announce(self._open().accept_slice(axis, index))

    def accept_scan(self) -> None:
        """Accept everything that is unseen."""
        self._announce(self._open().accept())

    def accept_box(self, box: Box) -> None:
        """Accept what is unseen in a box of the scan; what of it lies outside the scan is left out."""
        self._announce(self._open().accept(inside(box, self._open().info.shape)))

    def undo(self) -> Stroke | None:
        """Take the newest stroke back; what was done for that, None where there is no stroke."""
        stroke = self._open().undo()
        self._announce(stroke)
        return stroke

    def redo(self) -> Stroke | None:
        """Bring the newest undone stroke back; returns as `undo` does."""
        stroke = self._open().redo()
        self._announce(stroke)
        return stroke

    def revert_to_revision(self, name: str) -> None:
        """Put a stored revision in place, as one stroke that can be undone."""
        self._announce(self._open().revert_to_revision(name))

    def revert_to_prediction(self) -> None:
        """Put the active model version's prediction in place, as one stroke that can be undone."""
        self._announce(self._open().revert_to_prediction(exporting.active_model(self.study)))

    def save(self, merged: str | None = None) -> Revision:
        """Store the corrections of the open case as a revision; `merged` is one it settles the differences with."""
        revision, conflict = correcting.save_correction(self.study, self._open(), self.author, merged)
        if conflict is not None:
            self.events.noticed.emit(
                f"{conflict.provenance.author} saved {conflict.name} of this case in the meantime. "
                f"Both are kept; yours is {revision.name}."
            )
        self.events.saved.emit(revision.name)
        self.events.cases_changed.emit()
        if conflict is not None:
            self.events.conflicted.emit(conflict)
        return revision

    def import_correction(
        self,
        case_id: str,
        path: Path,
        accept: str = "all",
        *,
        resample: bool = False,
        settings: ReadSettings | None = None,
    ) -> correcting.Imported:
        """Store a label map made elsewhere as a revision; see `loop.correcting.import_correction`."""
        self.study.refresh()
        imported = correcting.import_correction(
            self.study, case_id, path, accept=accept, author=self.author, resample=resample, settings=settings
        )
        self.events.cases_changed.emit()
        return imported

    def _open(self) -> OpenCase:
        if self._case is None:
            raise InputError("No case is open: choose one in the table first.")
        return self._case

    def _on_recovered(self, count: int) -> None:
        self.events.noticed.emit(f"The study can be written again: {count} strokes were brought over.")

    def _announce(self, stroke: Stroke | None) -> None:
        if stroke is not None:
            self.events.canvas_changed.emit(stroke.box)

    # ----------------------------------------------------- queue and results

    def queue(self, rows: Iterable[CaseRow] | None = None) -> tuple[QueueItem, ...]:
        """The review queue, of a case table that was read already where one is given. A damaged case is not in it."""
        rows = self.case_rows() if rows is None else rows
        sound = (candidate(row) for row in rows if row.state != DAMAGED)
        return review_queue(sound, self.study.models.active())

    def next_item(self, queue: Iterable[QueueItem]) -> QueueItem | None:
        """What of a queue comes next, the open case left out; see `core.ranking.next_item`."""
        return next_item(queue, self._case.info.case_id if self._case else None, self._passed)

    def pass_over(self, item: QueueItem) -> None:
        """Let all others come before an item of the queue: it was opened as the next one, or could not be."""
        self._passed[item] = 1 + max(self._passed.values(), default=0)

    def next_case(self) -> str | None:
        """Case id of what comes next, the open case left out; None when all others are corrected."""
        ahead = self.next_item(self.queue())
        return ahead.case_id if ahead else None

    def export(
        self,
        case_id: str,
        out: Path,
        what: str = "corrected",
        overwrite: bool = False,
        *,
        source: Path | None = None,
        series: str = "",
        unseen: int | None = None,
    ) -> Path:
        """Write corrected labels, a prediction or its uncertainty on the source's grid; see `loop.exporting`."""
        return exporting.export(
            self.study, case_id, out, what, overwrite=overwrite, source=source, series=series, unseen=unseen
        )

    def evaluate(
        self,
        references: Path,
        what: str = "prediction",
        model: str | None = None,
        cases: Sequence[str] | None = None,
        settings: ReadSettings | None = None,
    ) -> evaluating.Evaluation:
        """Compare cases (by default all that have a file) with a folder of reference label maps."""
        return evaluating.evaluate(self.study, references, what=what, model=model, cases=cases, settings=settings)
