"""Letters at the edges of the canvas: which side of the patient is where."""

from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import QLabel

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.gui.anatomy import edge_letters
from napari_apprentice.gui.bridge import Bridge
from napari_apprentice.gui.layers import CaseLayers

MARGIN = 6
STYLE = "color: #ffd75e; background: rgba(0, 0, 0, 110); border-radius: 3px; padding: 0 4px; font: bold 15px;"


class OrientationLetters(QObject):
    """Four small labels over the canvas, which the mouse passes through; gone in 3D and while no case is open.

    Parameters
    ----------
    viewer
        The napari viewer.
    bridge, layers
        Who says that another case is open, or none; where it is shown.
    """

    changed = Signal(bool)
    """They were switched on or off."""

    def __init__(self, viewer: Any, bridge: Bridge, layers: CaseLayers, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        # Where napari has them since 0.9, and before.
        self._camera = getattr(viewer, "scene", viewer).camera
        self._grid = getattr(viewer, "canvas", viewer).grid
        self._layers = layers
        self.wanted = True
        # napari offers no public way to its canvas, and its own overlays hold one text each.
        self._canvas: Any = viewer.window._qt_viewer.canvas.native
        self.labels = tuple(self._label(side) for side in ("top", "bottom", "left", "right"))
        self._canvas.installEventFilter(self)
        self._canvas.destroyed.connect(self._forget)
        self._events = (
            viewer.dims.events.order, viewer.dims.events.ndisplay, viewer.dims.events.ndim,
            self._camera.events.orientation, self._grid.events.enabled,
        )  # fmt: skip
        for event in self._events:
            event.connect(self._update)
        for signal in (layers.shown, layers.previewed, bridge.case_opened):
            signal.connect(self._update)

    @property
    def texts(self) -> tuple[str, ...]:
        """What is on the screen at the top, bottom, left and right; "" where there is nothing."""
        return tuple("" if x.isHidden() else x.text() for x in self.labels)

    def show_letters(self, wanted: bool) -> None:
        """Switch them on or off."""
        if wanted != self.wanted:
            self.wanted = wanted
            self._update()
            self.changed.emit(wanted)

    def close(self) -> None:
        """Take them away and hear no more of the viewer."""
        for event in self._events:
            event.disconnect(self._update)
        if self._canvas is not None:
            self._canvas.removeEventFilter(self)
            for label in self.labels:
                label.hide()
                label.deleteLater()
            self._forget()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802, ARG002 - Qt's name
        """Follow the canvas's size."""
        if event is not None and event.type() == QEvent.Type.Resize:
            self._place()
        return False

    def _label(self, side: str) -> QLabel:
        label = QLabel(self._canvas)
        label.setObjectName(f"apprentice-letters-{side}")
        label.setStyleSheet(STYLE)
        label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        label.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        label.hide()
        return label

    def _update(self, _: Any = None) -> None:
        if self._canvas is None:
            return
        geometry = self._shown()
        if geometry is None:
            for label in self.labels:
                label.hide()
            return
        extra = self._viewer.dims.ndim - 3
        row, column = (int(a) - extra for a in self._viewer.dims.displayed)
        _, vertical, horizontal = (str(getattr(o, "value", o)) for o in self._camera.orientation)
        for label, text in zip(self.labels, edge_letters(geometry, (row, column), vertical, horizontal), strict=True):
            label.setText(text)
            label.adjustSize()
            label.show()
        self._place()

    def _shown(self) -> Geometry | None:
        info, dims = self._layers.info, self._viewer.dims
        if info is None or not (self.wanted and self._layers.images) or dims.ndisplay != 2 or self._grid.enabled:
            return None
        return info.geometry if min(dims.displayed) >= dims.ndim - 3 else None

    def _place(self) -> None:
        width, height = self._canvas.width(), self._canvas.height()
        top, bottom, left, right = self.labels
        top.move((width - top.width()) // 2, MARGIN)
        bottom.move((width - bottom.width()) // 2, height - bottom.height() - MARGIN)
        left.move(MARGIN, (height - left.height()) // 2)
        right.move(width - right.width() - MARGIN, (height - right.height()) // 2)

    def _forget(self) -> None:
        self._canvas = None
