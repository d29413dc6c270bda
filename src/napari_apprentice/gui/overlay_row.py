"""What can be laid over a case: uncertainty, status, the prediction itself, the patient's sides."""

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from napari_apprentice.gui.desk import Desk


class OverlayRow(QWidget):
    """Check boxes, and a list of model versions where several predicted the case.

    Parameters
    ----------
    desk
        Whose layers they show and hide.
    """

    def __init__(self, desk: "Desk") -> None:
        super().__init__()
        self._desk = desk
        self.uncertainty = _check("Uncertainty", "Show where the model version was unsure, as a bright overlay.")
        self.status = _check("Status", "Show what is accepted (green) and edited (orange); unseen is clear.")
        self.prediction = _check(
            "Prediction",
            "Show the outlines of what the model version itself says, also where you corrected it.",
        )
        self.letters = _check(
            "Letters",
            "Show at the edges of the canvas which side of the patient is there: R right, L left, A anterior, "
            "P posterior, S superior, I inferior; two letters where the scan is oblique.",
        )
        self.letters.setChecked(desk.letters.wanted)
        self.model = QComboBox()
        self.model.setToolTip("The model version whose prediction is shown.")
        row = QHBoxLayout()
        for box in (self.uncertainty, self.status, self.prediction, self.letters):
            row.addWidget(box)
        row.addStretch()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.model)
        self._connect()
        self._show_predictions()

    def show_case(self) -> None:
        """Show over the case on the screen what is checked."""
        layers = self._desk.layers
        for box, layer in ((self.uncertainty, layers.uncertainty), (self.status, layers.status)):
            box.setEnabled(layer is not None)
            layers.show_overlay(layer, box.isChecked())

    def _connect(self) -> None:
        layers, letters, raw = self._desk.layers, self._desk.letters, self._desk.raw
        self.uncertainty.toggled.connect(lambda on: layers.show_overlay(layers.uncertainty, on))
        self.status.toggled.connect(lambda on: layers.show_overlay(layers.status, on))
        self.prediction.toggled.connect(raw.want)
        self.letters.toggled.connect(letters.show_letters)
        letters.changed.connect(self.letters.setChecked)
        self.model.activated.connect(lambda index: raw.choose(str(self.model.itemData(index))))
        raw.changed.connect(self._show_predictions)

    def _show_predictions(self) -> None:
        raw = self._desk.raw
        self.prediction.setEnabled(bool(raw.offered))
        self.prediction.setChecked(raw.wanted)
        self.model.clear()
        for name in raw.offered:
            self.model.addItem(f"Prediction by {name}", name)
        self.model.setCurrentIndex(raw.offered.index(raw.chosen) if raw.chosen in raw.offered else -1)
        self.model.setVisible(raw.wanted and len(raw.offered) > 1)


def _check(text: str, tip: str) -> QCheckBox:
    made = QCheckBox(text)
    made.setToolTip(tip)
    return made
