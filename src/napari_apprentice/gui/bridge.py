"""The session's facts as Qt signals, so that a widget that is gone hears no more of them."""

from psygnal import EmitLoopError, emit_queued
from qtpy.QtCore import QObject, QTimer, Signal

from napari_apprentice.core.correction import Box
from napari_apprentice.session import Session

BEAT_MS = 40


class Bridge(QObject):
    """Listens to a session, also to what it says from other threads, and repeats it in the GUI thread.

    Parameters
    ----------
    session
        Who is listened to.
    """

    study_changed = Signal()
    cases_changed = Signal()
    case_opened = Signal()
    canvas_changed = Signal(object)
    saved = Signal(str)
    conflicted = Signal(object)
    models_changed = Signal()
    noticed = Signal(str)
    went_wrong = Signal(object)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        events = session.events
        events.study_changed.connect(self._on_study, thread="main")
        events.cases_changed.connect(self._on_cases, thread="main")
        events.case_opened.connect(self._on_case, thread="main")
        events.canvas_changed.connect(self._on_canvas, thread="main")
        events.saved.connect(self._on_saved, thread="main")
        events.conflicted.connect(self._on_conflicted, thread="main")
        events.models_changed.connect(self._on_models, thread="main")
        events.noticed.connect(self._on_noticed, thread="main")
        events.went_wrong.connect(self._on_went_wrong, thread="main")
        self._timer = QTimer(self)
        self._timer.timeout.connect(_hear)
        self._timer.start(BEAT_MS)

    def close(self) -> None:
        """Hear no more."""
        self._timer.stop()
        events = self._session.events
        events.study_changed.disconnect(self._on_study)
        events.cases_changed.disconnect(self._on_cases)
        events.case_opened.disconnect(self._on_case)
        events.canvas_changed.disconnect(self._on_canvas)
        events.saved.disconnect(self._on_saved)
        events.conflicted.disconnect(self._on_conflicted)
        events.models_changed.disconnect(self._on_models)
        events.noticed.disconnect(self._on_noticed)
        events.went_wrong.disconnect(self._on_went_wrong)

    def _on_study(self) -> None:
        self.study_changed.emit()

    def _on_cases(self) -> None:
        self.cases_changed.emit()

    def _on_case(self) -> None:
        self.case_opened.emit()

    def _on_canvas(self, box: Box) -> None:
        self.canvas_changed.emit(box)

    def _on_saved(self, name: str) -> None:
        self.saved.emit(name)

    def _on_conflicted(self, theirs: object) -> None:
        self.conflicted.emit(theirs)

    def _on_models(self) -> None:
        self.models_changed.emit()

    def _on_noticed(self, text: str) -> None:
        self.noticed.emit(text)

    def _on_went_wrong(self, error: Exception) -> None:
        self.went_wrong.emit(error)


def _hear() -> None:
    """Pass on what other threads said."""
    try:
        emit_queued()
    except EmitLoopError as error:
        # Said from a thread to a window that was closed before it could hear: there is nobody left to tell.
        # What else was said waits for the next beat.
        if not isinstance(error.__cause__, ReferenceError):
            raise
