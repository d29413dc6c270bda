"""The docks below the canvas, which come when they are asked for."""

from collections.abc import Callable
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QObject, Qt
from qtpy.QtWidgets import QWidget


class SideDocks(QObject):
    """Opens each kind of panel at most once, at the bottom of the window.

    Parameters
    ----------
    viewer
        The napari viewer.
    """

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._panels: dict[str, QWidget] = {}

    def open(self, name: str, make: Callable[[], QWidget]) -> QWidget:
        """Show the panel of a name and bring it to the front; `make` a new one where the last was closed."""
        panel = self._panels.get(name)
        if panel is not None and isalive(panel):  # type: ignore[no-untyped-call]
            dock = panel.parentWidget()
            if dock is not None:
                dock.show()
                dock.raise_()
                return panel
            panel.deleteLater()  # napari keeps what it takes out of the window
        # The docks at the sides keep their height: one goes on using them.
        window = self._viewer.window._qt_window
        window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
        panel = self._panels[name] = make()
        self._viewer.window.add_dock_widget(panel, name=name, area="bottom", tabify=bool(self._others(panel)))
        return panel

    def close(self, name: str) -> None:
        """Take a panel out of the window."""
        panel = self._panels.pop(name, None)
        if panel is not None and isalive(panel):  # type: ignore[no-untyped-call]
            if panel.parentWidget() is not None:
                self._viewer.window.remove_dock_widget(panel)
            panel.deleteLater()

    def _others(self, panel: QWidget) -> list[QWidget]:
        alive = (p for p in self._panels.values() if p is not panel and isalive(p))  # type: ignore[no-untyped-call]
        return [p for p in alive if p.parentWidget() is not None]
