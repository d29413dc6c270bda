"""What every panel is: a widget that shares its viewer's desk and asks through it."""

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_apprentice.gui.controls import button as button
from napari_apprentice.gui.controls import menu_button as menu_button
from napari_apprentice.gui.controls import note as note
from napari_apprentice.gui.desk import Desk, desk_for
from napari_apprentice.gui.status_line import StatusLine
from napari_apprentice.gui.yielding import Yielding

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
        Yielding(self)
        self.desk.join(self)

    def _build(self) -> None:
        """Fill `_box` and connect; each panel's own."""
        raise NotImplementedError

    def event(self, event: QEvent | None) -> bool:
        """Notice when napari takes the panel out of its window: somebody may keep the widget, but it is done."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parentWidget() is not None:
                self._docked = True
            elif self._docked:
                for panel in (self, *self.findChildren(Panel)):
                    self.desk.leave(panel)
        return bool(super().event(event))
