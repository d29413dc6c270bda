"""DICOM RT Structure Sets in: contours, drawn onto the grid of a case.

Contours have no voxels of their own. Source of the attributes: DICOM PS3.3, C.8.8.5 and C.8.8.6.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import LabelArray, LabelMap
from napari_apprentice.errors import GeometryError, ScanError
from napari_apprentice.scans.claims import Claims, chosen_segments
from napari_apprentice.scans.contours import fill
from napari_apprentice.scans.dicom_slices import LPS_TO_RAS, Place

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR")
_SAME_LEVEL = 0.05  # slices by which contours of one level may lie apart
_FLAT = 0.5  # slices by which a contour may leave its level


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
        raise ScanError(f"{path.name} holds contours, which have no voxels; read it onto a case of a study.")
    structures, said = _structures(dcmread(path), path.name)
    wanted = chosen_segments(settings, {n: s.name for n, s in structures.items()}, path.name)
    drawing = _Drawing(geometry, {n: structures[n].contours for n in wanted}, path.name)
    claims = Claims(wanted, drawing.pieces)
    voxels = claims.paint(geometry.shape, settings.overlap)
    if claims.overlaps:
        if settings.overlap == "ask" and _vanished(voxels, drawing, wanted):
            raise claims.choice(path.name)
        winner = "last" if settings.overlap == "ask" else settings.overlap
        said.append(f"{path.name}: {claims.sentence()}; the {winner} one got them.")
    colours = {n: structures[n].colour for n in wanted if structures[n].colour}
    said += [s for n, name in wanted.items() for s in drawing.oddities(n, name)]
    return LabelMap(voxels, geometry, wanted, colours, tuple(said))


@dataclass(frozen=True, eq=False)
class _Structure:
    """One region of interest; contours are (n, 3) float64, millimetres in RAS+."""

    name: str
    colour: str
    contours: tuple[NDArray[np.float64], ...]


@dataclass(frozen=True, eq=False)
class _Slice:
    """What is drawn on one slice: rings of (n, 2) in voxels of the two other axes."""

    number: int
    rings: tuple[NDArray[np.float64], ...]


class _Drawing:
    """Contours of structures in voxels of a grid, slice by slice.

    Parameters
    ----------
    contours
        Label id to contours in millimetres, RAS+.
    """

    def __init__(self, geometry: Geometry, contours: Mapping[int, Sequence[NDArray[np.float64]]], name: str) -> None:
        self._shape = geometry.shape
        inverse = np.linalg.inv(geometry.affine)
        # Rounded, so that an edge meant to run through voxel centres does so all along.
        placed = {n: [np.round(c @ inverse[:3, :3].T + inverse[:3, 3], 4) for c in cs] for n, cs in contours.items()}
        spreads = np.array([np.ptp(c, axis=0) for cs in placed.values() for c in cs])
        self._axis = int(spreads.sum(axis=0).argmin())
        if spreads[:, self._axis].max() > _FLAT:
            raise GeometryError(
                f"{name} does not fit the scan: its contours are not drawn in slices of it, but lean over up to "
                f"{spreads[:, self._axis].max():.1f} of them. Use the scan that they were drawn on."
            )
        self._left: dict[int, tuple[int, int, float]] = {}
        self._slices = {n: self._sorted(n, cs) for n, cs in placed.items()}
        if not any(self._slices.values()):
            raise GeometryError(f"{name} does not fit the scan: none of its contours lies in a slice of it.")

    def pieces(self, number: int) -> Iterator[tuple[Place, NDArray[np.bool_]]]:
        """Voxels of a structure: per slice the smallest rectangle around its rings."""
        height, width = (n for a, n in enumerate(self._shape) if a != self._axis)
        for one in self._slices[number]:
            points = np.concatenate(one.rings)
            low = np.clip(np.floor(points.min(axis=0)), 0, (height, width)).astype(np.intp)
            high = np.clip(np.ceil(points.max(axis=0)) + 1, low, (height, width)).astype(np.intp)
            (top, left), (bottom, right) = low.tolist(), high.tolist()
            if top == bottom or left == right:
                continue
            index: list[int | slice] = [slice(top, bottom), slice(left, right)]
            index.insert(self._axis, one.number)
            yield Place(tuple(index)), fill([ring - low for ring in one.rings], (bottom - top, right - left))

    def size(self, number: int) -> int:
        """Voxels of a structure."""
        return sum(int(mask.sum()) for _, mask in self.pieces(number))

    def oddities(self, number: int, name: str) -> Iterator[str]:
        """Sentences on what of a structure was moved or left out."""
        outside, between, moved = self._left[number]
        slices = sorted(s.number for s in self._slices[number])
        if outside:
            yield f"{name}: {outside} contours lie outside of the scan and were left out."
        if between:
            yield f"{name}: {between} contours lie between slices on which nearer ones were taken."
        if moved > _SAME_LEVEL:
            yield f"{name}: contours lie up to {moved:.2f} slices beside the voxels' centres; the nearest was taken."
        gaps = slices[-1] - slices[0] + 1 - len(slices) if slices else 0
        if gaps:
            yield f"{name}: {gaps} slices between its first and its last have no contour and stay empty."
        if slices and not self.size(number):
            yield f"{name} is too small for this scan: no voxel's centre lies in it."

    def _sorted(self, number: int, contours: Sequence[NDArray[np.float64]]) -> tuple[_Slice, ...]:
        """Each contour to its nearest slice; of several levels at one slice the nearest is taken."""
        levels = np.array([c[:, self._axis].mean() for c in contours])
        nearest = np.floor(levels + 0.5).astype(int)
        found, between, moved = [], 0, 0.0
        for n in np.unique(nearest[(nearest >= 0) & (nearest < self._shape[self._axis])]):
            here = np.flatnonzero(nearest == n)
            best = levels[here[np.abs(levels[here] - n).argmin()]]
            taken = [int(i) for i in here if abs(levels[i] - best) <= _SAME_LEVEL]
            between, moved = between + len(here) - len(taken), max(moved, abs(best - n))
            found.append(_Slice(int(n), tuple(np.delete(contours[i], self._axis, axis=1) for i in taken)))
        outside = int(((nearest < 0) | (nearest >= self._shape[self._axis])).sum())
        self._left[number] = (outside, between, float(moved))
        return tuple(found)


def _vanished(voxels: LabelArray, drawing: _Drawing, names: Mapping[int, str]) -> bool:
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
