"""Layers beside those of the open case: something to look at, one of each purpose, gone when the case is left."""

from collections.abc import Callable
from typing import Any

from napari.layers import Labels
from qtpy.QtCore import QObject, Signal

from napari_apprentice.core.records import CaseInfo
from napari_apprentice.gui.bridge import Bridge
from napari_apprentice.gui.layers import CaseLayers


class ExtraLayers(QObject):
    """Adds layers over the open case, by purpose, and takes them away again.

    Parameters
    ----------
    viewer, layers
        The napari viewer; the open case in it.
    bridge
        Says when another case is open, or none.
    """

    changed = Signal()
    """A layer was added or went, also because the person deleted it."""

    deleted = Signal(str)
    """The person deleted the layer shown for this purpose."""

    def __init__(self, viewer: Any, layers: CaseLayers, bridge: Bridge, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layers = layers
        self._shown: dict[str, Labels] = {}
        self._case_id = ""
        layers.previewed.connect(self._on_case)
        layers.shown.connect(self._on_case)
        bridge.case_opened.connect(self._on_case)
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Take the layers away and hear no more of the viewer."""
        self.clear()
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def get(self, purpose: str) -> Labels | None:
        """The layer that is shown for a purpose."""
        return self._shown.get(purpose)

    def show(self, purpose: str, make: Callable[[CaseInfo], Labels]) -> None:
        """Show what `make` makes of the case on the screen, in place of what was shown for the same purpose."""
        info = self._layers.info
        if info is None:
            return
        old = self._shown.pop(purpose, None)
        self._case_id = info.case_id
        active = self._viewer.layers.selection.active
        self._remove(old)
        layer = self._shown[purpose] = make(info)
        self._viewer.layers.append(layer)
        # One goes on painting where one was: what is added is only to be looked at.
        self._viewer.layers.selection.active = active if active in self._viewer.layers else self._layers.labels
        self.changed.emit()

    def take_away(self, *purposes: str) -> None:
        """Take layers away; a purpose nothing is shown for is none."""
        gone = [self._shown.pop(p) for p in purposes if p in self._shown]
        if gone:
            with self._viewer.layers.batched_update():  # as in `CaseLayers`
                for layer in gone:
                    self._remove(layer)
            self.changed.emit()

    def clear(self) -> None:
        """Take all of them away."""
        self.take_away(*self._shown)

    def _remove(self, layer: Labels | None) -> None:
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _on_case(self) -> None:
        info = self._layers.info
        if info is None or info.case_id != self._case_id:
            self.clear()

    def _on_removed(self, event: Any) -> None:
        purpose = next((p for p, layer in self._shown.items() if layer is event.value), None)
        if purpose is not None:
            del self._shown[purpose]
            self.deleted.emit(purpose)
            self.changed.emit()
