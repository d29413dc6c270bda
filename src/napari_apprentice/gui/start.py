"""Open napari with the Apprentice dock on a study: `python -m napari_apprentice.gui.start STUDY`."""

import sys
from pathlib import Path

import napari

from napari_apprentice.errors import ApprenticeError
from napari_apprentice.gui.main_widget import ApprenticeWidget


def open_window(path: Path | None) -> napari.Viewer:
    """Make a viewer with the dock; a study that cannot be opened is said in the window."""
    viewer = napari.Viewer(title="Apprentice")
    widget = ApprenticeWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Apprentice", area="right", tabify=False)
    if path is not None:
        try:
            widget.session.open_study(path)
        except ApprenticeError as error:
            widget.session.events.noticed.emit(str(error))
    return viewer


if __name__ == "__main__":
    open_window(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    napari.run()
