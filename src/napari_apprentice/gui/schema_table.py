"""The label schema as a table one can edit."""

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QColorDialog,
    QHBoxLayout,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_apprentice.core.labels import PALETTE, Label, LabelSchema, free_colour
from napari_apprentice.errors import InputError
from napari_apprentice.gui.panel import button
from napari_apprentice.gui.tables import compact

ID, NAME, COLOUR = range(3)


class SchemaTable(QWidget):
    """Rows of id, name and colour; rows can be added and removed."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels(["Id", "Name", "Colour"])
        self.table.setToolTip("One row per label: a whole number from 1, a name, a colour. 0 is background.")
        compact(self.table, stretched=NAME)
        self.table.itemChanged.connect(lambda _: self.changed.emit())
        self._highest = 0
        self.add = button("Add label", "Add a row with the next free id.")
        self.remove = button("Remove label", "Remove the selected row.")
        self.add.clicked.connect(lambda: self.add_row())
        self.remove.clicked.connect(self._remove_row)
        buttons = QHBoxLayout()
        buttons.addWidget(self.add)
        buttons.addWidget(self.remove)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self.table)
        box.addLayout(buttons)

    def add_row(self, name: str = "", label_id: int | None = None, colour: str | None = None) -> None:
        """Append a label; by default with the next free id and the palette's colour for it."""
        row = self.table.rowCount()
        # Above every id there ever was in the table: a label that takes the place of another is another label.
        number = label_id or max(self._highest, *(self._id(r) for r in range(row)), 0) + 1
        self._highest = max(self._highest, number)
        swatches = [self.table.cellWidget(r, COLOUR) for r in range(row)]
        shade = colour or free_colour(number, [str(s.property("colour")) for s in swatches if s is not None])
        self.table.insertRow(row)
        self.table.setItem(row, ID, QTableWidgetItem(str(number)))
        self.table.setItem(row, NAME, QTableWidgetItem(name))
        self.table.setItem(row, COLOUR, QTableWidgetItem())
        self.table.setCellWidget(row, COLOUR, self._swatch(shade))
        self.table.setCurrentCell(row, NAME)
        self.changed.emit()

    def schema(self) -> LabelSchema:
        """The schema as it stands.

        Raises
        ------
        InputError
            An id or name is missing, used twice or out of range.
        """
        return LabelSchema(tuple(self._label(row) for row in range(self.table.rowCount())))

    def _label(self, row: int) -> Label:
        text = self._text(row, ID)
        if not text.isdecimal():
            raise InputError(f"Label id {text!r} in row {row + 1} is not a whole number from 1 to 65535.")
        swatch = self.table.cellWidget(row, COLOUR)
        colour = str(swatch.property("colour")) if swatch is not None else PALETTE[0]
        return Label(int(text), self._text(row, NAME), colour)

    def _text(self, row: int, column: int) -> str:
        item = self.table.item(row, column)
        return item.text().strip() if item is not None else ""

    def _id(self, row: int) -> int:
        text = self._text(row, ID)
        return int(text) if text.isdecimal() else 0

    def _swatch(self, colour: str) -> QPushButton:
        swatch = button("", "Choose this label's colour.")
        _paint(swatch, colour)
        swatch.clicked.connect(lambda: self._choose(swatch))
        return swatch

    def _choose(self, swatch: QPushButton) -> None:
        chosen = QColorDialog.getColor(QColor(swatch.property("colour")), self, "Colour of the label")
        if chosen.isValid():
            _paint(swatch, chosen.name())
            self.changed.emit()

    def _remove_row(self) -> None:
        if self.table.currentRow() >= 0:
            self.table.removeRow(self.table.currentRow())
            self.changed.emit()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Room for about six labels."""
        hint = super().sizeHint()
        hint.setHeight(250)
        return hint


def _paint(swatch: QPushButton, colour: str) -> None:
    swatch.setProperty("colour", colour)
    swatch.setStyleSheet(f"background-color: {colour}; border: 1px solid gray; margin: 3px;")
    swatch.setFocusPolicy(Qt.FocusPolicy.TabFocus)
