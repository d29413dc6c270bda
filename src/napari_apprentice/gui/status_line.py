"""One line that says what is happening, how far it is, and lets it be cancelled."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QProgressBar, QPushButton, QSizePolicy, QWidget

from napari_apprentice.core.progress import Progress
from napari_apprentice.gui.bridge import Bridge
from napari_apprentice.gui.colours import WORSE
from napari_apprentice.gui.work import Job, Runner


class StatusLine(QWidget):
    """Shows the newest job of a runner, else the last thing that was said.

    Parameters
    ----------
    runner, bridge
        Whose jobs and sentences; who else has something to say.
    """

    def __init__(self, runner: Runner, bridge: Bridge) -> None:
        super().__init__()
        self._runner = runner
        self._last = "Ready."
        self._loud = False
        self.text = QLabel(self._last)
        self.text.setWordWrap(True)
        self.text.setMinimumHeight(self.text.fontMetrics().height() * 2 + 4)
        self.text.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.text.setToolTip("What is happening, or what happened last.")
        self.bar = QProgressBar()
        self.bar.setToolTip("How far the work under way is.")
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop the work under way; what is finished is kept.")
        self.cancel.clicked.connect(self._on_cancel)
        grid = QGridLayout(self)
        grid.setContentsMargins(6, 2, 6, 2)
        grid.addWidget(self.text, 0, 0)
        grid.addWidget(self.cancel, 0, 1)
        grid.addWidget(self.bar, 1, 0, 1, 2)
        grid.setColumnStretch(0, 1)
        for widget in (self.bar, self.cancel):
            policy = widget.sizePolicy()
            policy.setRetainSizeWhenHidden(True)
            widget.setSizePolicy(policy)
        runner.changed.connect(self._update)
        runner.said.connect(self._say)
        runner.went_wrong.connect(self._complain)
        bridge.noticed.connect(self._say)
        self._update()

    def _say(self, text: str) -> None:
        self._last, self._loud = text, False
        self._update()

    def _complain(self, text: str) -> None:
        self._last, self._loud = text, True
        self._update()

    def _on_cancel(self) -> None:
        if self._runner.shown is not None:
            self._runner.shown.cancel()
            self._update()

    def _update(self) -> None:
        job = self._runner.shown
        self.bar.setVisible(job is not None)
        self.cancel.setVisible(job is not None and job.stops)
        if job is None:
            self._write(self._last, loud=self._loud)
            return
        self.cancel.setEnabled(not job.cancelling)
        self._write(job_text(job))
        total = job.last.total if job.last else 0
        self.bar.setRange(0, total)
        self.bar.setValue(job.last.done if job.last else 0)

    def _write(self, text: str, *, loud: bool = False) -> None:
        self.text.setText(text)
        style = f"color: {WORSE.on(self).name()}" if loud else ""
        if style != self.text.styleSheet():  # Qt lays the dock out anew for it, be it the same
            self.text.setStyleSheet(style)


def job_text(job: Job) -> str:
    """One line about a job under way."""
    if job.cancelling:
        return f"{job.title}: stopping as asked ..."
    if job.last is None:
        return f"{job.title}{job.waiting} ..."
    return f"{job.last.text}{time_left(job.last)}"


def time_left(progress: Progress) -> str:
    """Time left in words, with a comma before it; empty when not known."""
    if progress.seconds_left is None:
        return ""
    seconds = round(progress.seconds_left)
    if seconds < 60:
        return f", {seconds} s left"
    return f", {seconds // 60} min left" if seconds < 5400 else f", {seconds / 3600:.1f} h left"
