"""What is under the mouse, in two lines of the panel."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QSizePolicy

from napari_apprentice.gui.cursor_reader import NOWHERE, CursorReader

TIP = (
    "Under the mouse: the place in the patient in mm (Right or Left, Anterior or Posterior, Superior or Inferior), "
    "the voxel in the source file's own order i, j, k, counted from 0, the values of the channels shown, and the label."
)


class CursorLine(QLabel):
    """Shows what a reader says; as high with one line as with two, so that nothing below it jumps."""

    def __init__(self, reader: CursorReader) -> None:
        super().__init__(NOWHERE)
        self.setToolTip(TIP)
        self.setTextFormat(Qt.TextFormat.PlainText)  # a label may be named anything
        self.setWordWrap(True)
        self.setMinimumHeight(self.fontMetrics().height() * 2 + 4)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        reader.said.connect(self.setText)
