"""The revisions of a case as a table: who, when, what, and what became of it."""

from collections.abc import Sequence
from datetime import datetime

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QAbstractItemView, QTableWidget, QTableWidgetItem

from napari_apprentice.gui.tables import compact
from napari_apprentice.loop.history import HistoryRow

COLUMNS = (
    ("Revision", "Name of the revision; the newest is on top."),
    ("Author", "Who saved it."),
    ("When", "When it was saved, by this computer's clock."),
    ("Origin", "Corrected here, imported, restored, rescued or merged."),
    ("From", "The revision that it started from, and those that were merged into it."),
    ("Model", "The model version whose prediction it started from."),
    ("Strokes", "Editing steps that led to it, also those that were undone, and the undoing."),
    ("Minutes", "Time that somebody worked on it, pauses left out."),
    ("Voxels changed", "Voxels that each label gained or lost."),
    ("Learned by", "Model versions that learned from it; in brackets those that were measured on it."),
)
CHANGED = 8
UNSAVED = "not saved"


class HistoryTable(QTableWidget):
    """One row per revision, the newest first; strokes that are in none yet stand above them."""

    opened = Signal(str)
    """A revision is to be looked at."""

    def __init__(self) -> None:
        super().__init__(0, len(COLUMNS))
        self.setHorizontalHeaderLabels([title for title, _ in COLUMNS])
        for column, (_, tip) in enumerate(COLUMNS):
            item = self.horizontalHeaderItem(column)
            if item is not None:
                item.setToolTip(tip)
        self.setToolTip("The revisions of the open case. Select one or two; Return or a double click shows one.")
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        compact(self, stretched=CHANGED)
        self.doubleClicked.connect(lambda _: self._open())

    def show_rows(self, rows: Sequence[HistoryRow]) -> None:
        """Show a history, oldest row first as it is read; what was selected stays selected."""
        selected = set(self.selected())
        self.setRowCount(len(rows))
        for index, row in enumerate(reversed(rows)):
            for column, text in enumerate(_texts(row)):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                item.setData(Qt.ItemDataRole.UserRole, row.revision)
                self.setItem(index, column, item)
        self.clearSelection()
        mode = self.selectionMode()
        self.setSelectionMode(QAbstractItemView.SelectionMode.MultiSelection)
        for index, row in enumerate(reversed(rows)):
            if row.revision and row.revision in selected:
                self.selectRow(index)
        self.setSelectionMode(mode)

    def selected(self) -> tuple[str, ...]:
        """Names of the selected revisions, oldest first; strokes that are in no revision cannot be selected."""
        model = self.selectionModel()
        rows = sorted((index.row() for index in model.selectedRows()), reverse=True) if model is not None else []
        names = (self.item(row, 0) for row in rows)
        return tuple(str(n.data(Qt.ItemDataRole.UserRole)) for n in names if n and n.data(Qt.ItemDataRole.UserRole))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 - Qt's name
        """Return shows the revision, like a double click."""
        if event is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._open()
            return
        super().keyPressEvent(event)

    def _open(self) -> None:
        names = self.selected()
        if names:
            self.opened.emit(names[-1])


def _texts(row: HistoryRow) -> tuple[str, ...]:
    learned = " ".join([*row.learned, *(f"({name})" for name in row.measured)])
    return (
        row.revision or UNSAVED, row.author, _clock_time(row.created), row.origin,
        " + ".join([row.parent or "", *row.merged]).removeprefix(" + "), row.model or "", str(row.strokes),
        f"{row.seconds / 60:.1f}", "; ".join(f"{name} {count:,}" for name, count in row.changed.items()), learned,
    )  # fmt: skip


def _clock_time(created: str) -> str:
    try:
        return datetime.fromisoformat(created).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError):  # of strokes that are not saved, or written by a stranger
        return created[:16]
