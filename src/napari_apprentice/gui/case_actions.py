"""What the intents of correcting lead to: open, paint, accept, revert, save, next."""

from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer, Signal

from napari_apprentice.core.correction import Box
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import InputError, StorageError
from napari_apprentice.gui.bridge import Bridge
from napari_apprentice.gui.facts import FactsReader
from napari_apprentice.gui.layers import CaseLayers
from napari_apprentice.gui.pictures import Pictures, Scan, load_pictures, load_scan, open_with_pictures, read_on
from napari_apprentice.gui.work import Job, Runner
from napari_apprentice.session import Session

RETRY_MS = 100  # while the mouse is drawing


class CaseActions(QObject):
    """Everything that happens to the case under correction.

    Parameters
    ----------
    session, runner, bridge, facts, layers
        Whose verbs, where they run, who says what changed, what is known, where the case is shown.
    """

    saving_changed = Signal(bool)
    """Whether a revision is being written; meanwhile the case cannot be changed."""

    def __init__(
        self, session: Session, runner: Runner, bridge: Bridge, facts: FactsReader, layers: CaseLayers,
        parent: QObject | None = None,
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self._session = session
        self._runner = runner
        self._facts = facts
        self._layers = layers
        self._generation = 0
        self._expected: Pictures | None = None
        self._reading_on: Job | None = None
        self._opening = False  # the scan on the screen is not that of the session's case
        self._recording = False
        self._warned = False
        self.saving = False
        layers.painted.connect(self.record)
        layers.undo_requested.connect(self.undo)
        layers.redo_requested.connect(self.redo)
        layers.lost.connect(self._on_lost)
        layers.replaced.connect(self._on_replaced)
        bridge.case_opened.connect(self._on_case_opened)
        bridge.canvas_changed.connect(self._on_canvas_changed)

    # -------------------------------------------------------------- opening

    def open_case(self, case_id: str) -> None:
        """Open a case for correction; the one open before keeps its strokes in its journal."""
        if not self.may_leave():
            return
        case = self._session.case
        if case is not None and case.unsaved and case.info.case_id != case_id:
            self._runner.said.emit(f"{case.unsaved} unsaved strokes of {case.info.case_id} are kept.")
        self._load(case_id)

    def may_leave(self) -> bool:
        """Whether nothing of the open case is in memory only; if not, the person is told what to do."""
        case = self._session.case
        if not self.saving and (case is None or not case.unwritten):
            return True
        why = "is being saved" if self.saving else "has strokes the disk could not take: free some space and save"
        self._runner.tell(StorageError(f"The open case {why}; leave it after that."))
        return False

    def may_close(self) -> bool:
        """Whether the window may close: strokes that are in memory only hold it up, once."""
        case = self._session.case
        unwritten = case.unwritten if case is not None else 0
        if not unwritten or self._warned:
            return True
        self._warned = True
        self._runner.tell(
            StorageError("The open case has strokes the disk could not take: save first, or close again to lose them.")
        )
        return False

    def reload_if_untouched(self, case_ids: tuple[str, ...]) -> None:
        """After new predictions: fill what is unseen in the open case, unless a person works on it."""
        case = self._session.case
        if case is None or case.info.case_id not in case_ids:
            return
        if case.unsaved:
            self._session.events.noticed.emit(
                f"The new prediction of {case.info.case_id} is stored. Your corrections stay as they are; "
                "Revert to prediction would show it."
            )
            return
        self._load(case.info.case_id)

    def reopen(self) -> None:
        """Show the open case again, after its layer was deleted."""
        if self._session.case is not None:
            self._load(self._session.case.info.case_id)

    def next_case(self) -> None:
        """Open the case at the head of the review queue."""
        if not self._session.has_study:
            self._runner.tell(InputError("No study is open: create or open one first."))
            return
        here = self._session.case.info.case_id if self._session.case else None
        ahead = next((item.case_id for item in self._facts.now.queue if item.case_id != here), None)
        if ahead is None:
            self._session.events.noticed.emit("Every case is corrected: nothing is left in the review queue.")
            return
        self.open_case(ahead)

    def _load(self, case_id: str) -> None:
        self._generation += 1
        generation, before = self._generation, self._session.case
        job = self._runner.run(f"Opening {case_id}", lambda: load_scan(self._session, case_id), stops=False)
        job.returned.connect(lambda scan: self._scan_arrived(scan, generation, before))

    def _scan_arrived(self, scan: Scan, generation: int, before: object) -> None:
        """Show the scan at once; what belongs to it can take longer."""
        if generation != self._generation or not self._session.has_study:
            return  # another case was asked for in the meantime
        case, case_id = self._session.case, scan.info.case_id
        if self._opening or case is None or case.info.case_id != case_id:
            if self._layers.mid_stroke or self.saving:
                QTimer.singleShot(RETRY_MS, lambda: self._scan_arrived(scan, generation, before))
                return
            if not self.may_leave():  # the disk filled up while the scan was read
                return
            self._opening = True
            self._layers.preview(scan)
        job = self._runner.run(
            f"Opening {case_id}", lambda: open_with_pictures(self._session, case_id, scan), stops=False
        )
        job.returned.connect(lambda pictures: self._arrived(pictures, generation, before))
        job.failed.connect(lambda _: self._go_back(generation))

    def _go_back(self, generation: int) -> None:
        """The scan is on the screen, but what belongs to it cannot be read: show the case from before."""
        if generation != self._generation or not self._opening:
            return
        if self._session.case is None:
            self._opening = False
            self._layers.clear()
        else:
            self._show_what_was_opened_elsewhere()

    def _arrived(self, pictures: Pictures, generation: int, before: object) -> None:
        if generation != self._generation or not self._session.has_study:
            return  # another case was asked for in the meantime
        if self._layers.mid_stroke or self.saving:
            QTimer.singleShot(RETRY_MS, lambda: self._arrived(pictures, generation, before))
            return
        case = self._session.case
        if case is not None and case.info.case_id == pictures.case.info.case_id:
            if case is not before or (case.unsaved, case.parent) != (pictures.case.unsaved, pictures.case.parent):
                self._go_back(generation)
                return  # painted on or saved while it was read: what is in the session is newer
        elif not self.may_leave():  # the disk filled up while the other case was read
            self._go_back(generation)
            return
        self._expected = pictures
        self._session.show_case(pictures.case)

    def _on_case_opened(self) -> None:
        case, expected = self._session.case, self._expected
        self._expected = None
        if case is None:
            self._generation += 1  # whatever is still being read belongs to another study
            self._opening = False
            self._layers.clear()
        elif expected is not None and expected.case is case:
            self._show(expected)
        else:
            self._show_what_was_opened_elsewhere()

    def _show_what_was_opened_elsewhere(self) -> None:
        case = self._session.case
        if case is None:
            return
        self._generation += 1
        generation = self._generation
        job = self._runner.run("Reading the scan", lambda: load_pictures(self._session, case), stops=False)
        job.returned.connect(lambda pictures: self._show_if_still_open(pictures, generation))

    def _show_if_still_open(self, pictures: Pictures, generation: int) -> None:
        if generation == self._generation and self._session.case is pictures.case:
            self._show(pictures)

    def _show(self, pictures: Pictures) -> None:
        self._opening = False
        self._layers.show(pictures, self._session.study.schema)
        if self._reading_on is not None:
            self._reading_on.cancel()
        if any(channel.pyramid for channel in pictures.channels):
            self._reading_on = self._runner.run("Reading the scan", lambda: read_on(pictures.scan), quiet=True)
            self._reading_on.ended.connect(self._forget_reading)

    def _forget_reading(self) -> None:
        if self.sender() is self._reading_on:
            self._reading_on = None

    # ------------------------------------------------------------- changing

    def record(self, box: Box, before: LabelArray, after: LabelArray, tool: str) -> None:
        """Keep a step that a paint tool did on the layer."""
        self._recording = True
        try:
            self._runner.attempt(lambda: self._session.record(box, before, after, tool))
        finally:
            self._recording = False

    def undo(self) -> None:
        """Take the newest stroke back."""
        self._change(self._session.undo)

    def redo(self) -> None:
        """Bring the newest undone stroke back."""
        self._change(self._session.redo)

    def accept_slice(self) -> None:
        """Accept what is unseen in the slice on the screen."""
        shown = self._layers.slice_shown()
        if self._session.case is not None and shown is None:
            self._runner.tell(InputError("Accept slice needs a slice: leave the 3D view, or use Accept scan."))
            return
        axis, index = shown or (0, 0)
        self._change(lambda: self._session.accept_slice(axis, index))

    def accept_scan(self) -> None:
        """Accept everything that is unseen."""
        self._change(self._session.accept_scan)

    def revert_to_prediction(self) -> None:
        """Put the active model version's prediction in place; can be undone."""
        self._change(self._session.revert_to_prediction)

    def revert_to_revision(self, name: str) -> None:
        """Put a stored revision in place; can be undone."""
        self._change(lambda: self._session.revert_to_revision(name))

    def choose(self, label_id: int) -> None:
        """Select a label for painting."""
        self._layers.choose(label_id)

    def _change(self, verb: Callable[[], None]) -> None:
        if self.saving or self._opening or self._layers.mid_stroke:
            self._runner.said.emit("A moment: a stroke is being drawn, or a case is being opened or saved.")
            return
        self._runner.attempt(verb)

    # --------------------------------------------------------------- saving

    def save(self) -> None:
        """Store the corrections as a revision; the case is locked until they are on disk."""
        if self.saving:
            return
        if self._session.case is None:
            self._runner.tell(InputError("No case is open, so there is nothing to save: open one first."))
            return
        if self._layers.mid_stroke or self._opening:
            QTimer.singleShot(RETRY_MS, self.save)
            return
        self._lock(True)
        job = self._runner.run("Saving corrections", self._session.save, stops=False)
        self._warned = False
        job.returned.connect(lambda r: self._runner.said.emit(f"Saved {r.name} of {r.case_id}."))
        job.ended.connect(lambda: self._lock(False))

    def _lock(self, locked: bool) -> None:
        # A stroke drawn between the copy on disk and the new journal would be in neither.
        self.saving = locked
        self._layers.lock(locked)
        self.saving_changed.emit(locked)

    # -------------------------------------------------------------- hearing

    def _on_canvas_changed(self) -> None:
        if self._recording:
            self._layers.refresh_status()
        else:
            self._layers.refresh()
        case = self._session.case
        row = self._facts.now.row(case.info.case_id) if case else None
        if row is not None and row.state != "in correction":
            self._facts.refresh()

    def _on_lost(self) -> None:
        self._session.events.noticed.emit(
            "The Corrections layer was deleted; no work is lost. Press Show layers again to go on."
        )

    def _on_replaced(self) -> None:
        self._session.events.noticed.emit(
            "The labels of an open case cannot be replaced in the layer, so they were put back; "
            "use the paint tools, or the command apprentice correct for a label map made elsewhere."
        )
