"""The DICOM series that a segmentation refers to, found again in a folder by the grid it lies on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.errors import ChoiceError, GeometryError, ScanError
from napari_apprentice.scans.dicom.plane import Plane
from napari_apprentice.scans.dicom.series import Series, find_series
from napari_apprentice.scans.dicom.stack import stacked
from napari_apprentice.scans.segments.seg_headers import complete
from napari_apprentice.scans.segments.slices import Place, Slice, slices_of

_PART = 0.1  # of a voxel that slices may lie beside an even grid


@dataclass(frozen=True, eq=False)
class SourceSeries:
    """A series on a case's grid.

    Parameters
    ----------
    datasets
        Its files without voxels: one with all frames, or one for each slice.
    places
        For every slice which voxels (z, y, x) of the grid its pixels are.
    positions
        (n, 3) float64, LPS mm: centre of the first pixel of every slice.
    """

    datasets: tuple[Dataset, ...]
    places: tuple[Place, ...]
    positions: NDArray[np.float64]


def find_source(folder: Path, geometry: Geometry, digests: Sequence[str] = (), series: str = "") -> SourceSeries:
    """Find the one series of a folder whose slices are those of a case.

    Parameters
    ----------
    digests
        SHA-256 over the sorted SHA-256s of the files that the case, or a channel of it, came from, as kept with
        the case; two persons' scans may lie on one grid. Empty where nothing is known of them.
    series
        Number or UID of the series, if the person names it.

    Raises
    ------
    ChoiceError
        Several series lie on the grid, or one of other files, and none is the one that was added.
    GeometryError
        None lies on the case's grid.
    ScanError
        The folder holds no series.
    """
    if not folder.exists():
        raise ScanError(f"{folder.name} does not exist; name the folder of the case's DICOM series.")
    found = find_series(folder)
    fitting = [(s, match) for s in found if (match := _match(s, geometry))]
    named = [(s, m) for s, m in fitting if series.strip() in (s.key, s.uid, s.number)] if series.strip() else fitting
    if not named:
        told = "; ".join(s.sentence for s in found[:6])
        raise GeometryError(
            f"No series in {folder.name} has the grid of the case, {' x '.join(map(str, geometry.shape))} voxels "
            f"(z, y, x) at its place. It holds: {told}. Name the folder that the case came from; a case whose "
            "voxels were resampled has no series of its own."
        )
    same = [(s, match) for s, match in named if digests and _digest(s.files) in digests]
    if len(same) == 1 or (len(named) == 1 and (series.strip() or not digests)):
        return (same or named)[0][1]
    if len(named) > 1:
        text = f"{folder.name} holds {len(named)} series on the case's grid; say which one."
    else:
        text = (
            f"{folder.name} holds a series on the case's grid, but not the files that the case came from: it may be of "
            "another person. Name the case's own folder, or say the series if it is the right one."
        )
    raise ChoiceError(text, "series", tuple((s.key, s.sentence) for s, _ in named))


def _match(series: Series, geometry: Geometry) -> SourceSeries | None:
    """The series' slices on a grid; None unless they are all of the grid's voxels, each once."""
    tolerance = _PART * min(geometry.spacing)
    planes = _planes(series)
    datasets: dict[Path, Dataset] = {}
    slices: dict[Path, tuple[Slice, ...]] = {}
    places: list[Place] = []
    for path, frame in ((p.path, p.frame) for p in planes):
        if path not in datasets:
            datasets[path] = dcmread(path, stop_before_pixels=True)
            slices[path] = slices_of(datasets[path], path.name)
        place = slices[path][frame].place_on(geometry, tolerance)
        if place is None:  # most series of a folder are no match by their first slice
            return None
        places.append(place)
    if not places or len(datasets) not in (1, len(places)):
        return None
    # Every voxel of the grid lies in one slice and only one: a lost or a doubled slice is no match.
    seen = np.zeros(geometry.shape, np.uint8)
    for place in places:
        place.view(seen)[...] += 1
    if (seen != 1).any():
        return None
    for dataset in datasets.values():
        complete(dataset, planes[0], geometry.spacing[places[0].axis])
    return SourceSeries(tuple(datasets.values()), tuple(places), np.array([p.position for p in planes]))


def _planes(series: Series) -> tuple[Plane, ...]:
    """Slices of the first volume of a series, without copies."""
    try:
        return stacked(series.planes, series.description).volumes[0]
    except ScanError:  # no volume, so on no case's grid
        return ()


def _digest(files: Sequence[Path]) -> str:
    found = []
    for path in files:
        with path.open("rb") as file:
            found.append(hashlib.file_digest(file, "sha256").hexdigest())
    return hashlib.sha256("".join(sorted(found)).encode()).hexdigest()
