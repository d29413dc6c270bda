"""NRRD and MetaImage, by way of SimpleITK; its LPS world becomes RAS here and nowhere else."""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813 - the name everyone knows it by
from numpy.typing import NDArray

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.reading import ReadSettings, Step
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import GeometryError, ScanError
from napari_apprentice.scans.colour import as_channels
from napari_apprentice.scans.detached import voxel_files
from napari_apprentice.scans.itk_silence import signs_to_lps, silence_warnings
from napari_apprentice.scans.meta_header import META, check_meta_header
from napari_apprentice.scans.nrrd_vectors import exact_grid
from napari_apprentice.scans.oddities import spacing_warnings
from napari_apprentice.scans.raw import RATIO
from napari_apprentice.scans.volumes import volume_names, volumes_to_read

FORMAT = "itk"
GROUPS = "org.mitk.multilabel.segmentation.labelgroups"
NRRD = (".nrrd", ".nhdr")
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_COMPLEX = (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64)


def read_itk(path: Path, settings: ReadSettings) -> Volume:
    """Read an NRRD or MetaImage file, reoriented by whole axes only.

    Raises
    ------
    ChoiceError
        It holds many volumes and none is chosen.
    ScanError
        Damaged, cut off, or of a kind that is not read.
    """
    check_meta_header(path)
    files = voxel_files(path)
    reader = reader_of(path)
    try:
        reader.ReadImageInformation()
        _check(reader, path, files)
        geometry = _geometry(reader, path)
        voxels, names, steps, warnings = _read(reader, path.name, settings)
    except RuntimeError as error:
        raise ScanError(f"{path.name} is damaged or cut off: {_reason(error)}") from error
    warnings = (*spacing_warnings(geometry, path.name), *silence_warnings(path), *warnings)
    digest = _digest(tuple(dict.fromkeys((path, *files))))
    return Volume(geometry.to_canonical(voxels), geometry, names, path.name, digest, warnings, steps)


