"""NIfTI-1 and NIfTI-2 in one file or two, plain or gzipped, and Analyze 7.5, their ancestor."""

import hashlib
import io
import math
import struct
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.analyze import AnalyzeHeader
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.reading import ReadSettings, Step
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import GeometryError, ScanError
from napari_apprentice.scans import analyze
from napari_apprentice.scans.blocks import Block, check_block, read_block
from napari_apprentice.scans.colour import as_channels
from napari_apprentice.scans.nifti_grid import grid_fields
from napari_apprentice.scans.oddities import grid_warnings
from napari_apprentice.scans.pairs import header_of, image_of, is_pair
from napari_apprentice.scans.raw import RawFile
from napari_apprentice.scans.volumes import volume_names, volumes_to_read

_HEADERS = {348: Nifti1Header, 540: Nifti2Header}


def read_nifti(path: Path, settings: ReadSettings) -> Volume:
    """Read a NIfTI file or pair, reoriented by whole axes only.

    Voxels keep the file's number type unless it asks for scaling (then float32).

    Raises
    ------
    ChoiceError
        It holds many volumes and none is chosen.
    ScanError
        No NIfTI, damaged, cut off, or of a kind that is not read.
    """
    with ExitStack() as stack:
        head = stack.enter_context(RawFile(header_of(path) if is_pair(path) else path))
        header = _header(head, paired=is_pair(path))
        shape = _shape(header, path.name)
        dtype = _dtype(header, path.name)
        warnings: list[str] = []
        geometry = _geometry(header, shape[:3], path.name, warnings)
        body = head
        if is_pair(path):
            head.finish(footer=True)
            body = stack.enter_context(RawFile(image_of(path)))
        block = Block(shape, dtype, *_scaling(header, dtype))
        check_block(body, block)
        chosen, steps = volumes_to_read(shape[3], settings, path.name)
        _skip_to_voxels(header, body, in_header=body is head)
        stored = read_block(body, block, chosen)
        body.finish()
        digest = head.digest if body is head else _both(head, body)
    warnings += [*head.warnings, *(body.warnings if body is not head else ())]
    voxels, names, coloured = _channels(stored, chosen, settings, path.name, warnings)
    voxels = geometry.to_canonical(voxels)
    return Volume(voxels, geometry, names, path.name, digest, tuple(warnings), (*steps, *coloured))


def _header(raw: RawFile, *, paired: bool) -> AnalyzeHeader:
    block = raw.read(min(raw.most, 4), "the header")
    sizes = {struct.unpack(order + "i", block)[0] for order in "<>"} if len(block) == 4 else set()
    size = next((s for s in _HEADERS if s in sizes), None)
    if size is None:
        raise ScanError(f"{raw.name} is no NIfTI file: it does not begin with a NIfTI header.")
    block += raw.read(size - 4, "the header")
    magic = block[344:348] if size == 348 else block[4:8]
    if paired and size == 348 and not magic.startswith((b"ni1", b"n+1")):
        return analyze.header(block)
    header: Nifti1Header = _HEADERS[size].from_fileobj(io.BytesIO(block), check=False)
    if not paired and not magic.startswith(b"n+"):
        raise ScanError(
            f"{raw.name} is no NIfTI file in one piece: its magic string is wrong. Of a scan in two files, "
            "name the one that ends in .hdr."
        )
    return header


def _shape(header: AnalyzeHeader, name: str) -> tuple[int, int, int, int]:
    count = int(header["dim"][0])
    dims = [int(n) for n in header["dim"][1 : count + 1]]
    if not 1 <= count <= 7 or min(dims) < 1:
        raise ScanError(f"{name} is damaged: its header gives {count} axes of sizes {dims}.")
    # Vectors have a time axis of one before theirs.
    found = dims[:3] + [n for n in dims[3:] if n > 1]
    if len(found) < 2 or len(found) > 4:
        raise ScanError(f"{name} has {len(dims)} axes {tuple(dims)}; scans of 2 to 4 axes are read.")
    found += [1] * (4 - len(found))
    return found[0], found[1], found[2], found[3]


