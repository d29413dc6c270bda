"""Controls of the dock leave the keys to whoever works on the canvas, and the wheel to whoever scrolls the dock."""

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QListWidget,
    QTableView,
    QWidget,
)

from napari_apprentice.gui.label_chooser import LabelChooser


class Yielding(QObject):
    """Goes over the controls of a panel that was built.

    A button that has been clicked would hear the space bar that is held to move the view, and be pressed by it: a
    slice that nobody looked at is accepted. The list of labels would take the keys of labels and tools to search
    in it, and a number whose arrows were clicked those of labels. Choices and numbers would change under a wheel that
    is on its way down the dock. All of them can still be reached with the tab key. Tables and lists that were clicked
    keep the arrows and Return, and hand on what would be typed to search in them; one whose cells are written by typing
    keeps that.

    Parameters
    ----------
    panel
        Whose controls.
    """

    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        for control in panel.findChildren(QWidget):
            if isinstance(control, QAbstractButton | QComboBox | QAbstractSpinBox | LabelChooser):
                control.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            if isinstance(control, QComboBox | QAbstractSpinBox | QTableView | QListWidget):
                control.installEventFilter(self)
            if isinstance(control, QAbstractSpinBox):
                control.editingFinished.connect(control.clearFocus)
                for text in control.findChildren(QLineEdit):
                    text.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Hand wheel and keys on to what the control lies in; who clicks on a number types it, until Return."""
        kind = event.type() if event is not None else None
        if isinstance(watched, QTableView | QListWidget):
            if kind != QEvent.Type.KeyPress or not isinstance(event, QKeyEvent) or not _is_typed(event):
                return False
            if watched.editTriggers() & QAbstractItemView.EditTrigger.AnyKeyPressed:
                return False
            event.ignore()
            return True
        if isinstance(watched, QLineEdit):
            if kind == QEvent.Type.MouseButtonPress:
                watched.setFocus(Qt.FocusReason.MouseFocusReason)
            return False
        if event is None or kind != QEvent.Type.Wheel:
            return False
        event.ignore()
        return True


def _is_typed(event: QKeyEvent) -> bool:
    """Whether a key writes something, the space bar too; arrows, Return and keys held with Ctrl do not."""
    held = event.modifiers() & ~(Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.KeypadModifier)
    return not held and bool(event.text()) and event.text().isprintable()