def reader_of(path: Path) -> sitk.ImageFileReader:
    """ITK's reader of a file, nothing read yet."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    if path.suffix.lower() in META:  # ITK knows .mha and .mhd in small letters only
        reader.SetImageIO("MetaImageIO")
    return reader


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


def exact_lps(geometry: Geometry) -> NDArray[np.float64]:
    """(4, 4) float64, (i, j, k, 1) of the source to LPS+, for formats that can keep it to the last bit."""
    exact = geometry.header.get("exact")
    return np.array(exact, dtype=np.float64) if exact is not None else LPS_TO_RAS @ geometry.source_affine


def _check(reader: sitk.ImageFileReader, path: Path, files: Sequence[Path]) -> None:
    dimension = reader.GetDimension()
    if dimension not in (2, 3, 4):
        raise ScanError(f"{path.name} has {dimension} axes; scans of 2 to 4 axes are read.")
    if reader.GetPixelID() in _COMPLEX:
        raise ScanError(f"{path.name} holds complex voxels, which are not read; save it with one number per voxel.")
    if reader.GetPixelID() == sitk.sitkUnknown:
        raise ScanError(f"{path.name} holds voxels of a kind that is not read.")
    size = math.prod(reader.GetSize()) * reader.GetNumberOfComponents()
    # Deflate cannot shrink further; a header that claims more would only eat memory.
    if size < 1 or size > RATIO * sum(f.stat().st_size for f in files):
        raise ScanError(f"{path.name} is cut off or damaged: its header claims {size:,} voxels. Fetch it again.")


def _geometry(reader: sitk.ImageFileReader, path: Path) -> Geometry:
    """Grid of the first three axes; what a fourth says is no place."""
    name = path.name
    axes = reader.GetDimension()
    dimension = min(axes, 3)
    signs = np.array(signs_to_lps(path) if path.suffix.lower() in NRRD else (1, 1, 1))[:dimension]
    spacing = np.array(reader.GetSpacing()[:dimension])  # below 0 where an axis runs backwards: ITK reads it only
    direction = np.reshape(reader.GetDirection(), (axes, axes))[:dimension, :dimension] * np.sign(spacing)
    header = {
        "format": FORMAT,
        "dimension": dimension,
        "origin": (signs * reader.GetOrigin()[:dimension]).tolist(),
        "spacing": np.abs(spacing).tolist(),
        "direction": (signs[:, None] * direction).ravel().tolist(),
    }
    affine = np.eye(4)
    affine[:dimension, :dimension] = np.reshape(header["direction"], (dimension, dimension)) * header["spacing"]
    affine[:dimension, 3] = header["origin"]
    exact = exact_grid(path) if axes == 3 and path.suffix.lower() in NRRD else None
    if exact is not None and np.allclose(exact, affine, rtol=1e-9, atol=1e-9):
        affine = exact
        header["exact"] = exact.tolist()
    i, j, k = (*reader.GetSize(), 1)[:3]
    try:
        return Geometry.from_source((i, j, k), LPS_TO_RAS @ affine, header)
    except GeometryError as error:
        raise ScanError(f"{name} has no usable orientation: {error}") from error


def _read(
    reader: sitk.ImageFileReader, name: str, settings: ReadSettings
) -> tuple[NDArray[Any], tuple[str, ...], tuple[Step, ...], tuple[str, ...]]:
    """Voxels (c, i, j, k), channel names, steps, warnings."""
    components = reader.GetNumberOfComponents()
    frames = reader.GetSize()[3] if reader.GetDimension() == 4 else 1
    # 3D Slicer and MITK keep segments that overlap so.
    layered = not {"Segment0_Layer", GROUPS}.isdisjoint(reader.GetMetaDataKeys())
    coloured = components in (3, 4) and reader.GetPixelID() == sitk.sitkVectorUInt8 and not layered
    if frames > 1 and components > 1:
        raise ScanError(f"{name} holds {frames} volumes of {components} values per voxel, which are not read.")
    if coloured:
        return as_channels(_voxels(reader.Execute(), name), settings, name)
    chosen, steps = volumes_to_read(frames * components, settings, name)
    if frames > 1 and len(chosen) < frames:
        voxels = _frames(reader, chosen, name)
    else:
        voxels = _voxels(reader.Execute(), name)
        voxels = voxels if chosen == tuple(range(len(voxels))) else voxels[list(chosen)]
    return voxels, volume_names(chosen), steps, ()


def _frames(reader: sitk.ImageFileReader, chosen: tuple[int, ...], name: str) -> NDArray[Any]:
    """Only these volumes (c, i, j, k) of a 4D file, one after the other."""
    size = reader.GetSize()
    found = []
    for n in chosen:
        reader.SetExtractSize([*size[:3], 0])
        reader.SetExtractIndex([0, 0, 0, n])
        found.append(_voxels(reader.Execute(), name))
    voxels: NDArray[Any] = found[0] if len(found) == 1 else np.concatenate(found)
    return voxels


def _voxels(image: sitk.Image, name: str) -> NDArray[Any]:
    """(c, i, j, k) of an image of 2, 3 or 4 axes."""
    array = sitk.GetArrayFromImage(image)
    if array.dtype.kind not in "iuf":
        raise ScanError(f"{name} holds voxels of type {array.dtype}, which are not read.")
    if image.GetDimension() == 4:
        array = np.moveaxis(array, 0, 3) if image.GetNumberOfComponentsPerPixel() == 1 else array[0]
    elif image.GetNumberOfComponentsPerPixel() == 1:
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


def _digest(files: Sequence[Path]) -> str:
    """SHA-256 of one file; of the digests of several."""
    found = []
    for path in files:
        with path.open("rb") as file:
            found.append(hashlib.file_digest(file, "sha256").hexdigest())
    return found[0] if len(found) == 1 else hashlib.sha256("".join(found).encode()).hexdigest()


def _reason(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no reason was given."
