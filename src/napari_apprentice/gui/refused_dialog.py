"""A table of the files that were not added, and why."""

from collections.abc import Sequence

from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QDialog,
    QDialogButtonBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)  # fmt: skip

from napari_apprentice.gui.controls import button, note
from napari_apprentice.gui.tables import compact


class RefusedDialog(QDialog):
    """One row per file; the table can be copied.

    Parameters
    ----------
    refused
        Name and reason of each.
    added
        How many were added beside them.
    """

    def __init__(self, refused: Sequence[tuple[str, str]], added: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Not added")
        self.resize(760, 360)
        self._refused = tuple(refused)
        self.table = QTableWidget(len(refused), 2)
        self.table.setToolTip("What was not added, and why.")
        self.table.setHorizontalHeaderLabels(["File", "Reason"])
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setWordWrap(True)
        for row, cells in enumerate(refused):
            for column, text in enumerate(cells):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                self.table.setItem(row, column, item)
        compact(self.table, stretched=1)
        self.table.resizeRowsToContents()
        ends = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.copy = button("Copy", "Copy the table as text, to paste it into a mail or a spreadsheet.")
        ends.addButton(self.copy, QDialogButtonBox.ButtonRole.ActionRole)
        self.copy.clicked.connect(self._copy)
        ends.rejected.connect(self.reject)
        box = QVBoxLayout(self)
        box.addWidget(note(f"{added} of {added + len(refused)} were added; these were not:"))
        box.addWidget(self.table)
        box.addWidget(ends)

    def as_text(self) -> str:
        """The table, cells parted by tabs."""
        return "\n".join("\t".join(row) for row in (("file", "reason"), *self._refused))

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.as_text())
