"""The model versions, which one is active, and the way back."""

from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_apprentice.gui.facts import Facts
from napari_apprentice.gui.panel import button
from napari_apprentice.session import ModelRow

ROW_HEIGHT = 20


class ModelList(QWidget):
    """Newest first; one can be made active."""

    activated = Signal(str)
    back_requested = Signal()
    details_requested = Signal(str)
    selected = Signal(object)
    """The model version under the cursor; None for none."""

    def __init__(self) -> None:
        super().__init__()
        self._study: Path | None = None
        self.list = QListWidget()
        self.list.setToolTip("Model versions, the newest first. The active one predicts; none is ever deleted.")
        self.list.setFixedHeight(4 * ROW_HEIGHT)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.activate = button("Activate", "Make the selected model version the active one.")
        self.back = button("Back", "Go back to the model version that was active before.")
        self.details = button("Details ...", "What the gate found, pictures, where it comes from, and a note.")
        self.activate.clicked.connect(self._on_activate)
        self.back.clicked.connect(self.back_requested)
        self.details.clicked.connect(self._on_details)
        self.list.currentItemChanged.connect(lambda item, _: self.selected.emit(_name(item)))
        self.list.currentItemChanged.connect(lambda item, _: self.activate.setEnabled(item is not None))
        self.activate.setEnabled(False)
        self.list.itemDoubleClicked.connect(lambda _: self._on_activate())
        buttons = QHBoxLayout()
        buttons.addWidget(self.activate)
        buttons.addWidget(self.back)
        buttons.addWidget(self.details)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self.list)
        box.addLayout(buttons)

    def show_models(self, facts: Facts) -> None:
        """List what a study has."""
        selected = _name(self.list.currentItem()) if facts.path == self._study else None
        self._study = facts.path
        self.list.clear()
        for model in reversed(facts.models):
            mark = "active" if model.active else ""
            parts = (model.name, mark, model.note or model.verdict)
            item = QListWidgetItem("   ".join(x for x in parts if x))
            item.setToolTip(_tip(model))
            item.setData(Qt.ItemDataRole.UserRole, model.name)
            self.list.addItem(item)
            if model.name == selected:  # what is shown is read anew whenever something changes
                self.list.setCurrentItem(item)
        self.back.setText(f"Back to {facts.previous}" if facts.previous else "Back")
        self.back.setEnabled(facts.previous is not None)
        self.details.setEnabled(bool(facts.models))

    def _on_activate(self) -> None:
        item = self.list.currentItem()
        if item is not None:
            self.activated.emit(str(item.data(Qt.ItemDataRole.UserRole)))

    def _on_details(self) -> None:
        name = _name(self.list.currentItem() or self.list.item(0))
        if name is not None:
            self.details_requested.emit(name)


def _tip(model: ModelRow) -> str:
    made = f", made {model.created}, from {model.parent or 'nothing'}" if model.created else ""
    lines = [f"{model.name}{made}. {model.verdict}"]
    if model.before is not None and model.after is not None:
        lines.append(f"Mean Dice on held-out corrections: {model.before:.3f} before, {model.after:.3f} with it.")
    lines += [f"The gate was overruled by {model.overruled}."] * bool(model.overruled)
    return "\n".join([*lines, *([f"Note: {model.note}"] if model.note else [])])


def _name(item: QListWidgetItem | None) -> str | None:
    return None if item is None else str(item.data(Qt.ItemDataRole.UserRole))
