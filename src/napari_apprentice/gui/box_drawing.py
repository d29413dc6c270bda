"""A rectangle drawn on the slice becomes a box of voxels: as wide as drawn, and as many slices deep as asked for."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from napari.layers import Shapes
from qtpy.QtCore import QObject, QTimer, Signal

from napari_apprentice.core.correction import Box
from napari_apprentice.gui.layer_making import place_in
from napari_apprentice.gui.layers import CaseLayers

NAME = "Box to accept"
COLOUR = "#2ca02c"  # as what is accepted


class BoxDrawing(QObject):
    """Lets the person draw one rectangle on the open case.

    Parameters
    ----------
    viewer, layers
        The napari viewer; the open case in it.
    """

    drawn = Signal(object)
    """The box that was drawn, in voxels; it may reach outside the scan."""
    ended = Signal()
    """Nothing is being drawn any more."""

    def __init__(self, viewer: Any, layers: CaseLayers, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layers = layers
        self._shapes: Shapes | None = None
        self._depth = 1
        viewer.layers.events.removed.connect(self._on_removed)
        layers.previewed.connect(self.end)
        layers.shown.connect(self.end)

    @property
    def under_way(self) -> bool:
        """Whether a rectangle is to be drawn."""
        return self._shapes is not None

    def begin(self, depth: int) -> None:
        """Wait for a rectangle; the box will be `depth` slices deep, the one on the screen in the middle."""
        self.end()
        info = self._layers.info
        if info is None or self._layers.slice_shown() is None:
            return
        self._depth = depth
        shapes = Shapes(
            ndim=3, name=NAME, edge_color=COLOUR, face_color=COLOUR, edge_width=0, opacity=0.4, **place_in(info)
        )
        shapes.bind_key("Escape", lambda _: QTimer.singleShot(0, self.end), overwrite=True)
        self._shapes = shapes
        self._viewer.layers.append(shapes)
        self._viewer.layers.selection.active = shapes
        shapes.mode = "add_rectangle"
        shapes.mouse_drag_callbacks.append(self._on_drag)

    def end(self) -> None:
        """Draw nothing; the brush is in hand again."""
        shapes, self._shapes = self._shapes, None
        if shapes is None:
            return
        if shapes in self._viewer.layers:
            self._viewer.layers.remove(shapes)
        if self._layers.labels is not None and self._layers.labels in self._viewer.layers:
            self._viewer.layers.selection.active = self._layers.labels
        self.ended.emit()

    def close(self) -> None:
        """Hear no more of the viewer."""
        self.end()
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def _on_drag(self, _: Shapes, event: Any) -> Iterator[None]:
        yield
        while event.type == "mouse_move":
            yield
        QTimer.singleShot(0, self._finish)  # napari is not done with the rectangle yet

    def _finish(self) -> None:
        shapes, shown = self._shapes, self._layers.slice_shown()
        if shapes is None:
            return
        corners = np.asarray(shapes.data[-1]) if len(shapes.data) else None
        self.end()
        if corners is not None and shown is not None:
            self.drawn.emit(box_around(corners, *shown, self._depth))

    def _on_removed(self, event: Any) -> None:
        if self._shapes is not None and event.value is self._shapes:
            self.end()


def box_around(corners: Any, axis: int, index: int, depth: int) -> Box:
    """Every voxel that a rectangle touches, in `depth` slices around slice `index` across `axis`.

    Parameters
    ----------
    corners
        (4, 3) in voxels (z, y, x); whole numbers are the middles of voxels.
    """
    low, high = np.floor(np.min(corners, axis=0) + 0.5), np.floor(np.max(corners, axis=0) + 0.5)
    box = [slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True)]
    box[axis] = slice(index - (depth - 1) // 2, index + depth // 2 + 1)
    return box[0], box[1], box[2]
