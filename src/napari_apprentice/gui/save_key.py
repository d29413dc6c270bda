"""Ctrl+S saves corrections while a case is open; otherwise it stays napari's own."""

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QEvent, QObject, Signal
from qtpy.QtGui import QKeyEvent, QKeySequence
from qtpy.QtWidgets import QWidget


class SaveKey(QObject):
    """Catches Ctrl+S on its way to napari's menu.

    Parameters
    ----------
    window
        napari's window.
    wanted
        Whether a case is open, so that the key is ours.
    """

    pressed = Signal()

    def __init__(self, window: Any, wanted: Callable[[], bool], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._wanted = wanted
        # There is no public way to the window's Qt object, and a menu's shortcut cannot be outbid:
        # two shortcuts with the same keys make Qt do neither.
        self._target: QWidget | None = window._qt_window
        self._target.installEventFilter(self)
        self._target.destroyed.connect(self._forget)

    def close(self) -> None:
        """Leave the key to napari again."""
        if self._target is not None:
            self._target.removeEventFilter(self)
            self._target = None

    def _forget(self) -> None:
        self._target = None

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802, ARG002 - Qt's name
        """Accept the override that Qt offers before it tries shortcuts."""
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.ShortcutOverride
            and event.matches(QKeySequence.StandardKey.Save)
            and self._wanted()
        ):
            event.accept()
            if not event.isAutoRepeat():
                self.pressed.emit()
            return True
        return False
