"""A drop-down of window presets."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QWidget

from napari_apprentice.gui.window_presets import Preset
from napari_apprentice.gui.windowing import BY_HAND, Windowing

TIP = (
    "Which grey values are shown, kept for this channel in the next cases. W goes on to the next, Shift+W back. "
    "Select a channel's layer to choose its window; the limits in napari's layer controls stay free to move."
)
WIDEST = 180  # pixels for whose window it is


class PresetBox(QWidget):
    """Shows and chooses the window of the channel that is meant.

    Parameters
    ----------
    windowing
        Who knows and does.
    """

    def __init__(self, windowing: Windowing) -> None:
        super().__init__()
        self._windowing = windowing
        self._offered: tuple[Preset, ...] = ()
        self.channel = QLabel("Window")
        self.box = QComboBox()
        for widget in (self.channel, self.box):
            widget.setToolTip(TIP)
        self.box.setPlaceholderText(BY_HAND)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.channel)
        row.addWidget(self.box, 1)
        self.box.activated.connect(self._on_activated)
        windowing.changed.connect(self._update)
        self._update()

    def _update(self) -> None:
        offered, current = self._windowing.offered, self._windowing.current
        self.setEnabled(bool(offered))
        self._name(f"Window of {self._windowing.channel}" if offered else "Window")
        if offered != self._offered:
            self._offered = offered
            self.box.clear()
            for preset in offered:
                self.box.addItem(text_of(preset))
        self.box.setCurrentIndex(offered.index(current) if current in offered else -1)

    def _name(self, text: str) -> None:
        """Say whose window it is; a long name would make the dock wider than its place."""
        short = self.channel.fontMetrics().elidedText(text, Qt.TextElideMode.ElideMiddle, WIDEST)
        self.channel.setText(short)
        self.channel.setToolTip(TIP if short == text else f"{text}. {TIP}")

    def _on_activated(self, index: int) -> None:
        self._windowing.choose(self._offered[index])


def text_of(preset: Preset) -> str:
    """A preset in one line."""
    if preset.percentiles or preset.name.startswith("SUV"):
        return preset.name
    return f"{preset.name}  ({preset.low:g} to {preset.high:g})"
