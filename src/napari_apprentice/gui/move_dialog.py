"""Put a subject on the other side of the split: rarely right, so it asks why."""

from qtpy.QtWidgets import QDialog, QDialogButtonBox, QLineEdit, QVBoxLayout, QWidget

from napari_apprentice.gui.controls import button, note
from napari_apprentice.store.split import TRAIN, VALIDATION

_TEXTS = {
    VALIDATION: (
        "{0} will be held out: new model versions are measured on it and do not learn from it. Those that have learned "
        "from it, and what is tuned from them, are not measured on it."
    ),
    TRAIN: "New model versions will learn from {0} and are no longer measured on it.",
}


class MoveDialog(QDialog):
    """Says what follows, and takes a reason.

    Parameters
    ----------
    subject, side
        Who is to be moved, and to which side.
    """

    def __init__(self, subject: str, side: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Move subject {subject} to the {side} side")
        self.why = QLineEdit()
        self.why.setToolTip("Kept with the split, with your name and the time.")
        self.why.setPlaceholderText("Why")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.move_it = button("Move", "Write the move into the split, for good.")
        self.move_it.setEnabled(False)
        buttons.addButton(self.move_it, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        self.why.textChanged.connect(lambda text: self.move_it.setEnabled(bool(text.strip())))
        box = QVBoxLayout(self)
        text = note(_TEXTS[side].format(f"Subject {subject}"))
        text.setMinimumWidth(420)
        for widget in (text, self.why, buttons):
            box.addWidget(widget)
