"""A labels layer as DICOM SEG, beside the series it was drawn on."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import napari
import numpy as np
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import InputError
from napari_apprentice.gui.choice_dialog import answered
from napari_apprentice.gui.placing import KEY
from napari_apprentice.scans.dicom.kinds import is_dicom
from napari_apprentice.scans.segments.seg_writer import write_seg

SEG = ".dcm"


def write_as_seg(
    path: Path,
    labels: LabelArray,
    geometry: Geometry,
    names: Mapping[int, str],
    colours: Mapping[int, str],
    digests: Sequence[str] = (),
) -> None:
    """Write a label map (z, y, x) as DICOM SEG; the series is that of the open layers on its grid, or asked for.

    Parameters
    ----------
    digests
        Of the files that a case's layer came from; see `seg_source.find_source`.

    Raises
    ------
    ChoiceError
        The series there is not the case's, and nobody says that it is right.
    InputError
        Nobody says where the series is.
    GeometryError
        The series there lies on another grid.
    """
    source = _open_series(geometry) or _asked_for()
    if source is None:
        raise InputError(
            f"{path.name}: a DICOM SEG refers to the pictures it was drawn on; open their folder in napari first, "
            "or choose it when asked."
        )
    found = {int(i): f"Label {i}" for i in np.unique(labels) if i} | dict(names)
    answered(
        path.name,
        lambda settings: write_seg(
            path,
            labels,
            geometry,
            source,
            names=found,
            colours=colours,
            digests=digests,
            series=settings.series,
            overwrite=True,
        ),
    )


def _open_series(geometry: Geometry) -> Path | None:
    """Where the open layers on this grid were read from, if that was one DICOM series; two may be of two persons."""
    viewer = napari.current_viewer()
    found: set[Path] = set()
    for layer in [] if viewer is None else viewer.layers:
        known, place = layer.metadata.get(KEY), layer.source.path
        if not isinstance(known, dict) or "geometry" not in known or place is None:
            continue
        if is_dicom(Path(place)) and geometry.difference(Geometry.from_json(known["geometry"])) is None:
            found.add(Path(place))
    return found.pop() if len(found) == 1 else None


def _asked_for() -> Path | None:
    app = QApplication.instance()
    window = QApplication.activeWindow() if isinstance(app, QApplication) else None
    if window is None:
        return None
    chosen = QFileDialog.getExistingDirectory(window, "The folder of the DICOM series this label map belongs to")
    return Path(chosen) if chosen else None
