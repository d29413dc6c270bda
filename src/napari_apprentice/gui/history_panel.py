"""History: who changed what in the open case, and the ways back to it."""

from pathlib import Path

from qtpy.QtCore import QSize, QTimer, Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from napari_apprentice.gui.history_table import HistoryTable
from napari_apprentice.gui.legend import Legend
from napari_apprentice.gui.looking_back import Compared
from napari_apprentice.gui.panel import Panel, button, note
from napari_apprentice.gui.place_bar import PlaceBar
from napari_apprentice.loop.history import HistoryRow

PAUSE_MS = 1000  # without a stroke, before the history is read anew: nobody who draws waits for that
NO_CASE = "No case is open: open one to see its revisions."
NO_ROWS = "This case was never saved: Save corrections makes its first revision."


class HistoryPanel(Panel):
    """The revisions of the open case."""

    open_requested = Signal(str)
    compare_requested = Signal(object)
    compare_ended = Signal()
    merge_requested = Signal(str)
    restore_requested = Signal(str)
    audit_requested = Signal(object)

    def _build(self) -> None:
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(PAUSE_MS)
        self.guide = note()
        self.table = HistoryTable()
        self.look = button("Open", "Show the outlines of the selected revision beside the corrections (Return).")
        self.compare = button(
            "Compare",
            "Show where the two selected revisions differ, or where one differs from what is on the screen.",
        )
        self.merge = button("Merge ...", "Take over what somebody else did in the selected revision.")
        self.restore = button("Restore", "Store the selected revision again as the newest one; all others are kept.")
        self.audit = button("Export audit ...", "Write who changed what in all cases of the study as CSV or JSON.")
        self.legend = Legend()
        self.labels = note("", "What became of which label, and in how many voxels.")
        self.places = PlaceBar(self.desk.tour)
        self.end = button("End comparing", "Take the differences off the screen.")
        self._lay_out()
        self._connect()
        self._show_comparison(self.desk.back.comparison)
        self._enable()
        self.desk.back.read()

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        for widget in (self.look, self.compare, self.merge, self.restore):
            buttons.addWidget(widget)
        buttons.addStretch()
        buttons.addWidget(self.audit)
        self.differences = QWidget()
        inside = QVBoxLayout(self.differences)
        inside.setContentsMargins(0, 0, 0, 0)
        line = QHBoxLayout()
        line.addWidget(self.places, 1)
        line.addWidget(self.end)
        for part in (self.legend, self.labels):
            inside.addWidget(part)
        inside.addLayout(line)
        self._box.addWidget(self.guide)
        self._box.addWidget(self.table, 1)
        self._box.addLayout(buttons)
        self._box.addWidget(self.differences)

    def _connect(self) -> None:
        back = self.desk.back
        self.look.clicked.connect(lambda: self._ask_for_one(self.open_requested))
        self.table.opened.connect(self.open_requested)
        self.compare.clicked.connect(lambda: self.compare_requested.emit(self.table.selected()))
        self.merge.clicked.connect(lambda: self._ask_for_one(self.merge_requested))
        self.restore.clicked.connect(lambda: self._ask_for_one(self.restore_requested))
        self.audit.clicked.connect(self._ask_for_file)
        self.end.clicked.connect(self.compare_ended)
        self.open_requested.connect(back.open_revision)
        self.compare_requested.connect(back.compare)
        self.compare_ended.connect(back.stop_comparing)
        self.merge_requested.connect(self.desk.merges.begin)
        self.restore_requested.connect(back.restore)
        self.audit_requested.connect(back.export_audit)
        self.table.itemSelectionChanged.connect(self._enable)
        back.rows_read.connect(self._show_rows)
        back.compared.connect(self._show_comparison)
        for signal in (self.desk.bridge.case_opened, self.desk.bridge.saved, self.desk.bridge.models_changed):
            signal.connect(back.read)
        self.desk.bridge.canvas_changed.connect(lambda _: self._later.start())  # not with what has changed as its time
        self._later.timeout.connect(lambda: back.read() if self.isVisible() else None)
        self.desk.cases.saving_changed.connect(self._enable)

    def _ask_for_one(self, intent: Signal) -> None:
        names = self.table.selected()
        if len(names) == 1:
            intent.emit(names[0])

    def _ask_for_file(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Export audit", "audit.csv", "CSV (*.csv);;JSON (*.json)")
        if chosen:
            self.audit_requested.emit(Path(chosen))

    # ------------------------------------------------------------- showing

    def _show_rows(self, rows: tuple[HistoryRow, ...]) -> None:
        self.table.show_rows(rows)
        case = self.desk.session.case
        self.guide.setText(NO_CASE if case is None else NO_ROWS)
        self.guide.setVisible(not rows)
        self._enable()

    def _enable(self) -> None:
        count, saving = len(self.table.selected()), self.desk.cases.saving
        self.compare.setEnabled(count in (1, 2) and not saving)
        self.compare.setText("Compare with screen" if count == 1 else "Compare both" if count == 2 else "Compare")
        for widget in (self.look, self.merge, self.restore):
            widget.setEnabled(count == 1 and not saving)
        self.audit.setEnabled(self.desk.session.has_study)

    def _show_comparison(self, compared: Compared | None) -> None:
        self.differences.setVisible(compared is not None)
        if compared is None:
            return
        found = compared.found
        self.legend.show_kinds(compared.kinds)
        voxels = f"{found.voxels:,} voxels differ" if found.voxels else "No label differs"
        status = f" Another status: {found.status_differs:,} voxels." if found.status_differs else ""
        labels = f": {compared.by_label}" if found.voxels else ""
        outdated = " You painted since: Compare shows it anew." if self.desk.back.outdated else ""
        self.labels.setText(f"{found.first} and {found.second}: {voxels}{labels}.{status}{outdated}")

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Room for about six revisions."""
        return QSize(900, 260)
