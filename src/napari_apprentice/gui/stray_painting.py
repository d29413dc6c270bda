"""Painting on another layer than the Corrections, such as a copy of them, is kept nowhere; it is told once a layer."""

from typing import Any

from napari.layers import Labels
from qtpy.QtCore import QObject

from napari_apprentice.gui.layers import CaseLayers
from napari_apprentice.session import Session


class StrayPainting(QObject):
    """Listens to label layers that come from elsewhere.

    Parameters
    ----------
    viewer, session, layers
        The napari viewer; who tells the person; the open case in the viewer.
    """

    def __init__(self, viewer: Any, session: Session, layers: CaseLayers, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._session, self._layers = viewer, session, layers
        for layer in viewer.layers:
            self._listen(layer)
        viewer.layers.events.inserted.connect(self._on_inserted)

    def close(self) -> None:
        """Hear no more of the viewer."""
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        for layer in self._viewer.layers:
            if isinstance(layer, Labels):
                layer.events.paint.disconnect(self._on_paint)

    def _on_inserted(self, event: Any) -> None:
        self._listen(event.value)

    def _listen(self, layer: Any) -> None:
        if isinstance(layer, Labels) and layer is not self._layers.labels:
            layer.events.paint.connect(self._on_paint)

    def _on_paint(self, event: Any) -> None:
        layer = event.source
        if self._session.case is None or layer is self._layers.labels:
            return
        layer.events.paint.disconnect(self._on_paint)
        self._session.events.noticed.emit(
            f"Layer {layer.name} belongs to no case: what is painted on it is not saved with the corrections. "
            "Select the Corrections layer to go on."
        )
