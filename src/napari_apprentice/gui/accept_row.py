"""Accept: a slice, a box or the scan."""

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QSpinBox, QWidget

from napari_apprentice.gui.controls import button

if TYPE_CHECKING:
    from napari_apprentice.gui.desk import Desk

DEEPEST = 999


class AcceptRow(QWidget):
    """Three buttons, and how many slices deep a box is.

    Parameters
    ----------
    desk
        Where boxes are drawn.
    """

    box_requested = Signal(int)
    """A rectangle is to be drawn, for a box of so many slices."""
    box_ended = Signal()
    """It is not to be drawn after all."""

    def __init__(self, desk: "Desk") -> None:
        super().__init__()
        self.slice = button("Accept slice", "All that is not edited in this slice is right as it is.")
        self.box = button(
            "Accept box",
            "Press, then draw a rectangle on the slice: all that is not edited in it, and as many slices deep as the "
            "number beside says, is right as it is. Escape ends it.",
        )
        self.box.setCheckable(True)
        self.slices = QSpinBox()
        self.slices.setRange(1, DEEPEST)
        self.slices.setValue(5)
        self.slices.setToolTip("How many slices deep a box is; the slice on the screen is in its middle.")
        self.scan = button("Accept scan", "All that is not edited in the scan is right as it is.")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for widget in (self.slice, self.box, self.slices, self.scan):
            row.addWidget(widget)
        self.box.clicked.connect(self._on_box)
        desk.box.ended.connect(lambda: self.box.setChecked(False))

    def _on_box(self, on: bool) -> None:
        if on:
            self.box_requested.emit(self.slices.value())
        else:
            self.box_ended.emit()
