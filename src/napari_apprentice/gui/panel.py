"""What every panel is: a widget that shares its viewer's desk and asks through it."""

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QLabel, QMenu, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_apprentice.gui.desk import Desk, desk_for
from napari_apprentice.gui.status_line import StatusLine

if TYPE_CHECKING:
    from napari.viewer import Viewer


class Panel(QWidget):
    """Base of the panels.

    Parameters
    ----------
    napari_viewer
        The viewer it is docked in.
    desk
        Given by the main widget; a panel opened alone finds or makes its viewer's desk, and brings a
        status line of its own.
    """

    def __init__(self, napari_viewer: "Viewer", desk: Desk | None = None) -> None:
        super().__init__()
        self.desk = desk or desk_for(napari_viewer)
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(6, 4, 6, 6)
        self._box.setSpacing(6)
        self._docked = False
        self._build()
        if desk is None:  # alone, or the main widget
            self._box.addWidget(StatusLine(self.desk.runner, self.desk.bridge))
        self.desk.join(self)

    def _build(self) -> None:
        """Fill `_box` and connect; each panel's own."""
        raise NotImplementedError

    def event(self, event: QEvent | None) -> bool:
        """Notice when napari takes the panel out of its window: napari keeps the widget, but it is done."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parentWidget() is not None:
                self._docked = True
            elif self._docked:
                self.desk.leave(id(self))
        return bool(super().event(event))


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
