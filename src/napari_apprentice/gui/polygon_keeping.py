"""A polygon that is being drawn stays with what is on the screen: napari paints it where its first corner was."""

from typing import Any

from qtpy.QtCore import QObject

from napari_apprentice.gui.layers import CaseLayers


class PolygonKeeping(QObject):
    """Takes the corners of a polygon along to another slice, and drops them where another plane is looked at.

    napari draws them over whatever is shown, and would paint in a slice that is not.

    Parameters
    ----------
    viewer, layers
        Whose slices; whose Corrections layer.
    """

    def __init__(self, viewer: Any, layers: CaseLayers, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._layers = layers
        self._dims = viewer.dims.events
        self._dims.point.connect(self._on_slice)
        self._dims.order.connect(self._on_plane)
        self._dims.ndisplay.connect(self._on_plane)

    def close(self) -> None:
        """Hear no more of the viewer."""
        self._dims.point.disconnect(self._on_slice)
        self._dims.order.disconnect(self._on_plane)
        self._dims.ndisplay.disconnect(self._on_plane)

    def _on_slice(self) -> None:
        shown = self._layers.slice_shown()
        polygon = self._polygon
        if shown is not None and polygon is not None and polygon.points:
            axis, index = shown
            polygon.points = [[*p[:axis], float(index), *p[axis + 1 :]] for p in polygon.points]

    def _on_plane(self) -> None:
        polygon = self._polygon
        if polygon is not None and polygon.points:
            polygon.points = []

    @property
    def _polygon(self) -> Any:
        return None if self._layers.labels is None else self._layers.labels._overlays["polygon"]
