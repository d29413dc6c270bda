"""Live curves of a training run: loss, and Dice on held-out scans."""

import pyqtgraph
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_apprentice.core.progress import Progress

MOST_POINTS = 1000  # then every second one is dropped; a curve is never denser than its pixels
DRAW_MS = 150
NONE = "none yet"
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
        self._plots: dict[pyqtgraph.PlotDataItem, tuple[pyqtgraph.PlotWidget, pyqtgraph.LabelItem]] = {}
        self._loss_line = self._plot(box, "Loss", LOSS, None)
        self._dice_line = self._plot(box, "Validation Dice", DICE, "o")
        self._dice_line.getViewBox().setLimits(yMin=-0.02, yMax=1.02, minYRange=0.1)  # one point alone has no range
        self._behind: list[pyqtgraph.PlotDataItem] = []  # curves with points that are not drawn yet
        self._timer = QTimer(self)
        self._timer.setInterval(DRAW_MS)
        self._timer.timeout.connect(self._draw)

    def clear(self) -> None:
        """Begin anew."""
        self._loss, self._dice = [], []
        self._later(self._loss_line)
        self._later(self._dice_line)

    def add(self, reports: tuple[Progress, ...]) -> None:
        """Append what a run reported since the last time; it is drawn soon."""
        losses = [(float(r.done), r.loss) for r in reports if r.loss is not None]
        dice = [(float(r.done), r.dice) for r in reports if r.dice is not None]
        if losses:
            self._loss.extend(losses)
            if len(self._loss) > MOST_POINTS:
                self._loss = self._loss[::2]
            self._later(self._loss_line)
        if dice:
            self._dice.extend(dice)
            self._later(self._dice_line)

    @property
    def points(self) -> tuple[int, int]:
        """How many points the loss and the Dice curve have."""
        return len(self._loss), len(self._dice)

    def _later(self, line: pyqtgraph.PlotDataItem) -> None:
        if line not in self._behind:
            self._behind.append(line)
        if not self._timer.isActive():
            self._timer.start()

    def _draw(self) -> None:
        """One curve at a time: to draw it takes 10 to 30 ms of the window's thread, most of them for the axes."""
        if not self._behind:
            self._timer.stop()
            return
        line = self._behind.pop(0)
        points = self._loss if line is self._loss_line else self._dice
        line.setData([x for x, _ in points], [y for _, y in points])
        seen = 2 if line is self._loss_line else 1  # one point alone makes no line, and only the Dice has dots
        self._say_where_empty(line, empty=len(points) < seen)
        if line is self._dice_line and points:  # one point alone has no range, and numbers would run into each other
            line.getViewBox().setXRange(0, max(10, points[-1][0]))

    def _plot(self, box: QHBoxLayout, title: str, colour: str, symbol: str | None) -> pyqtgraph.PlotDataItem:
        plot = pyqtgraph.PlotWidget(background=None)
        plot.setTitle(title, size="9pt")
        plot.setMouseEnabled(x=False, y=False)
        plot.hideButtons()
        plot.setMenuEnabled(False)
        plot.showGrid(x=True, y=True, alpha=0.2)
        for side, room in (("left", 44), ("bottom", 18)):  # else every longer number lays all of it out anew
            axis = plot.getAxis(side)
            axis.enableAutoSIPrefix(False)
            (axis.setWidth if side == "left" else axis.setHeight)(room)
        box.addWidget(plot)
        pen = pyqtgraph.mkPen(colour, width=2)
        line = plot.plot([], [], pen=pen, symbol=symbol, symbolSize=5, symbolBrush=colour)
        word = pyqtgraph.LabelItem(NONE, size="9pt")
        word.setParentItem(plot.getViewBox())
        word.anchor((0.5, 0.5), (0.5, 0.5))
        self._plots[line] = plot, word
        self._say_where_empty(line, empty=True)
        return line

    def _say_where_empty(self, line: pyqtgraph.PlotDataItem, *, empty: bool) -> None:
        """A word in place of the numbers at the axes, which without a point are pyqtgraph's own."""
        plot, word = self._plots[line]
        word.setVisible(empty)
        for side in ("left", "bottom"):
            plot.getAxis(side).setStyle(showValues=not empty)
