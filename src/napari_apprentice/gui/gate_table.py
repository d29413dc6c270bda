"""Before and after, per label: what the gate looked at."""

from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QTableWidget, QTableWidgetItem

from napari_apprentice.core.gate import GateReport, GateRow
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.gui.tables import ROW_HEIGHT, compact

BETTER, WORSE = QColor("#4caf50"), QColor("#ff6b6b")
COLUMNS = ("Label", "Measured on", "Before", "After", "Change")


class GateTable(QTableWidget):
    """One row per label and kind of held-out scan."""

    def __init__(self) -> None:
        super().__init__(0, len(COLUMNS))
        self.setHorizontalHeaderLabels(COLUMNS)
        self.setToolTip("Mean Dice on held-out scans with the model version before and the new one.")
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self._header = compact(self, stretched=1)

    def show_report(self, report: GateReport | None, schema: LabelSchema) -> None:
        """Show a report, or nothing where there was no gate."""
        rows = report.rows if report else ()
        self.setRowCount(len(rows))
        for index, row in enumerate(rows):
            self._fill(index, row, schema)
        header = self._header.sizeHint().height()
        self.setFixedHeight(header + min(len(rows), 8) * ROW_HEIGHT + 2 * self.frameWidth() + 2)
        self.setVisible(bool(rows))

    def _fill(self, index: int, row: GateRow, schema: LabelSchema) -> None:
        kind = ("earlier scan" if row.replay else "correction") + ("s" if row.cases > 1 else "")
        change = row.after - row.before
        name = next((x.name for x in schema.labels if x.id == row.label), str(row.label))
        texts = (name, f"{row.cases} {kind}", f"{row.before:.3f}", f"{row.after:.3f}", f"{change:+.3f}")
        items = [QTableWidgetItem(text) for text in texts]
        if abs(change) >= 0.0005:
            items[-1].setForeground(BETTER if change > 0 else WORSE)
        for column, item in enumerate(items):
            self.setItem(index, column, item)
