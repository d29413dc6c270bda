"""Two buttons and a line of text: which place is looked at, and on to the next."""

from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_apprentice.gui.controls import button
from napari_apprentice.gui.place_tour import PlaceTour

KEYS = "J goes to the next place, Shift+J back"


class PlaceBar(QWidget):
    """Shows where a tour is and moves it.

    Parameters
    ----------
    tour
        Who knows the places.
    """

    def __init__(self, tour: PlaceTour) -> None:
        super().__init__()
        self._tour = tour
        self.back = button("Previous", "Go to the place before this one (Shift+J).")
        self.on = button("Next", "Go to the next place, the largest first (J).")
        self.text = QLabel()
        self.text.setToolTip(f"The place that is looked at, outlined in white. {KEYS}.")
        self.back.clicked.connect(lambda: tour.go_on(-1))
        self.on.clicked.connect(lambda: tour.go_on())
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.back)
        row.addWidget(self.on)
        row.addWidget(self.text, 1)
        tour.changed.connect(self._update)
        self._update()

    def _update(self) -> None:
        places, here = self._tour.places, self._tour.here
        for widget in (self.back, self.on):
            widget.setEnabled(len(places.found) > 1)
        if here is None:
            self.text.setText("")
            return
        left_out = f", the largest of {places.total:,}" if places.total > len(places.found) else ""
        self.text.setText(
            f"Place {self._tour.index + 1} of {len(places.found):,}{left_out}: {here.voxels:,} "
            f"voxel{'s' if here.voxels > 1 else ''}, {self._tour.describe(here)}"
        )
