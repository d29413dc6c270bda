"""NIfTI-1 and NIfTI-2 in one file, plain or gzipped."""

import io
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import GeometryError, ScanError
from napari_apprentice.scans.nifti_grid import grid_fields
from napari_apprentice.scans.oddities import grid_warnings, voxel_warnings
from napari_apprentice.scans.raw import RawFile

_HEADERS = {348: Nifti1Header, 540: Nifti2Header}
MOST_CHANNELS = 8


def read_nifti(path: Path) -> Volume:
    """Read a NIfTI file, reoriented by whole axes only.

    Voxels keep the file's number type unless it asks for scaling (then float32).

    Raises
    ------
    ScanError
        No NIfTI, damaged, cut off, or of a kind that is not read.
    """
    with RawFile(path) as raw:
        header = _header(raw)
        shape = _shape(header, raw.name)
        dtype = _dtype(header, raw.name)
        warnings: list[str] = []
        geometry = _geometry(header, shape[:3], raw.name, warnings)
        _skip_to_voxels(header, raw)
        data = raw.read(math.prod(shape) * dtype.itemsize, "the block of voxels")
        raw.finish()
    voxels = np.frombuffer(data, dtype).reshape(shape, order="F")
    voxels = _scaled(voxels.astype(dtype.newbyteorder("="), copy=False), header)
    voxels = geometry.to_canonical(np.moveaxis(voxels, 3, 0))
    return Volume(
        voxels,
        geometry,
        tuple(f"c{n}" for n in range(shape[3])),
        raw.name,
        raw.digest,
        (*warnings, *raw.warnings, *voxel_warnings(voxels, raw.name)),
    )


def _header(raw: RawFile) -> Nifti1Header:
    block = raw.read(min(raw.most, 4), "the header")
    sizes = {struct.unpack(order + "i", block)[0] for order in "<>"} if len(block) == 4 else set()
    size = next((s for s in _HEADERS if s in sizes), None)
    if size is None:
        raise ScanError(f"{raw.name} is no NIfTI file: it does not begin with a NIfTI header.")
    block += raw.read(size - 4, "the header")
    header: Nifti1Header = _HEADERS[size].from_fileobj(io.BytesIO(block), check=False)
    if not bytes(block[344:348] if size == 348 else block[4:8]).startswith(b"n+"):
        raise ScanError(
            f"{raw.name} is no NIfTI file in one piece: its magic string is wrong. Files in two parts "
            "(.hdr and .img) are not read; convert them to .nii.gz."
        )
    return header


def _shape(header: Nifti1Header, name: str) -> tuple[int, int, int, int]:
    count = int(header["dim"][0])
    dims = [int(n) for n in header["dim"][1 : count + 1]]
    if not 1 <= count <= 7 or min(dims) < 1:
        raise ScanError(f"{name} is damaged: its header gives {count} axes of sizes {dims}.")
    while len(dims) > 3 and dims[-1] == 1:
        dims.pop()
    if len(dims) < 2 or len(dims) > 4:
        raise ScanError(f"{name} has {len(dims)} axes {tuple(dims)}; scans of 2 or 3 axes are read.")
    if len(dims) == 4 and dims[3] > MOST_CHANNELS:
        raise ScanError(
            f"{name} holds {dims[3]} volumes; time series are not read yet. Save the volume you want as a file."
        )
    dims += [1] * (4 - len(dims))
    return dims[0], dims[1], dims[2], dims[3]


def _dtype(header: Nifti1Header, name: str) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = header.get_data_dtype()
    except HeaderDataError as error:
        raise ScanError(f"{name} is damaged: its header names no known number type.") from error
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        kind = "colour" if dtype.kind == "V" else "complex" if dtype.kind == "c" else str(dtype)
        raise ScanError(f"{name} holds {kind} voxels, which are not read; save it with one number per voxel.")
    return dtype


def _geometry(header: Nifti1Header, shape: tuple[int, ...], name: str, warnings: list[str]) -> Geometry:
    fields = grid_fields(header)
    mended = header.copy()
    pixdim = mended["pixdim"]
    if int(header["sform_code"]) <= 0 and not (np.isfinite(pixdim[1:4]).all() and (pixdim[1:4] > 0).all()):
        warnings.append(f"{name}: voxel sizes {pixdim[1:4].tolist()} are not above 0; check them.")
    # As nibabel mends a header it loads: sizes above 0, quaternion handedness of 1 or -1.
    pixdim[1:4] = np.where(pixdim[1:4] == 0, 1, np.abs(pixdim[1:4]))
    pixdim[0] = -1 if pixdim[0] == -1 else 1
    try:
        geometry = Geometry.from_source((shape[0], shape[1], shape[2]), mended.get_best_affine(), fields)
    except (GeometryError, HeaderDataError, ValueError, np.linalg.LinAlgError) as error:
        raise ScanError(f"{name} has no usable orientation: {error}") from error
    warnings += grid_warnings(mended, geometry, name)
    return geometry


def _skip_to_voxels(header: Nifti1Header, raw: RawFile) -> None:
    offset = float(header["vox_offset"])
    if not math.isfinite(offset):
        raise ScanError(f"{raw.name} is damaged: its header does not say where the voxels begin.")
    # 0 is common and means "after the header and its four extension bytes".
    gap = int(offset) - int(header["sizeof_hdr"]) if offset else 4
    if gap < 0:
        raise ScanError(f"{raw.name} is damaged: its voxels would begin inside the header.")
    raw.read(gap, "the space before the voxels")


def _scaled(voxels: NDArray[Any], header: Nifti1Header) -> NDArray[Any]:
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    inter = inter if math.isfinite(inter) else 0.0
    if not math.isfinite(slope) or slope == 0 or (slope == 1 and inter == 0):
        return voxels
    scaled = np.empty(voxels.shape, np.float32, order="F")
    for k in range(voxels.shape[2]):  # slice by slice: float64 for exactness, never for the whole volume
        scaled[:, :, k] = voxels[:, :, k].astype(np.float64) * slope + inter
    return scaled
