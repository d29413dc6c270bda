"""Where the mouse is in the patient and in the source file, and what is there; two lines of text."""

from typing import Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_apprentice.core.records import CaseInfo
from napari_apprentice.gui.anatomy import file_index, patient_position
from napari_apprentice.gui.layers import CaseLayers
from napari_apprentice.session import Session

BEAT_MS = 30  # the mouse moves more often than anybody reads
NOWHERE = "Move the mouse over the scan to read its voxels."


class CursorReader(QObject):
    """Follows the mouse over the open case.

    Parameters
    ----------
    viewer, session, layers
        Whose mouse; whose case; its layers.
    """

    said = Signal(str)
    """What is under the mouse now."""

    def __init__(self, viewer: Any, session: Session, layers: CaseLayers, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._session = session
        self._layers = layers
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(BEAT_MS)
        self._timer.timeout.connect(lambda: self.said.emit(self.text()))
        self._view: tuple[int, ...] = ()  # order of axes in which the mouse was last seen
        self._events = (viewer.cursor.events.position, viewer.dims.events.point, viewer.dims.events.order)
        for event in self._events:
            event.connect(self._on_moved)
        for signal in (layers.shown, layers.redrawn):
            signal.connect(self._on_changed)
        # The cursor's own event also comes when axes change, with the place from before.
        viewer.mouse_move_callbacks.append(self._on_mouse)

    def close(self) -> None:
        """Hear no more of the viewer."""
        self._timer.stop()
        for event in self._events:
            event.disconnect(self._on_moved)
        self._viewer.mouse_move_callbacks.remove(self._on_mouse)

    def text(self) -> str:
        """Two lines about what is under the mouse."""
        info = self._layers.info
        if info is None or not self._layers.images or self._viewer.dims.ndisplay != 2:
            return NOWHERE
        if tuple(self._viewer.dims.order) != self._view:
            return NOWHERE  # another plane came under a mouse that rests: napari only says where it was before
        point = self._point()
        place = np.asarray(self._layers.images[0].world_to_data(point))
        voxel = np.round(place).astype(int)
        if ((voxel < 0) | (voxel >= info.shape)).any():
            return NOWHERE
        across = int(self._viewer.dims.not_displayed[-1]) - len(point) + 3
        place[across] = voxel[across]  # the slice itself, not where the slider was left between two
        i, j, k = file_index(info.geometry, voxel.tolist())
        here = f"{patient_position(info.geometry, place)}   voxel {i}, {j}, {k}"
        return f"{here}\n{'  '.join((*self._values(point), *self._label(info, voxel)))}"

    def _on_moved(self, _: Any = None) -> None:
        if not self._timer.isActive() and self._layers.info is not None:
            self._timer.start()

    def _on_changed(self) -> None:
        """Labels change under a mouse that rests, too: napari's own line reads them anew where the mouse moved."""
        if self._viewer.dims.ndisplay == 2:  # in 3D napari knows no direction to look along until the mouse has moved
            self._viewer.cursor.events.position(value=self._viewer.cursor.position)

    def _on_mouse(self, viewer: Any, _: Any) -> None:
        self._view = tuple(viewer.dims.order)
        self._on_moved()

    def _point(self) -> np.ndarray:
        """In the viewer's world: where the mouse is on the slice that is shown now."""
        point = np.array(self._viewer.dims.point)
        shown = list(self._viewer.dims.displayed)
        mouse = np.array(self._viewer.cursor.position)
        if len(mouse) == len(point):
            point[shown] = mouse[shown]
        return point

    def _values(self, point: np.ndarray) -> list[str]:
        found = []
        for name, layer in self._layers.by_channel:
            value = layer.get_value(point, world=True)  # from the slice that is drawn, so nothing is read for it
            value = value[1] if layer.multiscale and value is not None else value
            if value is not None:
                found.append(f"{name} {number(value)}")
        return found

    def _label(self, info: CaseInfo, voxel: np.ndarray) -> list[str]:
        case = self._session.case
        if case is None or case.info.case_id != info.case_id:
            return []  # it is still being read
        label = int(case.canvas.labels[tuple(voxel)])
        if not label:
            return ["no label"]
        schema = self._session.study.schema
        return [f"label {label} {schema.name(label)}" if label in schema.ids else f"label {label}"]


def number(value: Any) -> str:
    """A voxel's value, whole numbers in full."""
    if isinstance(value, np.floating | float):
        return f"{value:.5g}" if np.isfinite(value) else "not a number"
    return str(value)
