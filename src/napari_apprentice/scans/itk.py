"""NRRD and MetaImage, by way of SimpleITK; its LPS world becomes RAS here and nowhere else."""

import hashlib
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813 - the name everyone knows it by
from numpy.typing import NDArray

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import GeometryError, ScanError
from napari_apprentice.scans.nifti import MOST_CHANNELS
from napari_apprentice.scans.oddities import spacing_warnings, voxel_warnings

FORMAT = "itk"
DETACHED = (".nhdr", ".mhd")
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_itk(path: Path) -> Volume:
    """Read an NRRD or MetaImage file, reoriented by whole axes only.

    Raises
    ------
    ScanError
        Damaged, cut off, or of a kind that is not read.
    """
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        _check_size(reader, path)
        image = reader.Execute()
    except RuntimeError as error:
        raise ScanError(f"{path.name} is damaged or cut off: {_reason(error)}") from error
    geometry = _geometry(image, path.name)
    voxels = geometry.to_canonical(_voxels(image, path.name))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    warnings = (*spacing_warnings(geometry, path.name), *voxel_warnings(voxels, path.name))
    channels = tuple(f"c{n}" for n in range(len(voxels)))
    return Volume(voxels, geometry, channels, path.name, digest, warnings)


def read_segment_names(path: Path) -> dict[int, str]:
    """Names of labels in a NRRD written by 3D Slicer (Segment0_Name ...) or by this program."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    keys = (re.fullmatch(r"Segment(\d+)_LabelValue", key) for key in reader.GetMetaDataKeys())
    names = {}
    for match in keys:
        name = f"Segment{match.group(1)}_Name" if match else ""
        if match and reader.HasMetaDataKey(name):
            names[int(reader.GetMetaData(match.group(0)))] = reader.GetMetaData(name)
    return names


def image_for(voxels: NDArray[Any], geometry: Geometry) -> sitk.Image:
    """An ITK image on the source's grid, from voxels (z, y, x)."""
    source = geometry.to_source(voxels)
    flat = geometry.header.get("format") == FORMAT and geometry.header.get("dimension") == 2
    image = sitk.GetImageFromArray((source[:, :, 0] if flat else source).T)
    fields = geometry.header if geometry.header.get("format") == FORMAT else _fields(geometry.source_affine)
    image.SetOrigin(fields["origin"])
    image.SetSpacing(fields["spacing"])
    image.SetDirection(fields["direction"])
    return image


def _check_size(reader: sitk.ImageFileReader, path: Path) -> None:
    if reader.GetPixelID() == sitk.sitkUnknown:
        raise ScanError(f"{path.name} holds voxels of a kind that is not read.")
    size = math.prod(reader.GetSize()) * reader.GetNumberOfComponents()
    files = path.parent.iterdir() if path.suffix.lower() in DETACHED else [path]
    # Deflate cannot shrink further than 1032 times; a header that claims more would only eat memory.
    if size < 1 or size > 1032 * sum(f.stat().st_size for f in files if f.is_file()):
        raise ScanError(f"{path.name} is cut off or damaged: its header claims {size:,} voxels. Fetch it again.")


def _geometry(image: sitk.Image, name: str) -> Geometry:
    dimension = image.GetDimension()
    if dimension not in (2, 3):
        raise ScanError(f"{name} has {dimension} axes; scans of 2 or 3 axes are read.")
    header = {
        "format": FORMAT,
        "dimension": dimension,
        "origin": list(image.GetOrigin()),
        "spacing": list(image.GetSpacing()),
        "direction": list(image.GetDirection()),
    }
    affine = np.eye(4)
    affine[:dimension, :dimension] = np.reshape(header["direction"], (dimension, dimension)) * header["spacing"]
    affine[:dimension, 3] = header["origin"]
    i, j, k = (*image.GetSize(), 1)[:3]
    try:
        return Geometry.from_source((i, j, k), LPS_TO_RAS @ affine, header)
    except GeometryError as error:
        raise ScanError(f"{name} has no usable orientation: {error}") from error


def _voxels(image: sitk.Image, name: str) -> NDArray[Any]:
    array = sitk.GetArrayFromImage(image)
    if array.dtype.kind not in "iuf":
        raise ScanError(f"{name} holds voxels of type {array.dtype}, which are not read.")
    count = image.GetNumberOfComponentsPerPixel()
    if count > MOST_CHANNELS:
        raise ScanError(f"{name} holds {count} values per voxel; time series and tensors are not read yet.")
    if count == 1:
        array = array[..., None]
    if image.GetDimension() == 2:
        array = array[None]
    voxels: NDArray[Any] = array.transpose(3, 2, 1, 0)
    return voxels


def _fields(affine: NDArray[np.float64]) -> dict[str, list[float]]:
    lps = LPS_TO_RAS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    return {
        "origin": lps[:3, 3].tolist(),
        "spacing": spacing.tolist(),
        "direction": (lps[:3, :3] / spacing).ravel().tolist(),
    }


def _reason(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no reason was given."
