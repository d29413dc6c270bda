"""Correct: choose a label, paint, accept, revert, save."""

import numpy as np
from qtpy.QtCore import QTimer, Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QHBoxLayout

from napari_apprentice.core.counting import count_values
from napari_apprentice.gui.accept_row import AcceptRow
from napari_apprentice.gui.cursor_line import CursorLine
from napari_apprentice.gui.facts import Facts
from napari_apprentice.gui.history_panel import HistoryPanel
from napari_apprentice.gui.label_chooser import LabelChooser
from napari_apprentice.gui.merge_panel import MergePanel
from napari_apprentice.gui.overlay_row import OverlayRow
from napari_apprentice.gui.panel import Panel, button, menu_button, note
from napari_apprentice.gui.preset_box import PresetBox
from napari_apprentice.loop.opening import OpenCase
from napari_apprentice.loop.shown import is_by
from napari_apprentice.store.study import Study

SETTLE_MS = 250  # counting voxels waits for a pause in painting
HINT = "Paint with napari's tools: P brush, E eraser, F fill, 3 dimensions with n edit dim; Space held moves the view."
NO_CASE = "No case is open. Double click one in the table, or press Next case."


class CorrectPanel(Panel):
    """The case under correction."""

    label_requested = Signal(int)
    undo_requested = Signal()
    redo_requested = Signal()
    accept_slice_requested = Signal()
    accept_scan_requested = Signal()
    history_requested = Signal()
    merge_requested = Signal()
    prediction_requested = Signal()
    revision_requested = Signal(str)
    save_requested = Signal()
    layers_requested = Signal()

    def _build(self) -> None:
        self._count_generation = 0
        self._lost = False
        self._counter = QTimer(self)
        self._counter.setSingleShot(True)
        self._counter.setInterval(SETTLE_MS)
        self.case = note(NO_CASE, "The case under correction.")
        self.others = note("", "Another window has this case open; both revisions will be kept.")
        self.labels = LabelChooser()
        self.hint = note("P brush, E eraser, F fill, 1-9 label, Space held moves.", HINT)
        self.undo = button("Undo", "Take the newest stroke back, or the last corner of a polygon being drawn (Ctrl+Z).")
        self.redo = button("Redo", "Bring the newest undone stroke back (Ctrl+Shift+Z).")
        self.accept = AcceptRow(self.desk)
        self.accept_slice, self.accept_box, self.accept_scan = self.accept.slice, self.accept.box, self.accept.scan
        self.revert, self.revert_menu = menu_button(
            "Revert to", "Put the prediction or a stored revision in place; Undo takes that back."
        )
        self.save = button("Save corrections", "Store a revision (Ctrl+S). Earlier revisions are kept.")
        self.show_layers = button("Show layers again", "A layer of the case was deleted; show the case again.")
        self.history = button("History ...", "Who changed what in this case and when; look, compare, restore.")
        self.merge = button("Merge ...", "Somebody else saved this case too; see where you differ.")
        self.merge.setVisible(False)
        self.overlays = OverlayRow(self.desk)
        self.uncertainty, self.status = self.overlays.uncertainty, self.overlays.status
        self.prediction, self.letters = self.overlays.prediction, self.overlays.letters
        self.window_preset = PresetBox(self.desk.windowing)
        self.under_mouse = CursorLine(self.desk.mouse)
        self.strokes = note(
            "", "Strokes, undos among them, are kept on disk at once; Save corrections makes a revision of them."
        )
        self.counts = note("", "Unseen voxels are never taught to the model.")
        self._lay_out()
        self._connect()
        self._show_case()

    def _lay_out(self) -> None:
        strokes, revisions = QHBoxLayout(), QHBoxLayout()
        for widget in (self.undo, self.redo, self.revert, self.history):
            strokes.addWidget(widget)
        revisions.addWidget(self.save, 1)
        revisions.addWidget(self.merge)
        self._box.addWidget(self.case)
        self._box.addWidget(self.others)
        self._box.addWidget(self.labels)
        self._box.addWidget(self.hint)
        self._box.addLayout(strokes)
        self._box.addWidget(self.accept)
        self._box.addLayout(revisions)
        self._box.addWidget(self.show_layers)
        self._box.addWidget(self.overlays)
        self._box.addWidget(self.window_preset)
        self._box.addWidget(self.under_mouse)
        self._box.addWidget(self.strokes)
        self._box.addWidget(self.counts)

    def _connect(self) -> None:
        cases, bridge, layers = self.desk.cases, self.desk.bridge, self.desk.layers
        self.labels.chosen.connect(self.label_requested)
        for widget, intent, slot in (
            (self.undo, self.undo_requested, cases.undo),
            (self.redo, self.redo_requested, cases.redo),
            (self.history, self.history_requested, self._open_history),
            (self.merge, self.merge_requested, self.desk.merges.begin),
            (self.accept_slice, self.accept_slice_requested, cases.accept_slice),
            (self.accept_scan, self.accept_scan_requested, cases.accept_scan),
            (self.save, self.save_requested, cases.save),
            (self.show_layers, self.layers_requested, cases.reopen),
        ):
            widget.clicked.connect(lambda _=False, i=intent: i.emit())
            intent.connect(slot)
        self.label_requested.connect(cases.choose)
        self.prediction_requested.connect(cases.revert_to_prediction)
        self.revision_requested.connect(cases.revert_to_revision)
        self.revert_menu.aboutToShow.connect(self._list_reverts)
        self.accept.box_requested.connect(cases.draw_box)
        self.accept.box_ended.connect(self.desk.box.end)
        self.desk.merges.changed.connect(self._show_merge)
        self.desk.merges.began.connect(self._open_merge)
        self._counter.timeout.connect(self._count)
        cases.saving_changed.connect(self._enable)
        layers.label_chosen.connect(self.labels.show_chosen)
        layers.shown.connect(lambda: self._on_layers(lost=False))
        layers.lost.connect(lambda: self._on_layers(lost=True))
        bridge.case_opened.connect(self._show_case)
        bridge.canvas_changed.connect(self._show_work)
        bridge.saved.connect(self._show_case)
        self.desk.facts.changed.connect(self._on_facts)

    def _open_history(self) -> None:
        self.desk.docks.open("History", lambda: HistoryPanel(self.desk.viewer, self.desk))

    def _open_merge(self) -> None:
        self.desk.docks.open("Merge", lambda: MergePanel(self.desk.viewer, self.desk))

    # ------------------------------------------------------------- showing

    def _show_merge(self) -> None:
        offered, merging = self.desk.merges.offered, self.desk.merges.merging
        self.merge.setVisible(offered is not None and merging is None)
        if offered is not None:
            self.merge.setText(f"Merge with {offered.name} ...")
        if merging is None:
            self.desk.docks.close("Merge")

    def _on_facts(self, facts: Facts) -> None:
        case = self.desk.session.case
        self.labels.show_schema(facts.schema)
        if self.desk.layers.labels is not None:
            self.labels.show_chosen(int(self.desk.layers.labels.selected_label))
        if case is not None:
            self.case.setText(_about(case))  # a prediction may have arrived in a case with strokes
        self._show_others()

    def _show_others(self) -> None:
        case = self.desk.session.case
        row = self.desk.facts.now.row(case.info.case_id) if case is not None else None
        self.others.setText("\n".join(other.sentence for other in row.others) if row is not None else "")
        self.others.setVisible(row is not None and bool(row.others))

    def _on_layers(self, lost: bool) -> None:
        self._lost = lost
        self._show_case()

    def _show_case(self) -> None:
        case, layers = self.desk.session.case, self.desk.layers
        self.case.setText(_about(case) if case else NO_CASE)
        if case is not None:
            self.labels.show_schema(self.desk.session.study.schema)
        if layers.labels is not None:
            self.labels.show_chosen(int(layers.labels.selected_label))
        self.show_layers.setVisible(case is not None and self._lost)
        self.overlays.show_case()
        self._show_others()
        self._enable(self.desk.cases.saving)
        self._show_work()

    def _enable(self, saving: bool) -> None:
        ready = self.desk.session.case is not None and not saving
        for widget in (
            self.undo, self.redo, self.accept, self.revert, self.save, self.labels, self.history, self.merge,
        ):  # fmt: skip
            widget.setEnabled(ready)

    def _show_work(self) -> None:
        case = self.desk.session.case
        for widget in (self.labels, self.hint, self.window_preset, self.under_mouse, self.strokes, self.counts):
            widget.setVisible(case is not None)
        if case is None:
            return
        self.strokes.setText(_unsaved(case.unsaved))
        self._counter.start()

    def _count(self) -> None:
        case = self.desk.session.case
        if case is None:
            return
        self._count_generation += 1
        generation = self._count_generation
        status = case.canvas.status
        job = self.desk.runner.run("Counting", lambda: count_values(status, 3), quiet=True)
        job.returned.connect(lambda counts: self._show_counts(counts, generation))

    def _show_counts(self, counts: np.ndarray, generation: int) -> None:
        if generation == self._count_generation and self.desk.session.case is not None:
            unseen, accepted, edited = (100 * float(n) / max(1, float(counts.sum())) for n in counts[:3])
            self.counts.setText(f"Unseen {unseen:.1f} %, accepted {accepted:.1f} %, edited {edited:.2f} %")

    def _list_reverts(self) -> None:
        menu, case = self.revert_menu, self.desk.session.case
        menu.clear()
        if case is None:
            return
        menu.addAction(QAction("Reading ...", menu, enabled=False))
        # Not in this thread: a share that does not answer would hold up the window.
        study, case_id = self.desk.session.study, case.info.case_id
        job = self.desk.runner.run("Reading the revisions", lambda: _reverts_of(study, case_id), quiet=True)
        job.returned.connect(lambda found: self._show_reverts(case_id, *found))
        job.failed.connect(lambda _: menu.close())

    def _show_reverts(self, case_id: str, active: str | None, predicted: bool, names: tuple[str, ...]) -> None:
        menu, case = self.revert_menu, self.desk.session.case
        menu.clear()
        if case is None or case.info.case_id != case_id:
            return
        prediction = QAction(f"Prediction by {active}" if active else "Prediction", menu, enabled=predicted)
        prediction.triggered.connect(lambda _=False: self.prediction_requested.emit())
        menu.addAction(prediction)
        for name in reversed(names):
            revision = QAction(f"Revision {name}", menu)
            revision.triggered.connect(lambda _=False, n=name: self.revision_requested.emit(n))
            menu.addAction(revision)


def _reverts_of(study: Study, case_id: str) -> tuple[str | None, bool, tuple[str, ...]]:
    """The active model version, whether it predicted the case, and the case's revisions; touches the disk."""
    active = study.models.active()
    return active, active is not None and is_by(study, case_id, active), study.revisions.names(case_id)


def _about(case: OpenCase) -> str:
    start = f"revision {case.parent}" if case.parent else f"prediction by {case.model}" if case.model else "nothing"
    return f"<b>{case.info.case_id}</b>, started from {start}"


def _unsaved(strokes: int) -> str:
    if strokes == 0:
        return "No unsaved strokes."
    return f"{strokes} unsaved stroke{'s' if strokes > 1 else ''}, kept until you save, also when the window closes."
