"""Live curves of a training run: loss, and Dice on held-out scans."""

import pyqtgraph
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_apprentice.core.progress import Progress

MOST_POINTS = 1000  # then every second one is dropped; a curve is never denser than its pixels
LOSS, DICE = "#e69f00", "#56b4e9"


class Curves(QWidget):
    """Two small plots side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(130)
        self.setToolTip("Training loss (left) and mean Dice on held-out scans (right) over the steps.")
        self._loss: list[tuple[float, float]] = []
        self._dice: list[tuple[float, float]] = []
        box = QHBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(2)
        self._loss_line = self._plot(box, "Loss", LOSS, None)
        self._dice_line = self._plot(box, "Validation Dice", DICE, "o")
        self._dice_line.getViewBox().setLimits(yMin=-0.02, yMax=1.02, minYRange=0.1)  # one point alone has no range

    def clear(self) -> None:
        """Begin anew."""
        self._loss, self._dice = [], []
        self._draw()

    def add(self, reports: tuple[Progress, ...]) -> None:
        """Append what a run reported since the last time; draws once."""
        for report in reports:
            if report.loss is not None:
                self._loss.append((report.done, report.loss))
            if report.dice is not None:
                self._dice.append((report.done, report.dice))
        if len(self._loss) > MOST_POINTS:
            self._loss = self._loss[::2]
        self._draw()

    @property
    def points(self) -> tuple[int, int]:
        """How many points the loss and the Dice curve have."""
        return len(self._loss), len(self._dice)

    def _draw(self) -> None:
        for line, points in ((self._loss_line, self._loss), (self._dice_line, self._dice)):
            line.setData([x for x, _ in points], [y for _, y in points])

    def _plot(self, box: QHBoxLayout, title: str, colour: str, symbol: str | None) -> pyqtgraph.PlotDataItem:
        plot = pyqtgraph.PlotWidget(background=None)
        plot.setTitle(title, size="9pt")
        plot.setMouseEnabled(x=False, y=False)
        plot.hideButtons()
        plot.setMenuEnabled(False)
        plot.showGrid(x=True, y=True, alpha=0.2)
        box.addWidget(plot)
        return plot.plot([], [], pen=pyqtgraph.mkPen(colour, width=2), symbol=symbol, symbolSize=5, symbolBrush=colour)
