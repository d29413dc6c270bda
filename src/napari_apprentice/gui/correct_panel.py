"""Correct: choose a label, paint, accept, revert, save."""

import numpy as np
from qtpy.QtCore import QTimer, Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QCheckBox, QHBoxLayout

from napari_apprentice.gui.cursor_line import CursorLine
from napari_apprentice.gui.facts import Facts
from napari_apprentice.gui.label_chooser import LabelChooser
from napari_apprentice.gui.panel import Panel, button, menu_button, note
from napari_apprentice.gui.preset_box import PresetBox
from napari_apprentice.loop.opening import OpenCase

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
    prediction_requested = Signal()
    revision_requested = Signal(str)
    save_requested = Signal()
    layers_requested = Signal()

    def _build(self) -> None:
        self._count_generation = 0
        self._counter = QTimer(self)
        self._counter.setSingleShot(True)
        self._counter.setInterval(SETTLE_MS)
        self.case = note(NO_CASE, "The case under correction.")
        self.labels = LabelChooser()
        self.hint = note("P brush, E eraser, F fill, 1-9 label, Space held moves.", HINT)
        self.undo = button("Undo", "Take the newest stroke back (Ctrl+Z).")
        self.redo = button("Redo", "Bring the newest undone stroke back (Ctrl+Shift+Z).")
        self.accept_slice = button("Accept slice", "All that is not edited in this slice is right as it is.")
        self.accept_scan = button("Accept scan", "All that is not edited in the scan is right as it is.")
        self.revert, self.revert_menu = menu_button(
            "Revert to", "Put the prediction or a stored revision in place; Undo takes that back."
        )
        self.save = button("Save corrections", "Store a revision (Ctrl+S). Earlier revisions are kept.")
        self.show_layers = button("Show layers again", "The Corrections layer was deleted; show the case again.")
        self.uncertainty = QCheckBox("Uncertainty")
        self.uncertainty.setToolTip("Show where the model version was unsure, as a bright overlay.")
        self.status = QCheckBox("Status")
        self.status.setToolTip("Show what is accepted (green) and edited (orange); unseen is clear.")
        self.letters = QCheckBox("Letters")
        self.letters.setToolTip(
            "Show at the edges of the canvas which side of the patient is there: R right, L left, A anterior, "
            "P posterior, S superior, I inferior; two letters where the scan is oblique."
        )
        self.letters.setChecked(self.desk.letters.wanted)
        self.window_preset = PresetBox(self.desk.windowing)
        self.under_mouse = CursorLine(self.desk.mouse)
        self.strokes = note("", "Strokes are kept on disk at once; Save corrections makes a revision of them.")
        self.counts = note("", "Unseen voxels are never taught to the model.")
        self._lay_out()
        self._connect()
        self._show_case()

    def _lay_out(self) -> None:
        strokes, revisions = QHBoxLayout(), QHBoxLayout()
        for widget in (self.undo, self.redo, self.accept_slice, self.accept_scan):
            strokes.addWidget(widget)
        revisions.addWidget(self.revert)
        revisions.addWidget(self.save, 1)
        overlays = QHBoxLayout()
        overlays.addWidget(self.uncertainty)
        overlays.addWidget(self.status)
        overlays.addWidget(self.letters)
        overlays.addStretch()
        self._box.addWidget(self.case)
        self._box.addWidget(self.labels)
        self._box.addWidget(self.hint)
        self._box.addLayout(strokes)
        self._box.addLayout(revisions)
        self._box.addWidget(self.show_layers)
        self._box.addLayout(overlays)
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
            (self.accept_slice, self.accept_slice_requested, cases.accept_slice),
            (self.accept_scan, self.accept_scan_requested, cases.accept_scan),
            (self.save, self.save_requested, cases.save),
            (self.show_layers, self.layers_requested, cases.reopen),
        ):
            widget.clicked.connect(intent)
            intent.connect(slot)
        self.label_requested.connect(cases.choose)
        self.prediction_requested.connect(cases.revert_to_prediction)
        self.revision_requested.connect(cases.revert_to_revision)
        self.revert_menu.aboutToShow.connect(self._list_reverts)
        self.uncertainty.toggled.connect(lambda on: layers.show_overlay(layers.uncertainty, on))
        self.status.toggled.connect(lambda on: layers.show_overlay(layers.status, on))
        self.letters.toggled.connect(self.desk.letters.show_letters)
        self.desk.letters.changed.connect(self.letters.setChecked)
        self._counter.timeout.connect(self._count)
        cases.saving_changed.connect(self._enable)
        layers.label_chosen.connect(self.labels.show_chosen)
        layers.shown.connect(self._show_case)
        layers.lost.connect(self._show_case)
        bridge.case_opened.connect(self._show_case)
        bridge.canvas_changed.connect(self._show_work)
        bridge.saved.connect(self._show_work)
        self.desk.facts.changed.connect(self._on_facts)

    # ------------------------------------------------------------- showing

    def _on_facts(self, facts: Facts) -> None:
        if self.desk.session.case is None:
            self.labels.show_schema(facts.schema)

    def _show_case(self) -> None:
        case, layers = self.desk.session.case, self.desk.layers
        self.case.setText(_about(case) if case else NO_CASE)
        if case is not None:
            self.labels.show_schema(self.desk.session.study.schema)
        if layers.labels is not None:
            self.labels.show_chosen(int(layers.labels.selected_label))
            for box, layer in ((self.uncertainty, layers.uncertainty), (self.status, layers.status)):
                layers.show_overlay(layer, box.isChecked())
        self.show_layers.setVisible(case is not None and layers.labels is None and not self.desk.runner.busy)
        self.uncertainty.setEnabled(layers.uncertainty is not None)
        self.status.setEnabled(layers.status is not None)
        self._enable(self.desk.cases.saving)
        self._show_work()

    def _enable(self, saving: bool) -> None:
        ready = self.desk.session.case is not None and not saving
        for widget in (
            self.undo, self.redo, self.accept_slice, self.accept_scan, self.revert, self.save, self.labels,
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
        job = self.desk.runner.run("Counting", lambda: np.bincount(status.ravel(), minlength=3), quiet=True)
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
        study, case_id = self.desk.session.study, case.info.case_id
        active = study.models.active()
        prediction = QAction(f"Prediction by {active}" if active else "Prediction", menu)
        prediction.setEnabled(active is not None and study.predictions.has(case_id, active))
        prediction.triggered.connect(lambda _=False: self.prediction_requested.emit())
        menu.addAction(prediction)
        for name in reversed(study.revisions.names(case_id)):
            revision = QAction(f"Revision {name}", menu)
            revision.triggered.connect(lambda _=False, n=name: self.revision_requested.emit(n))
            menu.addAction(revision)


def _about(case: OpenCase) -> str:
    start = f"revision {case.parent}" if case.parent else f"prediction by {case.model}" if case.model else "nothing"
    return f"<b>{case.info.case_id}</b>, started from {start}"


def _unsaved(strokes: int) -> str:
    if strokes == 0:
        return "No unsaved strokes."
    return f"{strokes} unsaved stroke{'s' if strokes > 1 else ''}, kept until you save, also when the window closes."
