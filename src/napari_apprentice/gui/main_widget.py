"""The one dock: once around the loop, from top to bottom."""

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, QTimer
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_apprentice.gui.correct_panel import CorrectPanel
from napari_apprentice.gui.desk import Desk
from napari_apprentice.gui.panel import Panel
from napari_apprentice.gui.predict_panel import PredictPanel
from napari_apprentice.gui.queue_panel import QueuePanel
from napari_apprentice.gui.section import Section
from napari_apprentice.gui.study_panel import StudyPanel
from napari_apprentice.gui.tune_panel import TunePanel

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_apprentice.session import Session

WIDTH = 400
SETTLE_MS = 50  # until a widget that was just shown has its place


class ApprenticeWidget(Panel):
    """Makes one session and hands it to its panels.

    Parameters
    ----------
    napari_viewer
        The viewer it is docked in.
    desk
        Only for a caller that made one, such as a script with a session of its own.
    """

    def __init__(self, napari_viewer: "Viewer", desk: Desk | None = None) -> None:
        self._given_viewer = napari_viewer
        super().__init__(napari_viewer, desk)

    @property
    def session(self) -> "Session":
        """The session that all panels share."""
        return self.desk.session

    def _build(self) -> None:
        viewer, desk = self._given_viewer, self.desk
        self._box.setContentsMargins(0, 0, 0, 0)
        self.study_panel = StudyPanel(viewer, desk)
        self.predict_panel = PredictPanel(viewer, desk)
        self.correct_panel = CorrectPanel(viewer, desk)
        self.tune_panel = TunePanel(viewer, desk)
        self.queue_panel = QueuePanel(viewer, desk)
        self.sections = (
            Section("1  Study", self.study_panel, "The study and its cases."),
            Section("2  Predict", self.predict_panel, "Let the model version propose label maps."),
            Section("3  Correct", self.correct_panel, "Mend what is wrong, accept what is right."),
            Section("4  Fine-tune", self.tune_panel, "Let the model learn from the corrections."),
        )
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(2, 0, 2, 0)
        column.setSpacing(2)
        for section in self.sections:
            column.addWidget(section)
        column.addStretch()
        self.area = QScrollArea()
        self.area.setWidget(inside)
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self._target: QWidget = self.tune_panel
        self._scroll = QTimer(self)
        self._scroll.setSingleShot(True)
        self._scroll.setInterval(SETTLE_MS)
        self._scroll.timeout.connect(self._scroll_to_target)
        desk.models.training_began.connect(lambda *_: self._look_at(self.tune_panel.curves))
        desk.models.tuned.connect(lambda _: self._look_at(self.tune_panel.table, only_near=True))
        self._box.addWidget(self.area, 1)
        self._box.addWidget(self.queue_panel)

    def _look_at(self, widget: QWidget, only_near: bool = False) -> None:
        """Scroll to what has just appeared, once it has its place; or only where the curves are looked at."""
        if not only_near or not self.tune_panel.curves.visibleRegion().isEmpty():
            self._target = widget
            self._scroll.start()

    def _scroll_to_target(self) -> None:
        self.area.ensureWidgetVisible(self._target, 0, 8)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Wide enough that nothing is cut off."""
        return QSize(WIDTH, 820)
