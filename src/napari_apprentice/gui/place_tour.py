"""From one place of difference to the next, the largest first."""

from collections.abc import Callable

from qtpy.QtCore import QObject, Signal

from napari_apprentice.core.differences import Place, Places
from napari_apprentice.gui.extra_layers import ExtraLayers
from napari_apprentice.gui.layer_making import outline_place, place_layer
from napari_apprentice.gui.layers import CaseLayers

OUTLINE = "place"
NOTHING = Places((), 0)


class PlaceTour(QObject):
    """Knows the places and which one is looked at, and brings it to the middle of the canvas.

    Parameters
    ----------
    layers, extras
        The open case on the screen; where the outline of the place is shown.
    """

    changed = Signal()
    """Other places, or another one is looked at."""

    def __init__(self, layers: CaseLayers, extras: ExtraLayers, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._layers = layers
        self._extras = extras
        self.places = NOTHING
        self.index = 0
        self.describe: Callable[[Place], str] = lambda _: ""

    def start(self, places: Places, describe: Callable[[Place], str]) -> None:
        """Begin with the largest place; `describe` says in words what differs at one."""
        self.places, self.describe = places, describe
        self.go_to(0)

    def end(self) -> None:
        """There are no places any more."""
        self.places = NOTHING
        self._extras.take_away(OUTLINE)
        self.changed.emit()

    @property
    def here(self) -> Place | None:
        """The place that is looked at."""
        return self.places.found[self.index] if self.places.found else None

    def go_on(self, step: int = 1) -> None:
        """To the next place, or the one before; after the last comes the first."""
        if self.places.found:
            self.go_to((self.index + step) % len(self.places.found))

    def go_to(self, index: int) -> None:
        """To a place by its number."""
        self.index = index
        place = self.here
        if place is None:
            self._extras.take_away(OUTLINE)
        else:
            self._outline(place)
            layer = self._layers.labels or next(iter(self._layers.images), None)
            if layer is not None:
                self._layers.view.centre(layer, place.peak)
        self.changed.emit()

    def _outline(self, place: Place) -> None:
        shown, info = self._extras.get(OUTLINE), self._layers.info
        if shown is not None and info is not None:
            outline_place(shown, place, info)
        else:
            self._extras.show(OUTLINE, lambda info: place_layer(place, info, "Place looked at"))
