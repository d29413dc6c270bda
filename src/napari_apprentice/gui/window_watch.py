"""What happens to napari's window: Ctrl+S is pressed while a case is open, or the window closes."""

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QEvent, QObject, QTimer, Signal
from qtpy.QtGui import QKeyEvent, QKeySequence
from qtpy.QtWidgets import QWidget


class WindowWatch(QObject):
    """Catches Ctrl+S on its way to napari's menu; while no case is open the key stays napari's own.

    Parameters
    ----------
    window
        napari's window.
    wants_save
        Whether a case is open, so that the key is ours.
    may_close
        Whether the window may close; it tells the person why not.
    """

    save_pressed = Signal()
    closed = Signal()

    def __init__(
        self, window: Any, wants_save: Callable[[], bool], may_close: Callable[[], bool], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._wants_save = wants_save
        self._may_close = may_close
        # There is no public way to the window's Qt object, and a menu's shortcut cannot be outbid:
        # two shortcuts with the same keys make Qt do neither.
        self._target: QWidget | None = window._qt_window
        self._target.installEventFilter(self)
        self._target.destroyed.connect(self._forget)

    def close(self) -> None:
        """Watch no more."""
        if self._target is not None:
            self._target.removeEventFilter(self)
            self._target = None

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802, ARG002 - Qt's name
        """Take the key at the override that Qt offers before it tries shortcuts."""
        if event is not None and event.type() == QEvent.Type.Close:
            if not self._may_close():
                event.ignore()
                return True
            QTimer.singleShot(0, self._after_close)  # a person may still say no
        if not isinstance(event, QKeyEvent) or not self._is_save(event):
            return False
        event.accept()
        if not event.isAutoRepeat():
            self.save_pressed.emit()
        return True

    def _is_save(self, event: QKeyEvent) -> bool:
        offered = event.type() == QEvent.Type.ShortcutOverride
        return offered and event.matches(QKeySequence.StandardKey.Save) and self._wants_save()

    def _after_close(self) -> None:
        if self._target is None or not self._target.isVisible():
            self.closed.emit()

    def _forget(self) -> None:
        self._target = None