def _dtype(header: AnalyzeHeader, name: str) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = header.get_data_dtype()
    except HeaderDataError as error:
        raise ScanError(f"{name} is damaged: its header names no known number type.") from error
    if dtype.names in (("R", "G", "B"), ("R", "G", "B", "A")):
        return dtype
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        kind = "complex" if dtype.kind == "c" else str(dtype)
        raise ScanError(f"{name} holds {kind} voxels, which are not read; save it with one number per voxel.")
    return dtype


def _geometry(header: AnalyzeHeader, shape: tuple[int, ...], name: str, warnings: list[str]) -> Geometry:
    try:
        if not isinstance(header, Nifti1Header):
            affine, fields = analyze.grid(header, name, warnings)
            return Geometry.from_source((shape[0], shape[1], shape[2]), affine, fields)
        mended = _mended(header, name, warnings)
        affine = mended.get_best_affine()
        geometry = Geometry.from_source((shape[0], shape[1], shape[2]), affine, grid_fields(header))
    except (GeometryError, HeaderDataError, ValueError, np.linalg.LinAlgError) as error:
        raise ScanError(f"{name} has no usable orientation: {error}") from error
    warnings += grid_warnings(mended, geometry, name)
    return geometry


def _mended(header: Nifti1Header, name: str, warnings: list[str]) -> Nifti1Header:
    """As nibabel mends a header it loads: sizes above 0, quaternion handedness 1 or -1; no s-form without a place."""
    mended: Nifti1Header = header.copy()
    if int(header["sform_code"]) > 0 and int(header["qform_code"]) > 0 and not _places(header.get_sform()):
        warnings.append(f"{name}: its s-form does not say where the voxels are; the q-form was taken.")
        mended["sform_code"] = 0
    pixdim = mended["pixdim"]
    if int(mended["sform_code"]) <= 0 and not (np.isfinite(pixdim[1:4]).all() and (pixdim[1:4] > 0).all()):
        warnings.append(f"{name}: voxel sizes {pixdim[1:4].tolist()} are not above 0; check them.")
    pixdim[1:4] = np.where(pixdim[1:4] == 0, 1, np.abs(pixdim[1:4]))
    pixdim[0] = -1 if pixdim[0] == -1 else 1
    return mended


def _places(affine: NDArray[np.float64]) -> bool:
    """Whether an affine gives every voxel a place of its own."""
    return bool(np.isfinite(affine).all() and np.linalg.det(affine[:3, :3]) != 0)


def _skip_to_voxels(header: AnalyzeHeader, raw: RawFile, *, in_header: bool) -> None:
    offset = float(header["vox_offset"])
    if not math.isfinite(offset):
        raise ScanError(f"{raw.name} is damaged: its header does not say where the voxels begin.")
    # 0 is common and means "after the header and its four extension bytes".
    behind = int(header["sizeof_hdr"]) if in_header else 0
    gap = int(offset) - behind if offset else 4 if in_header else 0
    if gap < 0:
        raise ScanError(f"{raw.name} is damaged: its voxels would begin inside the header.")
    raw.skip(gap, "the space before the voxels")


def _scaling(header: AnalyzeHeader, dtype: np.dtype[Any]) -> tuple[float, float]:
    if dtype.names:
        return 1.0, 0.0
    if isinstance(header, Nifti1Header):
        slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    else:
        slope, inter = analyze.scaling(header)
    if not math.isfinite(slope) or slope == 0:
        return 1.0, 0.0
    return slope, inter if math.isfinite(inter) else 0.0


def _channels(
    stored: NDArray[Any], chosen: tuple[int, ...], settings: ReadSettings, name: str, warnings: list[str]
) -> tuple[NDArray[Any], tuple[str, ...], tuple[Step, ...]]:
    """Voxels (c, i, j, k) and their names, from (volume, i, j, k) as read."""
    if not stored.dtype.names:
        return stored, volume_names(chosen), ()
    if len(stored) > 1:
        raise ScanError(f"{name} holds {len(stored)} coloured volumes, which are not read; save one as a file.")
    count = len(stored.dtype.names)
    parts = stored[0].T.view(np.uint8).reshape(*stored.shape[:0:-1], count).T
    voxels, names, steps, more = as_channels(parts, settings, name)
    warnings += more
    return voxels, names, steps


def _both(head: RawFile, body: RawFile) -> str:
    """One digest of two files: of the digest of each."""
    return hashlib.sha256(f"{head.digest}{body.digest}".encode()).hexdigest()
