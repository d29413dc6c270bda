"""Label maps and other voxels out to files, on the source's exact grid."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813 - the name everyone knows it by
from numpy.typing import NDArray

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import GeometryError, InputError
from napari_apprentice.scans.aside import written_aside
from napari_apprentice.scans.itk import exact_lps, image_for
from napari_apprentice.scans.itk_names import put_segments
from napari_apprentice.scans.nifti_grid import INTENT_LABEL, header_for
from napari_apprentice.scans.nifti_names import names_extension
from napari_apprentice.scans.nrrd_vectors import put_exact_grid
from napari_apprentice.scans.ome_zarr_out import write_ome_zarr
from napari_apprentice.scans.suffixes import NIFTI, ZARR, stem_of, suffix_of

WRITABLE = (*NIFTI, ".nrrd", ".mha", ".ome.zarr", ".zarr")


@dataclass(frozen=True)
class _Look:
    """Names and colours by label id."""

    names: Mapping[int, str]
    colours: Mapping[int, str]


_NO_LOOK = _Look({}, {})


def write_label_map(
    path: Path,
    labels: LabelArray,
    geometry: Geometry,
    names: Mapping[int, str] | None = None,
    colours: Mapping[int, str] | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write a label map on its source's grid: shape, affine, orientation and q/s-form codes.

    Parameters
    ----------
    path
        Ends in .nii, .nii.gz, .nrrd, .mha, or as a folder in .ome.zarr or .zarr.
    labels
        (z, y, x) uint8 or uint16, canonical orientation.
    names
        Label id to name, kept where the format has a place: .nii, .nii.gz, .nrrd (as 3D Slicer does),
        .ome.zarr; .mha has none.
    colours
        Label id to colour as #rrggbb, kept where names are.

    Raises
    ------
    InputError
        The file exists already, or its suffix is none of those.
    GeometryError
        The label map has another shape than the grid.
    StorageError
        The disk is full, gone or read-only; nothing is left behind.
    """
    if labels.dtype.kind != "u" or labels.dtype.itemsize > 2:
        raise InputError(f"{path.name}: a label map is written as uint8 or uint16, not {labels.dtype}.")
    _write(path, labels, geometry, _Look(names or {}, colours or {}), overwrite=overwrite)


def write_scalar(path: Path, values: NDArray[Any], geometry: Geometry, *, overwrite: bool = False) -> None:
    """Write one number per voxel (z, y, x) on the source's grid: float32, int16 or uint8; else as `write_label_map`."""
    if values.dtype not in (np.float32, np.int16, np.uint8):
        raise InputError(f"{path.name}: values are written as float32, int16 or uint8, not {values.dtype}.")
    _write(path, values, geometry, None, overwrite=overwrite)


def _write(path: Path, voxels: NDArray[Any], geometry: Geometry, look: _Look | None, *, overwrite: bool) -> None:
    suffix = suffix_of(path)
    if suffix not in WRITABLE:
        raise InputError(f"{path.name}: label maps and values are written as {', '.join(WRITABLE)}.")
    if voxels.shape != geometry.shape:
        raise GeometryError(f"{path.name}: voxels of shape {voxels.shape} do not fit the grid {geometry.shape}.")
    with written_aside(path, overwrite=overwrite) as aside:
        if suffix in NIFTI:
            _write_nifti(aside, voxels, geometry, look)
        elif suffix in ZARR:
            look_of = None if look is None else (look.names, look.colours)
            write_ome_zarr(aside, stem_of(path), voxels, geometry, look_of)
        else:
            _write_itk(aside, voxels, geometry, look or _NO_LOOK)


def _write_nifti(path: Path, voxels: NDArray[Any], geometry: Geometry, look: _Look | None) -> None:
    header = header_for(geometry, voxels.dtype)
    if look is not None:
        header["intent_code"] = INTENT_LABEL  # so that it is known for a label map when it comes back
    extension = names_extension(look.names, look.colours) if look is not None else names_extension({}, {})
    header["vox_offset"] = int(header["sizeof_hdr"]) + len(extension)
    content = geometry.to_source(voxels).astype(voxels.dtype.newbyteorder("<"), copy=False).tobytes(order="F")
    with path.open("wb") as file:
        if suffix_of(path) == ".nii":
            file.write(header.binaryblock + extension + content)
            return
        # No file name and no time in the gzip header: the same label map gives the same bytes.
        with gzip.GzipFile("", "wb", 6, file, mtime=0) as zipped:
            zipped.write(header.binaryblock + extension)
            zipped.write(content)


def _write_itk(path: Path, voxels: NDArray[Any], geometry: Geometry, look: _Look) -> None:
    image = image_for(voxels, geometry)
    if suffix_of(path) == ".nrrd":
        put_segments(image, look.names, look.colours)
    sitk.WriteImage(image, str(path), True)
    _refuse_cut_short(path, image)
    if suffix_of(path) == ".nrrd" and image.GetDimension() == 3:
        put_exact_grid(path, exact_lps(geometry))


def _refuse_cut_short(path: Path, image: sitk.Image) -> None:
    """Read again what ITK wrote: of a disk that was full it says nothing where the file is a MetaImage."""
    there = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    if not np.array_equal(there, sitk.GetArrayViewFromImage(image), equal_nan=True):
        raise RuntimeError(f"{path.name} is not what was written")
