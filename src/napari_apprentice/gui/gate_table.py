"""Before and after, per label: what the gate looked at."""

from qtpy.QtGui import QFont
from qtpy.QtWidgets import QAbstractItemView, QTableWidget, QTableWidgetItem

from napari_apprentice.core.gate import ALL_LABELS, GateReport, GateRow
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.gui.colours import BETTER, WORSE
from napari_apprentice.gui.tables import ROW_HEIGHT, compact

COLUMNS = ("Label", "Measured on", "Before", "After", "Change", "95 % interval")
TIP = (
    "Mean Dice on held-out scans with the model version before and the new one, of the same scans. The interval is of "
    "the mean change, by resampling subjects; it needs two of them."
)
MOST_ROWS = 8  # shown at once


class GateTable(QTableWidget):
    """One row per label and kind of held-out scan, and one for all labels where there are several.

    Parameters
    ----------
    narrow
        Leave the intervals to the tooltips of the changes: the dock has no room for them.
    """

    def __init__(self, *, narrow: bool = False) -> None:
        super().__init__(0, len(COLUMNS))
        self.setHorizontalHeaderLabels(COLUMNS)
        self.setToolTip(TIP)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self._header = compact(self, stretched=1)
        self.setColumnHidden(len(COLUMNS) - 1, narrow)

    def show_report(self, report: GateReport | None, schema: LabelSchema) -> None:
        """Show a report, or nothing where there was no gate."""
        rows = _shown(report) if report else ()
        self.setRowCount(len(rows))
        for index, row in enumerate(rows):
            self._fill(index, row, schema)
        self.setToolTip(f"{TIP} {report.caution}" if report else TIP)
        header = self._header.sizeHint().height()
        self.setFixedHeight(header + min(len(rows), MOST_ROWS) * ROW_HEIGHT + 2 * self.frameWidth() + 2)
        self.setVisible(bool(rows))

    def _fill(self, index: int, row: GateRow, schema: LabelSchema) -> None:
        kind = ("earlier scan" if row.replay else "correction") + ("s" if row.cases > 1 else "")
        name = next((x.name for x in schema.labels if x.id == row.label), str(row.label))
        name = "all labels" if row.label == ALL_LABELS else name
        texts = (
            name, f"{row.cases} {kind}", f"{row.before:.3f}", f"{row.after:.3f}", f"{row.change:+z.3f}", row.interval,
        )  # fmt: skip
        items = [QTableWidgetItem(text) for text in texts]
        if abs(row.change) >= 0.0005:
            items[4].setForeground((BETTER if row.change > 0 else WORSE).on(self))
        if row.interval:
            items[4].setToolTip(f"95 % interval of the mean change: {row.interval}, {row.subjects} subjects")
        if row.label == ALL_LABELS:
            font = QFont()
            font.setBold(True)
            for item in items:
                item.setFont(font)
        for column, item in enumerate(items):
            self.setItem(index, column, item)


def _shown(report: GateReport) -> tuple[GateRow, ...]:
    """Labels, and under them the mean over them where there are several."""
    shown: list[GateRow] = []
    for replay in (False, True):
        rows = [r for r in report.rows if r.replay == replay]
        shown += rows
        if len(rows) > 1:
            shown += [t for t in report.totals if t.replay == replay]
    return tuple(shown)
