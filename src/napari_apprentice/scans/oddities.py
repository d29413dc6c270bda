"""Sentences about scans that can be read but deserve a look."""

from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from napari_apprentice.core.geometry import Geometry

_UNITS = {1: "metres", 3: "micrometres"}


def voxel_warnings(voxels: NDArray[Any], name: str) -> tuple[str, ...]:
    """What is odd about voxels (c, z, y, x)."""
    found = []
    if voxels.dtype.kind == "f":
        # Channel and slab at a time: a mask of the whole volume would cost as much as the volume.
        bad = sum(int(np.count_nonzero(~np.isfinite(slab))) for channel in voxels for slab in channel)
        if bad:
            found.append(f"{name} holds {bad} voxels that are not numbers (NaN or infinite).")
    for number, channel in enumerate(voxels):
        if channel.min() == channel.max():
            where = f"channel c{number} of {name}" if len(voxels) > 1 else name
            found.append(f"Every voxel of {where} has the same value.")
    return tuple(found)


def spacing_warnings(geometry: Geometry, name: str) -> list[str]:
    """Whether voxel sizes are far from anything a scanner makes."""
    if min(geometry.spacing) >= 0.01 and max(geometry.spacing) <= 100:
        return []
    sizes = " x ".join(f"{s:g}" for s in geometry.spacing)
    return [f"{name} has voxels of {sizes} mm (z, y, x); check the unit."]


def grid_warnings(header: Nifti1Header, geometry: Geometry, name: str) -> list[str]:
    """What is odd about where a NIfTI file says its voxels are."""
    found = spacing_warnings(geometry, name)
    unit = _UNITS.get(int(header["xyzt_units"]) & 7)
    if unit:
        found.append(f"{name} says that its lengths are in {unit}; they were taken as millimetres.")
    qform, sform = int(header["qform_code"]) > 0, int(header["sform_code"]) > 0
    if not qform and not sform:
        found.append(f"{name} says nothing about its orientation; left and right may be swapped.")
    if qform and sform and _forms_differ(header, geometry):
        found.append(f"{name}: its q-form and s-form place the voxels differently; the s-form was taken.")
    return found


def _forms_differ(header: Nifti1Header, geometry: Geometry) -> bool:
    far = np.array([*geometry.source_shape, 1.0])
    try:
        apart = (header.get_qform() - geometry.source_affine) @ far
    except (HeaderDataError, ValueError, np.linalg.LinAlgError):  # a quaternion that is none
        return True
    return bool(np.linalg.norm(apart[:3]) > min(geometry.spacing))
