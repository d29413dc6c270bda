"""The few controls that panels and dialogs are made of, each with its tooltip."""

from qtpy.QtWidgets import QLabel, QMenu, QPushButton, QSizePolicy


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
    made = QLabel(text)
    made.setWordWrap(True)
    made.setToolTip(tip)
    made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return made
