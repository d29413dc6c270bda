"""What the intents of correcting lead to: open, paint, accept, revert, save, next."""

from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer, Signal

from napari_apprentice.core.correction import Box, Stroke
from napari_apprentice.core.records import Revision
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import InputError, StorageError
from napari_apprentice.gui.box_drawing import BoxDrawing
from napari_apprentice.gui.bridge import Bridge
from napari_apprentice.gui.case_opening import RETRY_MS, CaseOpening
from napari_apprentice.gui.facts import Facts, FactsReader
from napari_apprentice.gui.layers import CaseLayers
from napari_apprentice.gui.placing import AXES
from napari_apprentice.gui.work import Runner
from napari_apprentice.loop.opening import OpenCase
from napari_apprentice.session import Session

PATIENCE_SECONDS = 2.0  # the window stands still meanwhile; a disk that is well takes a hundredth of that
BUSY = "A moment: a case is being opened or saved."
DRAWING = "A stroke is being drawn: finish it first. One that a right click began ends where it began, or with Escape."


class CaseActions(QObject):
    """Everything that happens to the case under correction.

    Parameters
    ----------
    session, runner, bridge, facts, layers, box
        Whose verbs, where they run, who says what changed, what is known, where the case is shown, and a box drawn.
    """

    saving_changed = Signal(bool)
    """Whether a revision is being written; meanwhile the case cannot be changed."""
    stored = Signal(object)
    """This `Revision` was stored from the open case."""

    def __init__(
        self, session: Session, runner: Runner, bridge: Bridge, facts: FactsReader, layers: CaseLayers,
        box: BoxDrawing, parent: QObject | None = None,
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self._session = session
        self._runner = runner
        self._facts = facts
        self._layers = layers
        self._box = box
        self._recording = False
        self._taken_in = False
        self._warned = False
        self._wanted = ""  # case to open when the revision is stored
        self.saving = False
        self.opening = CaseOpening(session, runner, bridge, layers, self._may_exchange, self)
        box.drawn.connect(self.accept_box)
        box.ended.connect(lambda: runner.said.emit("Ready."))
        layers.painted.connect(self.record)
        layers.undo_requested.connect(self.undo)
        layers.redo_requested.connect(self.redo)
        layers.label_missed.connect(lambda key: runner.said.emit(f"Key {key} is no label: the study has fewer."))
        layers.lost.connect(self._on_lost)
        layers.replaced.connect(self._on_replaced)
        bridge.canvas_changed.connect(self._on_canvas_changed)
        bridge.went_wrong.connect(runner.tell)
        facts.changed.connect(self._on_facts)

    # -------------------------------------------------------------- opening

    def open_case(self, case_id: str) -> None:
        """Open a case for correction; the one open before keeps its strokes in its journal."""
        if self.saving:
            self._wanted = case_id
            return
        if not self.may_leave():
            return
        case = self._session.case
        if case is not None and case.unsaved and case.info.case_id != case_id:
            many = "s are" if case.unsaved > 1 else " is"
            self._runner.said.emit(f"In {case.info.case_id} {case.unsaved} unsaved stroke{many} kept.")
        self.opening.load(case_id)

    def may_leave_study(self) -> bool:
        """As `may_leave`, for what does not wait for a stroke that is being drawn."""
        self._layers.keep_half_stroke()
        return self.may_leave()

    def may_leave(self) -> bool:
        """Whether nothing of the open case is in memory only; if not, the person is told what to do."""
        self.take_in()
        case = self._session.case
        if not self.saving and (case is None or not self._in_memory_only(case)):
            return True
        why = "is being saved" if self.saving else "has strokes the disk could not take: free some space and save"
        self._runner.tell(StorageError(f"The open case {why}; leave it after that."))
        return False

    def _may_exchange(self) -> bool | None:
        """Whether another case can be shown now; None for: ask again in a moment."""
        if self._layers.mid_stroke:
            self._runner.said.emit(DRAWING)
            return None
        return None if self.saving else self.may_leave()

    def may_close(self) -> bool:
        """Whether the window may close: strokes that are in memory only hold it up, once."""
        self._layers.keep_half_stroke()
        self.take_in()
        case = self._session.case
        if case is None or self._warned or not self._in_memory_only(case):
            return True
        self._warned = True
        self._runner.tell(
            StorageError("The open case has strokes the disk could not take: save first, or close again to lose them.")
        )
        return False

    def _in_memory_only(self, case: OpenCase) -> bool:
        """Whether a case has strokes that no disk could take; those on their way are waited for."""
        if case.unwritten:
            case.settle(PATIENCE_SECONDS)
        return case.unwritten > 0

    def reopen(self) -> None:
        """Show the open case again: its layer was deleted, or there is a new prediction of it."""
        if self._session.case is not None:
            self.take_in()
            self.opening.load(self._session.case.info.case_id)

    def next_case(self) -> None:
        """Open what comes next in the review queue."""
        if not self._session.has_study:
            self._runner.tell(InputError("No study is open: create or open one first."))
            return
        ahead = self._session.next_item(self._facts.now.queue)
        if ahead is None:
            self._session.events.noticed.emit("Every case is corrected: nothing is left in the review queue.")
            return
        if self.saving or self.may_leave():  # opened when it is saved
            self._session.pass_over(ahead)
            self.open_case(ahead.case_id)

    # ------------------------------------------------------------- changing

    def take_in(self, start: int = 0, stop: int | None = None) -> None:
        """Keep what another plugin wrote into slices of the Corrections layer: before all that goes by its voxels."""
        if self.saving or self._layers.mid_stroke or self._taken_in:
            return
        if (start, stop) == (0, None):
            # No plugin gets a turn before this one ends, and all of a large scan takes a tenth of a second.
            self._taken_in = True
            QTimer.singleShot(0, self._look_again)
        self._runner.attempt(lambda: self._session.take_in(start, stop))

    def _look_again(self) -> None:
        self._taken_in = False

    def record(self, box: Box, before: LabelArray, after: LabelArray, tool: str) -> None:
        """Keep a step that a paint tool did on the layer."""
        self._recording = True
        try:
            self._runner.attempt(lambda: self._session.record(box, before, after, tool))
        finally:
            self._recording = False

    def undo(self) -> None:
        """Take the last corner of a polygon that is being drawn back; where none is, the newest stroke."""
        if not self._layers.take_back_corner():
            self.change(lambda: self._tell_where("undo", self._session.undo()))

    def redo(self) -> None:
        """Bring the newest undone stroke back."""
        self.change(lambda: self._tell_where("redo", self._session.redo()))

    def _tell_where(self, what: str, stroke: Stroke | None) -> None:
        """What was undone may be on another slice than the one on the screen, where nothing seems to happen."""
        if stroke is None:
            self._runner.said.emit(f"There is nothing to {what} in this case.")
            return
        shown, where = self._layers.slice_shown(), ""
        if shown is not None and not stroke.box[shown[0]].start <= shown[1] < stroke.box[shown[0]].stop:
            first, last = stroke.box[shown[0]].start, stroke.box[shown[0]].stop - 1
            through = f"s {first} to {last}" if last > first else f" {first}"
            where = f" in slice{through} along {AXES[shown[0]]}, not on the screen"
        self._runner.said.emit(f"{'Undone' if what == 'undo' else 'Redone'}{where}.")

    def accept_slice(self) -> None:
        """Accept what is unseen in the slice on the screen."""
        shown = self._layers.slice_shown()
        if self._session.case is not None and shown is None:
            self._runner.tell(InputError("Accept slice needs a slice: leave the 3D view, or use Accept scan."))
            return
        axis, index = shown or (0, 0)
        self.change(lambda: self._session.accept_slice(axis, index))

    def accept_scan(self) -> None:
        """Accept everything that is unseen."""
        self.change(self._session.accept_scan)

    def revert_to_prediction(self) -> None:
        """Put the active model version's prediction in place; can be undone."""
        self.change(self._session.revert_to_prediction)

    def revert_to_revision(self, name: str) -> None:
        """Put a stored revision in place; can be undone."""
        self.change(lambda: self._session.revert_to_revision(name))

    def choose(self, label_id: int) -> None:
        """Select a label for painting."""
        self._layers.choose(label_id)

    def draw_box(self, depth: int) -> None:
        """Let the person draw a rectangle, and accept what is unseen in it, so many slices deep."""
        if self._session.case is not None and self._layers.slice_shown() is None:
            self._runner.tell(InputError("Accept box needs a slice: leave the 3D view, or use Accept scan."))
            self._box.ended.emit()
        elif self.saving or self.opening.under_way:
            self._runner.said.emit(BUSY)
            self._box.ended.emit()
        else:
            self._box.begin(depth)
            self._runner.said.emit("Draw a rectangle around what is right; Escape ends it.")

    def accept_box(self, box: Box) -> None:
        """Accept what is unseen in a box."""
        if self.change(lambda: self._session.accept_box(box)):
            self._runner.said.emit("What was not edited in the box is accepted; Undo takes that back.")

    def change(self, verb: Callable[[], None]) -> bool:
        """Change the open case, unless it is being drawn on, opened or saved; whether it went through."""
        if self.saving or self.opening.under_way or self._layers.mid_stroke:
            self._runner.said.emit(DRAWING if self._layers.mid_stroke else BUSY)
            return False
        self.take_in()
        return self._runner.attempt(verb)

    # --------------------------------------------------------------- saving

    def save(self) -> None:
        """Store the corrections as a revision; the case is locked until they are on disk."""
        if self._nothing_to_save():
            return
        self.store("Saving corrections", self._session.save, lambda r: f"Saved {r.name} of {r.case_id}.")

    def store(self, title: str, verb: Callable[[], Revision], sentence: Callable[[Revision], str]) -> None:
        """Let a verb store the open case as a revision; nothing can be changed until it has.

        Parameters
        ----------
        title
            What is done, for the status line.
        verb
            Stores; runs in another thread.
        sentence
            What is said when it is stored.
        """
        if self.saving:
            return
        if self._session.case is None:
            self._runner.tell(InputError("No case is open, so there is nothing to save: open one first."))
            return
        if self.opening.under_way:
            self._runner.said.emit(BUSY)
            return
        if self._layers.mid_stroke:
            self._runner.said.emit(DRAWING)
            QTimer.singleShot(RETRY_MS, lambda: self.store(title, verb, sentence))
            return
        self.take_in()
        self._lock(True)
        job = self._runner.run(title, verb, stops=False)
        self._warned = False
        job.returned.connect(lambda revision: self._runner.said.emit(sentence(revision)))
        job.returned.connect(self.stored)
        job.failed.connect(lambda _: self._forget_wanted())
        job.ended.connect(lambda: self._lock(False))
        job.ended.connect(self._open_wanted)

    def _nothing_to_save(self) -> bool:
        """Whether nothing was done, which is told: a revision of it would take the case out of the review queue."""
        case = self._session.case
        if case is None or self.saving or self.opening.under_way or self._layers.mid_stroke:
            return False  # told by `store`
        self.take_in()
        if case.unsaved == 0:
            since, then = "yet", " If all of it is right as it is, press Accept scan first."
            if case.parent:
                since, then = f"since {case.parent}", ""
            self._runner.said.emit(
                f"Nothing was painted or accepted in {case.info.case_id} {since}, so there is nothing to save.{then}"
            )
        return case.unsaved == 0

    def _lock(self, locked: bool) -> None:
        # A stroke drawn between the copy on disk and the new journal would be in neither.
        self.saving = locked
        self._layers.lock(locked)
        self.saving_changed.emit(locked)

    def _forget_wanted(self) -> None:
        self._wanted = ""

    def _open_wanted(self) -> None:
        wanted, self._wanted = self._wanted, ""
        if wanted:
            self.open_case(wanted)

    # -------------------------------------------------------------- hearing

    def _on_canvas_changed(self) -> None:
        if self._recording:
            self._layers.refresh_status()
        else:
            self._layers.refresh()
        case = self._session.case
        row = self._facts.now.row(case.info.case_id) if case else None
        if row is not None and row.state != "in correction":
            self._facts.refresh_after_stroke()

    def _on_facts(self, facts: Facts) -> None:
        """Another window may have changed the labels."""
        if self._session.case is not None and facts.schema is not None and not self._layers.show_schema(facts.schema):
            self.reopen()

    def _on_lost(self) -> None:
        gone = "The Corrections layer" if self._layers.labels is None else "A layer of the scan"
        self._session.events.noticed.emit(f"{gone} was deleted; no work is lost. Press Show layers again to go on.")

    def _on_replaced(self, case: OpenCase, voxels: LabelArray) -> None:
        """Another program assigned `layer.data` while this case was on the screen."""
        if voxels.shape != case.info.shape:
            why = f"have another shape ({' x '.join(map(str, voxels.shape))}) than the scan"
        elif case is not self._session.case:
            why = f"came too late for {case.info.case_id}, which was closed or opened anew"
        elif self.saving or self.opening.under_way:
            why = "came too early"
        else:
            self._runner.attempt(lambda: self._session.take_over(voxels))
            return
        self._runner.attempt(lambda: self._put_aside(voxels, why))

    def _put_aside(self, voxels: LabelArray, why: str) -> None:
        self._session.events.noticed.emit(
            f"Labels that another program put into the Corrections layer {why}, so they were not taken over; they are "
            f"in layer {self._layers.aside.keep(voxels)}, which is saved with no case."
        )
