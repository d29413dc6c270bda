"""Which window each channel is seen through, kept from case to case."""

from dataclasses import replace
from typing import Any

from napari.layers import Image
from qtpy.QtCore import QObject, Signal

from napari_apprentice.gui.layers import CaseLayers
from napari_apprentice.gui.window_presets import AUTOMATIC, Preset, kind_of, limits_of, presets_for

BY_HAND = "By hand"


class Windowing(QObject):
    """Puts presets on the channels of the open case, and remembers them by channel name for the next case.

    Limits set by hand are remembered too: for CT and PET, whose values have a unit, for every case; for
    others while the case is open.

    Parameters
    ----------
    viewer, layers
        Whose selection says which channel is meant; the open case's layers.
    """

    changed = Signal()
    """Another channel is meant, or it is seen through another window."""

    def __init__(self, viewer: Any, layers: CaseLayers, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layers = layers
        self._chosen: dict[str, Preset] = {}
        self._hand: dict[str, tuple[str, Preset]] = {}  # channel: case it was set in, limits
        self._quiet = False
        layers.shown.connect(self._on_shown)
        layers.previewed.connect(self._on_shown)
        layers.lost.connect(self.changed)
        self._selection = viewer.layers.selection.events.active
        self._selection.connect(self._on_selection)

    def close(self) -> None:
        """Hear no more of the viewer."""
        self._selection.disconnect(self._on_selection)

    @property
    def channel(self) -> str | None:
        """The channel that is meant: the selected one, else the first that is visible; None without a case."""
        layer = self._meant()
        return None if layer is None else self._name(layer)

    @property
    def offered(self) -> tuple[Preset, ...]:
        """Presets for the channel that is meant."""
        channel = self.channel
        return () if channel is None else presets_for(self._kind(channel))

    @property
    def current(self) -> Preset | None:
        """What the channel that is meant is seen through."""
        channel = self.channel
        return None if channel is None else self._preset(channel)

    def choose(self, preset: Preset) -> None:
        """See the channel that is meant, and its like in later cases, through a preset."""
        layer = self._meant()
        if layer is None:
            return
        name = self._name(layer)
        self._chosen[name] = preset
        self._hand.pop(name, None)
        self._apply(layer, preset)
        self.changed.emit()

    def cycle(self, steps: int = 1) -> None:
        """Go on to the next preset, or back."""
        offered, current = self.offered, self.current
        if not offered:
            return
        here = offered.index(current) if current in offered else -1 if steps > 0 else 0
        self.choose(offered[(here + steps) % len(offered)])

    # ------------------------------------------------------------- hearing

    def _on_shown(self) -> None:
        for layer in self._layers.images:
            layer.events.contrast_limits.connect(self._on_limits)  # connecting twice is once
            preset = self._preset(self._name(layer))
            if preset != AUTOMATIC or layer.colormap.name != AUTOMATIC.colormap:
                self._apply(layer, preset)
        self.changed.emit()

    def _on_limits(self, event: Any) -> None:
        info = self._layers.info
        if self._quiet or self._layers.changing or info is None or event.source not in self._layers.images:
            return
        name = self._name(event.source)
        low, high = (float(v) for v in event.source.contrast_limits)
        self._hand[name] = info.case_id, replace(self._preset(name), name=BY_HAND, low=low, high=high,
                                                      percentiles=False)  # fmt: skip
        self.changed.emit()

    def _on_selection(self, _: Any = None) -> None:
        if not self._layers.changing:
            self.changed.emit()

    # ------------------------------------------------------------- knowing

    def _apply(self, layer: Image, preset: Preset) -> None:
        self._quiet = True
        try:
            layer.contrast_limits = limits_of(preset, layer.data, layer.multiscale)
            if layer.colormap.name != preset.colormap:
                layer.colormap = preset.colormap
        finally:
            self._quiet = False

    def _preset(self, channel: str) -> Preset:
        info = self._layers.info
        case_id, by_hand = self._hand.get(channel, ("", None))
        here = info is not None and info.case_id == case_id
        if by_hand is not None and (here or self._kind(channel) != "MR"):
            return by_hand
        return self._chosen.get(channel, AUTOMATIC)

    def _kind(self, channel: str) -> str:
        info = self._layers.info
        return kind_of(channel, info.modality if info is not None else "")

    def _name(self, layer: Image) -> str:
        return next((name for name, image in self._layers.by_channel if image is layer), layer.name)

    def _meant(self) -> Image | None:
        images = self._layers.images
        if self._layers.info is None or not images:
            return None
        active = self._viewer.layers.selection.active
        if active in images:
            return active
        return next((x for x in images if x.visible), images[0])
