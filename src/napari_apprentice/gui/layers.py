"""The one adapter that touches layers: an open case as napari layers, and what is painted on them as strokes."""

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.records import CaseInfo
from napari_apprentice.gui.aside_layers import AsideLayers
from napari_apprentice.gui.layer_making import (
    label_colours,
    label_names,
    labels_layer,
    metadata_of_case,
    status_layer,
    uncertainty_layer,
)
from napari_apprentice.gui.painting import labels_around, painted_box
from napari_apprentice.gui.pictures import Pictures, Scan
from napari_apprentice.gui.placing import move_to
from napari_apprentice.gui.scan_layers import ScanLayers, same_place
from napari_apprentice.gui.view import View
from napari_apprentice.loop.opening import OpenCase

LOST_MS = 100
TOOLS = ("paint", "erase", "fill", "polygon")


class CaseLayers(QObject):
    """Shows one case in a viewer; holds its layers by reference, never by name.

    Parameters
    ----------
    viewer
        The napari viewer.
    redraw
        Draws the canvas at once.
    """

    painted = Signal(object, object, object, str)
    """A committed step: box, labels before, labels after, tool. napari writes it into the canvas, before or after."""
    undo_requested = Signal()
    redo_requested = Signal()
    label_chosen = Signal(int)
    """Another label is selected on the layer."""
    label_missed = Signal(int)
    """The key of a label was pressed that the study does not have."""
    shown = Signal()
    """A case is on the screen."""
    redrawn = Signal()
    """Labels or status of the case on the screen changed."""
    previewed = Signal()
    """The scan of a case is on the screen, its labels not yet."""
    lost = Signal()
    """The person deleted the Corrections layer, or one of the scan's."""
    replaced = Signal(object, object)
    """This `OpenCase`'s canvas is back in the Corrections layer, where something had put this array in its place."""

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.view = View(viewer)
        self.aside = AsideLayers(viewer)
        self._case: OpenCase | None = None
        self._schema: LabelSchema | None = None
        self.labels: Labels | None = None
        self.status: Labels | None = None
        self.uncertainty: Image | None = None
        self._scan = ScanLayers(viewer)
        self._seen: list[Any] = []  # layers that were visible before a preview hid them
        self._first_look: tuple[float, ...] = ()
        self._mode = "pan_zoom"
        self._chosen = 0  # the label last selected
        self._locked = False
        # A viewer that closes removes its layers too; a moment later there is nobody left to hear it.
        self._mourning = QTimer(self)
        self._mourning.setSingleShot(True)
        self._mourning.setInterval(LOST_MS)
        self._mourning.timeout.connect(self.lost)
        self._quiet = False  # true while this adapter itself changes layers
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Take the layers away and hear no more of the viewer."""
        self._mourning.stop()
        self.clear()
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def preview(self, scan: Scan) -> None:
        """Show the scan of a case whose labels are still being read; there is nothing to paint on meanwhile."""
        if not self._seen:
            self._seen = [x for x in (self.labels, self.status, self.uncertainty) if x is not None and x.visible]
        self.lock(True)
        for layer in self._seen:
            layer.visible = False
        self._show_scan(scan)
        self.view.fit(self._first_image)
        self.view.look_at(self._first_image, scan.start)
        self._first_look = self.view.point  # napari rounds it to the step of its slider
        self.view.take_keys()
        self.previewed.emit()

    def show(self, pictures: Pictures, schema: LabelSchema) -> None:
        """Show a case; the one shown before goes away, and a case shown anew keeps its view."""
        previewed = self._scan.scan is pictures.scan
        again = self._case is not None and self._case.info.case_id == pictures.case.info.case_id
        moved = previewed and self.view.point != self._first_look
        fits = self.labels is not None and self.status is not None and self._schema == schema
        self._case, self._schema = pictures.case, schema
        with same_place(self._viewer):
            self._show_scan(pictures.scan)
            if fits:
                self._exchange(pictures)
                if not again and self.labels is not None:
                    self.labels._overlays["polygon"].points = []  # corners clicked in the case before
            else:
                self._add_all(pictures, schema)
        self._scan.sharpen()
        if not again and not previewed:
            self.view.fit(self._first_image)
            self.view.take_keys()
        if not again and not moved:
            self.view.look_at(self._first_image, pictures.start)
        self.shown.emit()

    def show_schema(self, schema: LabelSchema) -> bool:
        """Show the labels of the open case under other names and colours.

        Returns
        -------
        False where the canvas cannot hold the highest id, so that the case has to be read anew.
        """
        layer = self.labels
        if layer is None or self._schema == schema:
            return True
        if max(schema.ids) > np.iinfo(layer.data.dtype).max:
            return False
        self._schema = schema
        layer.colormap, layer.features = label_colours(schema), label_names(schema)
        self._bind_keys(layer, schema)
        if layer.selected_label not in (0, *schema.ids):
            layer.selected_label = schema.ids[0]
        return True

    def scan_of(self, case_id: str) -> Scan | None:
        """The scan of a case as it is on the screen, so that it need not be read again; None for any other."""
        scan = self._scan.scan
        whole = scan is not None and scan.info.case_id == case_id and len(self._scan.images) == len(scan.channels)
        return scan if whole else None

    def clear(self) -> None:
        """Take this adapter's layers out of the viewer."""
        self._case = None
        self._remove([*self._scan.let_go(), *self._let_go()])

    def _let_go(self) -> list[Any]:
        """Forget the layers without removing them."""
        overlays = [self.uncertainty, self.status, self.labels]
        self.uncertainty, self.status, self.labels, self._seen = None, None, None, []
        self._locked = False
        return overlays

    def _remove(self, layers: list[Any]) -> None:
        # Else napari cleans up after each of them, for half a second.
        with self._viewer.layers.batched_update():
            for layer in layers:
                if layer is not None and layer in self._viewer.layers:
                    self._viewer.layers.remove(layer)

    def _show_scan(self, scan: Scan) -> None:
        self._quiet = True
        try:
            self._scan.show(scan)
        finally:
            self._quiet = False

    def _add_all(self, pictures: Pictures, schema: LabelSchema) -> None:
        old = self._let_go()
        self._show_uncertainty(pictures)
        self._add_labels(pictures.case, schema)
        self._remove(old)
        for layer in (self.labels, self.status, self.uncertainty):
            if layer is not None:
                layer.name = layer.name.partition(" [")[0]  # napari's number from while the old one was there

    def _exchange(self, pictures: Pictures) -> None:
        info, canvas = pictures.case.info, pictures.case.canvas
        self._quiet = True
        try:
            self._show_uncertainty(pictures)
            for labels, voxels in ((self.status, canvas.status), (self.labels, canvas.labels)):
                if labels is not None:
                    labels.data = voxels
                    move_to(labels, info.geometry)
                    labels.metadata = metadata_of_case(info)
                    labels._undo_history.clear()
            if self.status is not None:
                self.status.editable = False  # napari makes what gets other voxels editable
            for layer in self._seen:
                layer.visible = True
            self._seen = []
        finally:
            self._quiet = False
        self.lock(False)

    def refresh(self) -> None:
        """Draw labels and status anew after they changed in place."""
        for layer in (self.labels, self.status):
            if layer is not None and layer.visible:
                layer.refresh(extent=False)
        self.redrawn.emit()

    def refresh_status(self) -> None:
        """Draw the status anew, where it is shown; the labels were drawn by the paint tool itself."""
        if self.status is not None and self.status.visible:
            self.status.refresh(extent=False)
        self.redrawn.emit()

    def shows(self, start: int, stop: int) -> bool:
        """Whether slices `start` to `stop` - 1 along z are on the screen, or a part of them."""
        shown = self.slice_shown()
        return shown is None or shown[0] != 0 or start <= shown[1] < stop

    def z_shown(self) -> int | None:
        """The slice along z on the screen; None where all are, as in 3D and in other views."""
        shown = self.slice_shown()
        return shown[1] if shown is not None and shown[0] == 0 else None

    def fill_uncertainty(self, start: int, uncertainty: NDArray[np.uint8]) -> None:
        """Put a part of a newer uncertainty (slab, y, x) in place; `refresh_uncertainty` draws it."""
        if self.uncertainty is not None:
            self.uncertainty.data[start : start + len(uncertainty)] = uncertainty

    def show_uncertainty(self, uncertainty: NDArray[np.uint8]) -> None:
        """Make the uncertainty (z, y, x) of the open case a layer, where there was none."""
        if self._case is not None and self.uncertainty is None and self.labels is not None:
            self._add_uncertainty(uncertainty, self._case)

    def refresh_uncertainty(self) -> None:
        """Draw the uncertainty anew, where it is shown."""
        if self.uncertainty is not None and self.uncertainty.visible:
            self.uncertainty.refresh(extent=False)

    def show_overlay(self, layer: Image | Labels | None, visible: bool) -> None:
        """Show or hide the uncertainty or the status, where there is one."""
        if layer is not None and layer.visible != visible:
            layer.visible = visible

    @property
    def mid_stroke(self) -> bool:
        """Whether the mouse is drawing: what it drew so far is not reported by napari yet."""
        return self.labels is not None and bool(self.labels._staged_history)

    def keep_half_stroke(self) -> None:
        """Let what the mouse drew so far be a stroke: the window, or the study, goes before it is finished."""
        if self.labels is not None:
            self.labels._commit_staged_history()

    def take_back_corner(self) -> bool:
        """Take the last corner of a polygon that is being drawn back; False where none is drawn."""
        polygon: Any = None if self.labels is None else self.labels._overlays["polygon"]
        if polygon is None or not polygon.enabled or not polygon.points:
            return False
        *corners, mouse = polygon.points  # napari keeps the place of the mouse behind the corners
        polygon.points = [*corners[:-1], mouse] if len(corners) > 1 else []
        return True

    def lock(self, locked: bool) -> None:
        """Let nobody paint for a while; afterwards the tool is the one from before."""
        layer = self.labels
        if layer is None or self._locked == locked:
            return
        self._locked = locked  # napari makes a layer that gets other voxels editable by itself, with no tool in hand
        if locked:
            self._mode = str(layer.mode)
            layer.editable = False
        else:
            layer.editable = True
            layer.mode = self._mode

    def choose(self, label_id: int) -> None:
        """Select a label for painting; from looking, picking or erasing, the brush is taken up."""
        if self.labels is None:
            return
        self.labels.selected_label = label_id
        if self.labels.mode in ("pan_zoom", "pick", "erase", "transform"):
            self.labels.mode = "paint"

    def slice_shown(self) -> tuple[int, int] | None:
        """Axis and index of the slice on the screen; None in 3D view or without a case."""
        return self.view.slice_shown(self.labels)

    @property
    def info(self) -> CaseInfo | None:
        """The case whose scan is on the screen, also while its labels are still being read."""
        return self._scan.scan.info if self._scan.scan is not None else None

    @property
    def images(self) -> tuple[Image, ...]:
        """The scan's channels, in the case's order."""
        return tuple(self._scan.images)

    @property
    def by_channel(self) -> tuple[tuple[str, Image], ...]:
        """The scan's channels with their names; a person may have deleted one."""
        return self._scan.by_channel

    @property
    def own(self) -> tuple[Image | Labels, ...]:
        """All layers of the case."""
        return tuple(x for x in (*self._scan.images, self.uncertainty, self.status, self.labels) if x is not None)

    @property
    def _first_image(self) -> Image | None:
        return self._scan.images[0] if self._scan.images else None

    @property
    def changing(self) -> bool:
        """Whether this adapter itself is changing its layers just now."""
        return self._quiet

    # ------------------------------------------------------------- adding

    def _show_uncertainty(self, pictures: Pictures) -> None:
        shown = self.uncertainty
        if pictures.uncertainty is None:
            self.uncertainty = None
            self._remove([shown])
            return
        if shown is not None:
            shown.data = pictures.uncertainty
            move_to(shown, pictures.case.info.geometry)
            shown.metadata = metadata_of_case(pictures.case.info)
            return
        self._add_uncertainty(pictures.uncertainty, pictures.case)

    def _add_uncertainty(self, uncertainty: NDArray[np.uint8], case: OpenCase) -> None:
        self.uncertainty = uncertainty_layer(uncertainty, case)
        self._viewer.add_layer(self.uncertainty)
        if self.labels is not None:  # it came later: below the layer one paints on
            self._viewer.layers.move(self._viewer.layers.index(self.uncertainty), len(self._scan.images))
            self._viewer.layers.selection.active = self.labels

    def _add_labels(self, case: OpenCase, schema: LabelSchema) -> None:
        self.status = status_layer(case)
        self._viewer.add_layer(self.status)
        layer = labels_layer(case, schema)
        layer.events.paint.connect(self._on_paint)
        layer.events.selected_label.connect(self._on_selected)
        layer.events.data.connect(self._on_data)
        layer.events.editable.connect(self._on_editable)
        self._bind_keys(layer, schema)
        self.labels, self._chosen = layer, int(layer.selected_label)
        self._viewer.add_layer(layer)
        self._viewer.layers.selection.active = layer

    def _bind_keys(self, layer: Labels, schema: LabelSchema) -> None:
        # Bound to the layer itself these win over napari's: digits are its tools, Ctrl+Z its own history.
        ids = (0, *schema.ids)
        for key in range(10):
            verb = self._chooser(ids[key]) if key < len(ids) else self._missing(key)
            layer.bind_key(str(key), verb, overwrite=True)
        layer.bind_key("Control-Z", lambda _: self.undo_requested.emit(), overwrite=True)
        layer.bind_key("Control-Shift-Z", lambda _: self.redo_requested.emit(), overwrite=True)
        layer.bind_key("M", lambda _: None, overwrite=True)  # "new label" would leave the schema

    def _chooser(self, label_id: int) -> Callable[[Labels], None]:
        return lambda _: self.choose(label_id)

    def _missing(self, key: int) -> Callable[[Labels], None]:
        """Not napari's tool: who means a label would paint or fill with the one before."""
        return lambda _: self.label_missed.emit(key)

    # ------------------------------------------------------------ hearing

    def _on_paint(self, event: Any) -> None:
        layer, case = self.labels, self._case
        if layer is None or case is None or event.source is not layer:  # the mouse may still draw on one that went
            return
        box = painted_box(event.value, layer.data.shape)
        if box is None:
            return
        before, after = labels_around(event.value, case.canvas.labels, box)
        tool = layer.mode if layer.mode in TOOLS else "paint"
        self.painted.emit(box, before, after, tool)
        # Undo goes through the session; a second history would only fill memory and contradict it.
        layer._undo_history.clear()

    def _on_selected(self) -> None:
        if self.labels is None or self._schema is None:
            return
        chosen = int(self.labels.selected_label)
        if chosen not in (0, *self._schema.ids):
            self.labels.selected_label = self._schema_label(chosen)
            return
        self._chosen = chosen
        self.label_chosen.emit(chosen)

    def _schema_label(self, wanted: int) -> int:
        """The label that is meant by a number that has none: napari's - and = go on by one, also into a gap."""
        ids = self._schema.ids if self._schema is not None else ()
        step = wanted - self._chosen
        further = [i for i in (0, *ids) if (i - self._chosen) * step > 0] if abs(step) == 1 else []
        return min(further or [self._chosen, *ids], key=lambda i: abs(i - wanted))

    def _on_data(self) -> None:
        if not self._quiet and self._put_back():
            QTimer.singleShot(0, self._insist)

    def _insist(self) -> None:
        """Put the canvas back where something answered that by its array anew; this time it hears nothing of it."""
        if self.labels is not None:
            with self.labels.events.data.blocker():
                self._put_back()

    def _put_back(self) -> bool:
        """Put the canvas back into the layer, and say what was there instead; whether anything was."""
        case = self._case
        if self.labels is None or case is None or self.labels.data is case.canvas.labels:
            return False
        given = self.labels.data
        self._quiet = True
        try:
            self.labels.data = case.canvas.labels
        finally:
            self._quiet = False
        self.replaced.emit(case, given)
        return True

    def _on_editable(self) -> None:
        """Keep the lock: napari makes a layer editable that gets other voxels."""
        if self._locked and self.labels is not None:
            self.labels.editable = False

    def _on_removed(self, event: Any) -> None:
        layer = event.value
        if layer is self.labels and layer is not None:
            self.keep_half_stroke()
            self.labels, self._locked = None, False
            self._mourning.start()
        elif layer is self.status:
            self.status = None
        elif layer is self.uncertainty:
            self.uncertainty = None
        elif self._scan.forget(layer):
            self._mourning.start()
