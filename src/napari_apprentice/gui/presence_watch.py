"""Who else has which case open, asked again and again, and quietly: a share that hangs holds nobody up."""

from qtpy.QtCore import QObject, QTimer

from napari_apprentice.gui.bridge import Bridge
from napari_apprentice.gui.facts import FactsReader
from napari_apprentice.gui.work import Job, Runner
from napari_apprentice.session import Session

BEAT_MS = 20_000


class PresenceWatch(QObject):
    """Keeps the facts about other windows fresh, without reading the rest of the study.

    Parameters
    ----------
    session, runner, bridge, facts
        Whom it asks, where, who says that a case was opened, what is to be kept fresh.
    """

    def __init__(
        self, session: Session, runner: Runner, bridge: Bridge, facts: FactsReader, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._runner = runner
        self._facts = facts
        self._job: Job | None = None
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.look)
        self._timer.start(BEAT_MS)
        bridge.case_opened.connect(self.look)
        bridge.study_changed.connect(self._forget)

    def close(self) -> None:
        """Ask no more."""
        self._timer.stop()

    def look(self) -> None:
        """Ask now, unless an earlier question is still unanswered."""
        if self._job is not None or not self._session.has_study:
            return
        study = self._session.study.path
        job = self._job = self._runner.run("Seeing who is there", self._session.present, quiet=True)
        job.returned.connect(lambda present: self._facts.take_present(study, present))
        job.ended.connect(lambda: self._forget() if self._job is job else None)

    def _forget(self) -> None:
        self._job = None
