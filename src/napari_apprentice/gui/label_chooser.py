"""The labels to paint with, as a list with colours."""

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QListWidget, QListWidgetItem

from napari_apprentice.core.labels import LabelSchema

ROW_HEIGHT = 22
MOST_ROWS = 7  # more scroll


class LabelChooser(QListWidget):
    """One row per label, and background last; the key that chooses it in front."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setToolTip("The label you paint with. Keys 1 to 9 choose by position, 0 is background (erases).")
        self.setUniformItemSizes(True)
        self.itemClicked.connect(self._on_clicked)
        self.itemActivated.connect(self._on_clicked)
        self._list(None)

    def show_schema(self, schema: LabelSchema | None) -> None:
        """List the labels of a study."""
        if schema != self._schema:
            self._list(schema)

    def _list(self, schema: LabelSchema | None) -> None:
        self._schema = schema
        self.clear()
        labels = schema.labels if schema else ()
        for position, label in enumerate(labels, 1):
            self._add(f"{position if position < 10 else ' '}   {label.name}", label.id, label.colour)
        if schema is not None:
            self._add("0   background (erase)", 0, "#000000")
        rows = min(max(self.count(), 2), MOST_ROWS)
        self.setFixedHeight(rows * ROW_HEIGHT + 2 * self.frameWidth() + 2)

    def show_chosen(self, label_id: int) -> None:
        """Mark the label that is selected on the layer."""
        for row in range(self.count()):
            item = self.item(row)
            if item is not None and item.data(Qt.ItemDataRole.UserRole) == label_id:
                self.setCurrentRow(row)

    def _add(self, text: str, label_id: int, colour: str) -> None:
        swatch = QPixmap(14, 14)
        swatch.fill(QColor(colour))
        icon = QIcon(swatch)
        icon.addPixmap(swatch, QIcon.Mode.Selected)  # else Qt tints the colour of the chosen label
        item = QListWidgetItem(icon, text)
        item.setData(Qt.ItemDataRole.UserRole, label_id)
        item.setSizeHint(item.sizeHint().expandedTo(self.sizeHint().scaled(1, ROW_HEIGHT, Qt.AspectRatioMode(0))))
        self.addItem(item)

    def _on_clicked(self, item: QListWidgetItem) -> None:
        self.chosen.emit(int(item.data(Qt.ItemDataRole.UserRole)))
