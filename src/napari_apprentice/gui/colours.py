"""Colours of words that are read on napari's dark theme and on its light one."""

from dataclasses import dataclass

from qtpy.QtGui import QColor
from qtpy.QtWidgets import QWidget

_MIDDLE = 128  # of Qt's lightness, 0 to 255


@dataclass(frozen=True)
class TextColour:
    """One meaning in two shades, each with a contrast of at least 4.5 to its background (WCAG 2.2, 1.4.3)."""

    on_dark: str
    on_light: str

    def on(self, widget: QWidget) -> QColor:
        """The shade for words in a widget that has napari's own colours."""
        widget.ensurePolished()
        dark = widget.palette().windowText().color().lightness() > _MIDDLE
        return QColor(self.on_dark if dark else self.on_light)


WORSE = TextColour("#ff6b6b", "#b3261e")
BETTER = TextColour("#4caf50", "#1b6e20")
