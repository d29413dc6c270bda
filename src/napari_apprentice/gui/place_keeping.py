"""The layers of the open case stay over each other: one that was moved by hand is put back."""

from typing import Any

from qtpy.QtCore import QObject

from napari_apprentice.gui.layers import CaseLayers
from napari_apprentice.gui.placing import lies_at, move_to
from napari_apprentice.session import Session

PLACED_BY = ("scale", "translate", "rotate", "shear", "affine")


class PlaceKeeping(QObject):
    """Listens to the layers of the open case.

    Key 2 is the second label on the Corrections layer, but on a scan's it is napari's tool that moves a layer.

    Parameters
    ----------
    session, layers
        Who tells the person; the open case in the viewer.
    """

    def __init__(self, session: Session, layers: CaseLayers, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._layers = session, layers
        self._told = self._putting_back = False
        layers.previewed.connect(self._listen)
        layers.shown.connect(self._listen)

    def _listen(self) -> None:
        self._told = False
        for layer in self._layers.own:
            for name in PLACED_BY:
                getattr(layer.events, name).connect(self._on_moved)  # twice is once, for napari

    def _on_moved(self, event: Any) -> None:
        layer, info = event.source, self._layers.info
        if self._putting_back or self._layers.changing or info is None or lies_at(layer, info.geometry):
            return
        if not any(own is layer for own in self._layers.own):
            return
        self._putting_back = True
        try:
            move_to(layer, info.geometry)
        finally:
            self._putting_back = False
        if not self._told:
            self._told = True
            self._session.events.noticed.emit(
                f"Layer {layer.name} was put back: scan and labels of an open case lie over each other. "
                "To paint, select the Corrections layer."
            )
