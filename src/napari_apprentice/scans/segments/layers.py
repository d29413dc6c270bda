"""Segmentations of 3D Slicer and MITK in layers: several values per voxel, so that segments may share voxels."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import LabelMap
from napari_apprentice.errors import ScanError
from napari_apprentice.scans.itk import NRRD, read_itk
from napari_apprentice.scans.itk_names import Segment, segments_of
from napari_apprentice.scans.segments.claims import Claims, chosen_segments
from napari_apprentice.scans.segments.slices import Place

_WHOLE = Place((slice(None),) * 3)


def is_layered(path: Path) -> bool:
    """Whether a file is a NRRD that describes segments in more than one layer; one that is damaged does not."""
    if path.suffix.lower() not in NRRD:
        return False
    try:
        return any(segment.layer > 0 for segment in segments_of(path))
    except (RuntimeError, ValueError):
        return False


def read_layers(path: Path, settings: ReadSettings) -> LabelMap:
    """Read the layers of a NRRD as one label map (z, y, x).

    Parameters
    ----------
    settings
        `segments` and `overlap` decide what is taken.

    Returns
    -------
    Ids are the segments' label values where each has one of its own, else their places in the file: every layer
    counts for itself.

    Raises
    ------
    ChoiceError
        Segments share voxels and nothing says which one wins.
    ScanError
        A layer is missing, or holds a value that no segment describes.
    """
    volume = read_itk(path, replace(settings, volumes="all"))
    segments = _numbered(segments_of(path))
    _check(segments, volume.voxels, path.name)
    names = {n: s.name or f"segment {n}" for n, s in segments.items()}
    own = all(n == s.value for n, s in segments.items())
    names, lacking = chosen_segments(settings, names, path.name, numbered=own)

    def pieces(number: int) -> Iterator[tuple[Place, NDArray[np.bool_]]]:
        segment = segments[number]
        yield _WHOLE, volume.voxels[segment.layer] == segment.value

    voxels, said = Claims(names, pieces).settled(volume.geometry.shape, settings.overlap, path.name)
    colours = {n: segments[n].colour for n in names if segments[n].colour}
    return LabelMap(voxels, volume.geometry, names, colours, (*volume.warnings, *lacking, *said), numbered=own)


def _numbered(segments: tuple[Segment, ...]) -> dict[int, Segment]:
    values = {s.value for s in segments}
    alone = len(values) == len(segments) and min(values) > 0 and max(values) <= 65535
    return {s.value if alone else place: s for place, s in enumerate(segments, 1)}


def _check(segments: Mapping[int, Segment], layers: NDArray[Any], name: str) -> None:
    last = max(s.layer for s in segments.values())
    if last >= len(layers):
        raise ScanError(f"{name} is damaged: it has {len(layers)} layers, and a segment in layer {last}.")
    for number, layer in enumerate(layers):
        strange = {*np.unique(layer).tolist()} - {0} - {s.value for s in segments.values() if s.layer == number}
        if strange:
            told = ", ".join(map(str, sorted(strange)[:8]))
            raise ScanError(f"{name} is damaged: its layer {number} holds {told}, which no segment of it describes.")
