"""File > Open and drag and drop: scans and label maps as layers that know their grid."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import napari
from napari.utils.notifications import show_error, show_info

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import LabelMap, Volume
from napari_apprentice.errors import ApprenticeError, ChoiceError
from napari_apprentice.gui.choice_dialog import answered
from napari_apprentice.gui.placing import KEY, is_oblique, metadata_of, place_of
from napari_apprentice.gui.window_presets import AUTOMATIC, limits_of
from napari_apprentice.scans.dicom.kinds import is_dicom
from napari_apprentice.scans.label_sign import says_labels
from napari_apprentice.scans.reader import read_label_map, read_volume
from napari_apprentice.scans.segments.belonging import refuse_foreign
from napari_apprentice.scans.sight import is_zarr
from napari_apprentice.scans.suffixes import stem_of

LayerTuple = tuple[Any, dict[str, Any], str]
NOTHING: list[Any] = [(None,)]  # napari's word for "read, but there is no layer to show"
COLOURS = {"R": "red", "G": "green", "B": "blue"}
OBLIQUE = (
    "{name} is oblique: it is shown along its own axes, so over a scan with other axes it fits in its centre only. "
    "Its exact place is kept, also when it is saved."
)


def get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[Any]] | None:
    """What napari calls first: the function that reads a path, None for a folder that holds no scan."""
    first = Path(path if isinstance(path, str) else path[0])
    return None if first.is_dir() and not _is_scan_folder(first) else read


def read(path: str | Sequence[str]) -> list[Any]:
    """Layers of one or several files; what cannot be read is told in a sentence and left out."""
    layers: list[Any] = []
    for one in _scans([path] if isinstance(path, str) else path):
        try:
            layers += layers_of(one)
        except ApprenticeError as error:
            show_error(str(error))
    return layers or NOTHING


def layers_of(path: Path) -> list[LayerTuple]:
    """Read a file or a DICOM folder; a choice it leaves open is asked for where there is a window.

    Returns
    -------
    Napari's layer tuples: voxels (z, y, x) in canonical orientation, placed in mm; per channel one image, or
    one labels layer where the file says that it is a label map.

    Raises
    ------
    ScanError
        No scan, a damaged one, or one with a choice nobody made.
    """
    if says_labels(path):
        return [answered(path.name, lambda settings: _labels(path, settings))]
    return _images(answered(path.name, lambda settings: read_volume(path, settings)))


def _images(volume: Volume) -> list[LayerTuple]:
    warnings = list(volume.warnings)
    if is_oblique(volume.geometry):
        warnings.append(OBLIQUE.format(name=volume.source_name))
    for sentence in (*warnings, *(step.what for step in volume.steps)):
        show_info(sentence)
    coloured = set(volume.channels) == set(COLOURS)
    made: list[LayerTuple] = []
    for number, (channel, voxels) in enumerate(zip(volume.channels, volume.voxels, strict=True)):
        look = {
            "name": stem_of(Path(volume.source_name)) + (f" {channel}" if len(volume.channels) > 1 else ""),
            "colormap": COLOURS[channel] if coloured else "gray",
            "contrast_limits": (0, 255) if coloured else limits_of(AUTOMATIC, voxels, False),
            "blending": "additive" if coloured else "translucent_no_depth",
            "visible": coloured or number == 0,
        }
        known = metadata_of(
            volume.geometry,
            channel=channel,
            source_name=volume.source_name,
            modality=volume.modality,
            steps=[step.to_json() for step in volume.steps],
            warnings=warnings,
            acquisition=dict(volume.acquisition),
        )
        made.append((voxels, {**look, **place_of(volume.geometry), "metadata": known}, "image"))
    return made


def _open_scans() -> list[Mapping[str, Any]]:
    """What the open layers know of their scans, that of the selected one first; label maps count where no scan is."""
    viewer = napari.current_viewer()
    layers = [] if viewer is None else [viewer.layers.selection.active, *viewer.layers]
    known = [layer.metadata.get(KEY, {}) for layer in layers if layer is not None]
    placed = [layer for layer in known if "geometry" in layer]
    return [layer for layer in placed if "acquisition" in layer] or placed


def _scan_of(path: Path, settings: ReadSettings) -> tuple[Mapping[str, Any], str]:
    """The open scan that a label map belongs to, and a doubt; without any scan it belongs to none."""
    question: ChoiceError | None = None
    for scan in _open_scans():
        try:
            return scan, refuse_foreign(path, scan.get("acquisition", {}), settings)
        except ChoiceError as error:
            question = question or error
    if question is not None:
        raise question
    return {}, ""


def _labels(path: Path, settings: ReadSettings) -> LayerTuple:
    scan, doubt = _scan_of(path, settings)
    # Contours have no voxels of their own: they are drawn on the grid of the scan that is open.
    grid = Geometry.from_json(scan["geometry"]) if scan else None
    found = read_label_map(path, settings, grid)
    return _as_layer(path, found, doubt)


def _as_layer(path: Path, found: LabelMap, doubt: str) -> LayerTuple:
    for sentence in filter(None, (doubt, *found.warnings)):
        show_info(sentence)
    ids = sorted(found.names)
    look: dict[str, Any] = {"name": stem_of(path), "opacity": 0.55}
    if ids:
        look["features"] = {"index": [0, *ids], "label": ["background", *(found.names[i] for i in ids)]}
    if found.colours:
        look["colormap"] = {None: "white", 0: "transparent", **found.colours}
    known = metadata_of(found.geometry, source_name=path.name)
    return found.voxels, {**look, **place_of(found.geometry), "metadata": known}, "labels"


def _scans(paths: Sequence[str]) -> list[Path]:
    """The paths; several DICOM files of one folder, opened as a stack, stand for the folder."""
    found = [Path(p) for p in paths]
    parents = {p.parent for p in found}
    if len(found) > 1 and len(parents) == 1 and all(p.is_file() and is_dicom(p) for p in found):
        return list(parents)
    return found


def _is_scan_folder(folder: Path) -> bool:
    try:
        return is_zarr(folder) or is_dicom(folder)
    except OSError:
        return False
