"""FreeSurfer's MGH and MGZ."""

from pathlib import Path
from typing import Any

import numpy as np
from nibabel.freesurfer.mghformat import MGHHeader
from nibabel.spatialimages import HeaderDataError

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import GeometryError, ScanError
from napari_apprentice.scans.blocks import Block, check_block, read_block
from napari_apprentice.scans.oddities import spacing_warnings
from napari_apprentice.scans.raw import RawFile
from napari_apprentice.scans.volumes import volume_names, volumes_to_read

FORMAT = "mgh"
_HEADER = 284
_FIELDS = 90
_PLACED = slice(28, 30)  # goodRASFlag, which nibabel sets where it is not
_VERSION = 1


def read_mgh(path: Path, settings: ReadSettings) -> Volume:
    """Read an MGH or MGZ file, reoriented by whole axes only.

    Raises
    ------
    ChoiceError
        It holds many volumes and none is chosen.
    ScanError
        No MGH file, damaged, or cut off.
    """
    with RawFile(path) as raw:
        start = raw.read(_HEADER, "the header")
        # Not from_fileobj, which would look for a footer wherever the header's sizes lead.
        header = MGHHeader(start[:_FIELDS], check=False)
        shape, dtype = _shape(header, path.name), _dtype(header, path.name)
        geometry = _geometry(header, shape, path.name)
        block = Block(shape, dtype)
        check_block(raw, block)
        chosen, steps = volumes_to_read(shape[3], settings, path.name)
        stored = read_block(raw, block, chosen)
        raw.finish(footer=True)
    warnings = [*raw.warnings, *spacing_warnings(geometry, path.name)]
    if not any(start[_PLACED]):
        warnings.append(f"{path.name} says nothing about its orientation; left and right may be swapped.")
    voxels = geometry.to_canonical(stored)
    return Volume(voxels, geometry, volume_names(chosen), path.name, raw.digest, tuple(warnings), steps)


def _shape(header: MGHHeader, name: str) -> tuple[int, int, int, int]:
    if int(header["version"]) != _VERSION:
        raise ScanError(f"{name} is no MGH file: it does not begin with an MGH header.")
    i, j, k, count = (int(n) for n in header["dims"])
    if min(i, j, k, count) < 1:
        raise ScanError(f"{name} is damaged: its header gives axes of sizes {(i, j, k, count)}.")
    return i, j, k, count


def _dtype(header: MGHHeader, name: str) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = header.get_data_dtype()
    except (HeaderDataError, KeyError) as error:
        raise ScanError(f"{name} is damaged: its header names no known number type.") from error
    return dtype.newbyteorder(">")


def _geometry(header: MGHHeader, shape: tuple[int, ...], name: str) -> Geometry:
    try:
        return Geometry.from_source((shape[0], shape[1], shape[2]), header.get_affine(), {"format": FORMAT})
    except GeometryError as error:
        raise ScanError(f"{name} has no usable orientation: {error}") from error
