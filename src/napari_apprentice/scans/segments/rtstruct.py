"""DICOM RT Structure Sets in: contours, drawn onto the grid of a case.

Contours have no voxels of their own. Source of the attributes: DICOM PS3.3, C.8.8.5 and C.8.8.6.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import LabelArray, LabelMap
from napari_apprentice.errors import ScanError
from napari_apprentice.scans.segments.claims import Claims, chosen_segments
from napari_apprentice.scans.segments.drawing import Drawing
from napari_apprentice.scans.segments.slices import LPS_TO_RAS

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR")


def read_rtstruct(path: Path, geometry: Geometry | None, settings: ReadSettings | None = None) -> LabelMap:
    """Read the closed contours of an RT Structure Set as labels (z, y, x) on a case's grid.

    A voxel belongs to a structure when its centre lies inside; contours within contours are holes. Contours
    between two slices go to the nearer one.

    Parameters
    ----------
    geometry
        The case's grid, oblique or sheared as it may be.
    settings
        `segments` chooses structures; `overlap` says who gets a voxel that several claim: the last one by
        default, unless another structure would vanish by it.

    Returns
    -------
    Ids are ROI numbers; names and colours are the structures'; what was left out or moved is in `warnings`.

    Raises
    ------
    ChoiceError
        A structure would vanish under others, and nothing says which one wins.
    GeometryError
        The contours are not drawn in the slices of the scan, or none of them lies in it.
    ScanError
        No case is given, or the file holds no closed contour.
    """
    settings = settings or ReadSettings()
    if geometry is None:
        raise ScanError(
            f"{path.name} holds contours, which have no voxels; open the scan that they were drawn on first, or read "
            "them onto a case of a study."
        )
    structures, said = _structures(dcmread(path), path.name)
    wanted, lacking = chosen_segments(settings, {n: s.name for n, s in structures.items()}, path.name)
    drawing = Drawing(geometry, {n: structures[n].contours for n in wanted}, path.name)
    claims = Claims(wanted, drawing.pieces)
    voxels = claims.paint(geometry.shape, settings.overlap)
    if claims.overlaps:
        if settings.overlap == "ask" and _vanished(voxels, drawing, wanted):
            raise claims.choice(path.name)
        winner = "last" if settings.overlap == "ask" else settings.overlap
        said.append(f"{path.name}: {claims.sentence()}; the {winner} one got them.")
    colours = {n: structures[n].colour for n in wanted if structures[n].colour}
    said += [s for n, name in wanted.items() for s in drawing.oddities(n, name)]
    return LabelMap(voxels, geometry, wanted, colours, (*lacking, *said))


@dataclass(frozen=True, eq=False)
class _Structure:
    """One region of interest; contours are (n, 3) float64, millimetres in RAS+."""

    name: str
    colour: str
    contours: tuple[NDArray[np.float64], ...]


def _vanished(voxels: LabelArray, drawing: Drawing, names: Mapping[int, str]) -> bool:
    seen = set(np.unique(voxels).tolist())
    return any(n not in seen and drawing.size(n) for n in names)


def _structures(dataset: Dataset, name: str) -> tuple[dict[int, _Structure], list[str]]:
    """Structures with closed contours by label id, and sentences about the others."""
    drawn = {int(item.ReferencedROINumber): item for item in dataset.get("ROIContourSequence", [])}
    found: dict[int, _Structure] = {}
    said = []
    rois = list(dataset.get("StructureSetROISequence", []))
    fit = all(1 <= int(roi.ROINumber) <= 65535 for roi in rois)
    for place, roi in enumerate(rois, 1):
        title = str(roi.get("ROIName", "")).strip() or f"ROI {roi.ROINumber}"
        item = drawn.get(int(roi.ROINumber), Dataset())
        contours = tuple(item.get("ContourSequence") or [])
        closed = tuple(_points(c, title, name) for c in contours if str(c.ContourGeometricType) in _CLOSED)
        rings = tuple(ring for ring in closed if len(ring) >= 3)
        if len(rings) < len(contours) or not contours:
            kinds = sorted({str(c.ContourGeometricType).lower() for c in contours} - {k.lower() for k in _CLOSED})
            what = f"{len(contours) - len(rings)} of its contours ({', '.join(kinds) or 'less than three points'})"
            said.append(f"{title}: {what if contours else 'it has no contours and'} was left out.")
        if rings:
            found[int(roi.ROINumber) if fit else place] = _Structure(title, _colour(item), rings)
    if not found:
        raise ScanError(f"{name} holds no closed contour that could become a label. {' '.join(said)}".rstrip())
    return found, said


def _points(contour: Dataset, title: str, name: str) -> NDArray[np.float64]:
    values = np.array([float(v) for v in contour.get("ContourData") or []])
    if values.size % 3 or not np.isfinite(values).all():
        raise ScanError(f"{name} is damaged: a contour of {title} has points without three coordinates.")
    points: NDArray[np.float64] = values.reshape(-1, 3) @ LPS_TO_RAS[:3, :3]
    return points


def _colour(item: Dataset) -> str:
    value = item.get("ROIDisplayColor")
    if value is None or len(value) != 3 or not all(0 <= int(v) <= 255 for v in value):
        return ""
    return "#" + "".join(f"{int(v):02x}" for v in value)
