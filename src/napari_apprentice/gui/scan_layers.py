"""The channels of the scan on the screen: image layers below everything else of a case."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from napari.layers import Image
from qtpy.QtCore import QTimer

from napari_apprentice.gui.layer_making import metadata_of_case, scan_layer, scan_name
from napari_apprentice.gui.pictures import COARSE, Scan
from napari_apprentice.gui.placing import move_to

LATER_MS = 1000


class ScanLayers:
    """Shows one scan; where they can, the layers that are there take the next one: much quicker than new ones.

    Parameters
    ----------
    viewer
        Whose layers they are.
    """

    def __init__(self, viewer: Any) -> None:
        self.images: list[Image] = []
        self.scan: Scan | None = None
        self._names: list[str] = []
        self._viewer = viewer

    def show(self, scan: Scan) -> None:
        """Show a scan instead of the one before."""
        if scan is self.scan and len(self.images) == len(scan.channels):
            return
        fits = self._fits(scan)
        self.scan = scan
        if fits:
            self._exchange(scan)
        else:
            self._replace(scan)

    def sharpen(self) -> None:
        """Show every detail; a large scan is shown coarsely at first, because that is read at once."""
        for layer in self.images:
            if layer.multiscale and layer.locked_data_level is not None:
                layer.locked_data_level = None

    def let_go(self) -> list[Image]:
        """Forget the layers without removing them."""
        gone, self.images, self.scan, self._names = self.images, [], None, []
        return gone

    def forget(self, layer: Any) -> bool:
        """Note that a person removed a layer; whether it was one of the scan's."""
        if layer not in self.images:
            return False
        del self._names[self.images.index(layer)]
        self.images.remove(layer)
        return True

    @property
    def by_channel(self) -> tuple[tuple[str, Image], ...]:
        """The channels that are shown, with their names."""
        return tuple(zip(self._names, self.images, strict=False))

    def _fits(self, scan: Scan) -> bool:
        return len(self.images) == len(scan.channels) and all(
            layer.multiscale == channel.pyramid for layer, channel in zip(self.images, scan.channels, strict=True)
        )

    def _exchange(self, scan: Scan) -> None:
        self._names = [channel.name for channel in scan.channels]
        for layer, channel in zip(self.images, scan.channels, strict=True):
            if channel.pyramid:
                layer.locked_data_level = None  # which other scans need not have
            layer.data = channel.data
            _coarsen(layer)
            move_to(layer, scan.info.geometry)
            layer.metadata = metadata_of_case(scan.info)
            layer.name = scan_name(channel, scan.info)
            layer.contrast_limits_range = layer.contrast_limits = channel.limits

    def _replace(self, scan: Scan) -> None:
        # The new ones come before the old ones go: a viewer that is empty in between draws its whole
        # scene anew, which takes seconds without a GPU. And removing one takes napari half a second, so
        # the old ones are hidden now and go when the new ones were seen.
        old = self.let_go()
        self.scan, self._names = scan, [channel.name for channel in scan.channels]
        for layer in old:
            layer.visible = False
            layer.name = f"{layer.name} (before)"
        place = min((self._viewer.layers.index(x) for x in old if x in self._viewer.layers), default=0)
        active = self._viewer.layers.selection.active  # napari selects whatever comes
        for index, channel in enumerate(scan.channels):
            layer = scan_layer(channel, scan.info)
            layer.visible = index == 0  # the first channel is looked at first
            _coarsen(layer)
            self.images.append(layer)
            self._viewer.layers.insert(place + index, layer)
        if active is not None:
            self._viewer.layers.selection.active = self.images[0] if active in old else active
        QTimer.singleShot(LATER_MS, lambda: self._remove(old))

    def _remove(self, layers: list[Image]) -> None:
        with same_place(self._viewer):
            for layer in layers:
                if layer in self._viewer.layers:
                    self._viewer.layers.remove(layer)


@contextmanager
def same_place(viewer: Any) -> Iterator[None]:
    """Stay at the same millimetres while layers come and go; napari's sliders keep their numbers instead."""
    point = tuple(viewer.dims.point)
    yield
    if viewer.dims.ndim == len(point):
        viewer.dims.set_point(range(len(point)), point)


def _coarsen(layer: Image) -> None:
    if layer.multiscale:
        layer.locked_data_level = COARSE
