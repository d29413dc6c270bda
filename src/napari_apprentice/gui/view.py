"""Which part of a case the viewer looks at."""

from typing import Any

import numpy as np
from qtpy.QtWidgets import QAbstractSpinBox, QApplication, QLineEdit, QPlainTextEdit, QTextEdit


class View:
    """The camera and the sliders of a viewer, in voxels of a case's layers.

    Parameters
    ----------
    viewer
        The napari viewer.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer

    @property
    def point(self) -> tuple[float, ...]:
        """Where the sliders are, in the viewer's world."""
        return tuple(self._viewer.dims.point)

    def fit(self, layer: Any) -> None:
        """As napari's own reset, but to this layer only: what was shown before may still be there, elsewhere."""
        self._viewer.reset_view()
        dims = self._viewer.dims
        if layer is None or dims.ndisplay != 2:
            return
        shown = [axis - dims.ndim for axis in dims.displayed]
        low, high = (np.asarray(corner)[shown] for corner in layer.extent.world)
        canvas = np.array(self._viewer.window._qt_viewer.canvas.size)
        self._camera.center = (0.0, *((low + high) / 2))
        self._camera.zoom = 0.95 * float((canvas / np.maximum(high - low, 1e-6)).min())

    def look_at(self, layer: Any, index: int) -> None:
        """Go to slice `index` along z, and to the middle slices along y and x.

        Where the case before was looked at says nothing about this one: it may end in the air beside the patient.
        """
        if layer is not None:
            _, rows, columns = layer.data.shape if not layer.multiscale else layer.data[0].shape
            self._go(layer, (index, rows // 2, columns // 2))

    def take_keys(self) -> None:
        """Let the canvas have the keys, wherever somebody clicked before; not while somebody writes something."""
        if not isinstance(QApplication.focusWidget(), QLineEdit | QAbstractSpinBox | QTextEdit | QPlainTextEdit):
            self._viewer.window._qt_viewer.canvas.native.setFocus()

    def centre(self, layer: Any, voxel: tuple[int, int, int]) -> None:
        """Go to the slice of a voxel (z, y, x) and bring the voxel to the middle of the canvas; the zoom stays."""
        world = self._go(layer, voxel)
        dims = self._viewer.dims
        shown = [world[axis - dims.ndim] for axis in dims.displayed]
        self._camera.center = tuple([0.0] * (3 - len(shown)) + shown)

    def slice_shown(self, layer: Any) -> tuple[int, int] | None:
        """Axis and index of the slice of a layer that is on the screen; None in 3D view or without a layer."""
        dims = self._viewer.dims
        if layer is None or dims.ndisplay != 2:
            return None
        axis = int(dims.not_displayed[-1]) - (dims.ndim - 3)
        point = np.asarray(layer.world_to_data(dims.point))
        index = round(float(point[axis]))
        return axis, min(max(index, 0), layer.data.shape[axis] - 1)

    @property
    def _camera(self) -> Any:
        return getattr(self._viewer, "scene", self._viewer).camera  # where napari has it since 0.9, and before

    def _go(self, layer: Any, voxel: tuple[int, int, int]) -> tuple[float, float, float]:
        z, y, x = (float(v) for v in layer.data_to_world(voxel))
        extra = self._viewer.dims.ndim - 3
        self._viewer.dims.set_point([extra, extra + 1, extra + 2], (z, y, x))
        return z, y, x
