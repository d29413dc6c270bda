"""The few controls that panels and dialogs are made of, each with its tooltip."""

from qtpy.QtWidgets import QLabel, QMenu, QPushButton, QSizePolicy

from napari_apprentice.gui.colours import WORSE


def button(text: str, tip: str) -> QPushButton:
    """A push button with its tooltip."""
    made = QPushButton(text)
    made.setToolTip(tip)
    return made


def menu_button(text: str, tip: str) -> tuple[QPushButton, QMenu]:
    """A push button that opens a menu, and the menu."""
    made = button(text, tip)
    menu = QMenu(made)
    menu.setToolTipsVisible(True)
    made.setMenu(menu)
    return made, menu


def note(text: str = "", tip: str = "") -> QLabel:
    """A line of text that wraps and never widens the dock."""
    return _wrapping(QLabel(text), tip)


class Complaint(QLabel):
    """A line in a dialog for what is wrong with what was entered; empty at first."""

    def __init__(self) -> None:
        super().__init__()
        _wrapping(self)

    def setText(self, text: str | None) -> None:  # noqa: N802 - Qt's name
        """Show a sentence, in the colour of what is wrong."""
        self.setStyleSheet(f"color: {WORSE.on(self.window() or self).name()}")
        super().setText(text)


def _wrapping(label: QLabel, tip: str = "") -> QLabel:
    label.setWordWrap(True)
    label.setToolTip(tip)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return label
