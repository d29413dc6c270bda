"""The model versions, which one is active, and the way back."""

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_apprentice.gui.facts import Facts
from napari_apprentice.gui.panel import button

ROW_HEIGHT = 20


class ModelList(QWidget):
    """Newest first; one can be made active."""

    activated = Signal(str)
    selected = Signal(object)
    """The model version under the cursor; None for none."""

    def __init__(self) -> None:
        super().__init__()
        self._previous: str | None = None
        self.list = QListWidget()
        self.list.setToolTip("Model versions, the newest first. The active one predicts; none is ever deleted.")
        self.list.setFixedHeight(4 * ROW_HEIGHT)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.activate = button("Activate", "Make the selected model version the active one.")
        self.back = button("Back", "Go back to the model version that was active before.")
        self.activate.clicked.connect(self._on_activate)
        self.back.clicked.connect(self._on_back)
        self.list.currentItemChanged.connect(lambda item, _: self.selected.emit(_name(item)))
        self.list.itemDoubleClicked.connect(lambda _: self._on_activate())
        buttons = QHBoxLayout()
        buttons.addWidget(self.activate)
        buttons.addWidget(self.back)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self.list)
        box.addLayout(buttons)

    def show_models(self, facts: Facts) -> None:
        """List what a study has."""
        self.list.clear()
        for model in reversed(facts.models):
            mark = "active" if model.active else ""
            item = QListWidgetItem("   ".join(x for x in (model.name, mark, model.verdict) if x))
            item.setToolTip(f"{model.name}, made {model.created}, from {model.parent or 'nothing'}. {model.verdict}")
            item.setData(Qt.ItemDataRole.UserRole, model.name)
            self.list.addItem(item)
        self._previous = facts.previous
        self.back.setText(f"Back to {facts.previous}" if facts.previous else "Back")
        self.back.setEnabled(facts.previous is not None)
        self.activate.setEnabled(bool(facts.models))

    def _on_activate(self) -> None:
        item = self.list.currentItem()
        if item is not None:
            self.activated.emit(str(item.data(Qt.ItemDataRole.UserRole)))

    def _on_back(self) -> None:
        if self._previous is not None:
            self.activated.emit(self._previous)


def _name(item: QListWidgetItem | None) -> str | None:
    return None if item is None else str(item.data(Qt.ItemDataRole.UserRole))
