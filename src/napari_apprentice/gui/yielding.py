"""Controls of the dock leave the keys to whoever works on the canvas, and the wheel to whoever scrolls the dock."""

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QWidget

from napari_apprentice.gui.label_chooser import LabelChooser


class Yielding(QObject):
    """Goes over the controls of a panel that was built.

    A button that has been clicked would hear the space bar that is held to move the view, and be pressed by it: a
    slice that nobody looked at is accepted. The list of labels would take the keys of labels and tools to search
    in it, and a number whose arrows were clicked those of labels. Choices and numbers would change under a wheel that
    is on its way down the dock. All of them can still be reached with the tab key.

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
            if isinstance(control, QComboBox | QAbstractSpinBox):
                control.installEventFilter(self)
            if isinstance(control, QAbstractSpinBox):
                control.editingFinished.connect(control.clearFocus)
                for text in control.findChildren(QLineEdit):
                    text.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Hand the wheel on to what the control lies in; who clicks on a number types it, until Return."""
        kind = event.type() if event is not None else None
        if isinstance(watched, QLineEdit):
            if kind == QEvent.Type.MouseButtonPress:
                watched.setFocus(Qt.FocusReason.MouseFocusReason)
            return False
        if event is None or kind != QEvent.Type.Wheel:
            return False
        event.ignore()
        return True
