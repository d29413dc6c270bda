"""What the colours of a layer of differences mean, with counts."""

from collections.abc import Iterable
from html import escape

from qtpy.QtWidgets import QLabel

from napari_apprentice.gui.layer_making import DIFFERENCE_COLOURS


class Legend(QLabel):
    """One line: a square in the colour of each kind, what it is and how many voxels."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setToolTip("What the colours of the differences mean.")

    def show_kinds(self, kinds: Iterable[tuple[int, str, int]]) -> None:
        """Show kinds as (number, what it is, voxels)."""
        self.setText(" &nbsp; ".join(_entry(*kind) for kind in kinds))


def _entry(kind: int, text: str, count: int) -> str:
    square = f'<span style="color:{DIFFERENCE_COLOURS[kind]}; font-size: large">&#9632;</span>'
    return f"{square} {escape(text)}: <b>{count:,}</b>"
