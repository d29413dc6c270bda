"""The head is up in coronal and sagittal views, as every reading room has it."""

from typing import Any

from qtpy.QtCore import QObject

from napari_apprentice.gui.bridge import Bridge
from napari_apprentice.gui.layers import CaseLayers


class Upright(QObject):
    """Turns the canvas's vertical axis up while it shows z (Inferior to Superior), and down again otherwise.

    It only does so when another axis comes to lie vertically, so that a person may still turn it over.

    Parameters
    ----------
    viewer
        The napari viewer.
    bridge, layers
        Who says that no case is open any more; where one is shown.
    """

    def __init__(self, viewer: Any, bridge: Bridge, layers: CaseLayers, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._camera = getattr(viewer, "scene", viewer).camera  # where napari has it since 0.9, and before
        self._layers = layers
        self._up = False
        self._events = (viewer.dims.events.order, viewer.dims.events.ndisplay, viewer.dims.events.ndim)
        for event in self._events:
            event.connect(self._update)
        for signal in (layers.shown, layers.previewed, bridge.case_opened):
            signal.connect(self._update)

    def close(self) -> None:
        """Hear no more of the viewer."""
        for event in self._events:
            event.disconnect(self._update)
        self._turn(False)

    def _update(self) -> None:
        dims = self._viewer.dims
        flat = bool(self._layers.images) and dims.ndisplay == 2
        self._turn(flat and dims.displayed[0] == dims.ndim - 3)

    def _turn(self, up: bool) -> None:
        if up == self._up:
            return
        self._up = up
        depth, _, horizontal = (getattr(o, "value", o) for o in self._camera.orientation)
        self._camera.orientation = (depth, "up" if up else "down", horizontal)
