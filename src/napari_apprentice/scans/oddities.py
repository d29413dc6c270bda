"""Sentences about scans that can be read but deserve a look."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.reading import ReadSettings, Step
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import ScanError

# What is larger was not measured: the largest number of float32 or float64 fills places without a value, and one such
# voxel would leave nothing of all others in a mean.
LARGEST = 1e30
_MOST_LABELS = 32  # and the background; what has more is a scan, or a map of everything
_UNITS = {1: "metres", 3: "micrometres"}


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


def handle_not_numbers(volume: Volume, settings: ReadSettings) -> Volume:
    """Do with NaN and infinite voxels what the settings say, and add what is odd about the voxels.

    Raises
    ------
    ScanError
        There are some, and the settings refuse them.
    """
    warnings = dict.fromkeys(volume.warnings)
    bad = count_not_numbers(volume.voxels)
    what = "that are not numbers (NaN, infinite or beyond 1e30)"
    if bad and settings.not_numbers == "refuse":
        raise ScanError(f"{volume.source_name} holds {bad} voxels {what}.")
    steps = volume.steps
    if bad and settings.not_numbers == "zero":
        for slab in _slabs(volume.voxels):
            slab[~_numbers(slab)] = 0
        steps = (*steps, Step("fill", f"{bad} voxels that were not numbers became 0.", {"voxels": bad}))
    elif bad:
        warnings[f"{volume.source_name} holds {bad} voxels {what}."] = None
        steps = (*steps, *_made_infinite(volume.voxels))
    warnings |= dict.fromkeys(constant_warnings(volume.voxels, volume.channels, volume.source_name))
    return replace(volume, warnings=tuple(warnings), steps=steps)


def count_not_numbers(voxels: NDArray[Any]) -> int:
    """How many voxels (c, z, y, x) are NaN, infinite or too large for any use, slab by slab so as to take no memory."""
    if voxels.dtype.kind != "f":
        return 0
    return sum(slab.size - int(np.count_nonzero(_numbers(slab))) for slab in _slabs(voxels))


def _numbers(slab: NDArray[Any]) -> NDArray[np.bool_]:
    # the largest number of a small type is below, and 1e30 would be infinite there
    numbers: NDArray[np.bool_] = np.isfinite(slab) & (np.abs(slab) <= min(LARGEST, float(np.finfo(slab.dtype).max)))
    return numbers


def _made_infinite(voxels: NDArray[Any]) -> tuple[Step, ...]:
    """Make fillers what they stand for, so that they are passed over like other voxels without a value."""
    count = 0
    for slab in _slabs(voxels):
        fillers = np.isfinite(slab) & ~_numbers(slab)
        slab[fillers] = np.copysign(np.inf, slab[fillers])
        count += int(np.count_nonzero(fillers))
    return (Step("fill", f"{count} voxels beyond 1e30 became infinite.", {"voxels": count}),) if count else ()


def constant_warnings(voxels: NDArray[Any], channels: tuple[str, ...], name: str) -> list[str]:
    """Which channels (c, z, y, x) hold one value only; the first other value ends the search."""
    found = []
    for channel, values in zip(channels, voxels, strict=True):
        first = values.flat[0]
        if all((slab == first).all() for slab in _slabs(values[None])):
            where = f"channel {channel} of {name}" if len(channels) > 1 else name
            found.append(f"Every voxel of {where} has the same value.")
    return found


def label_map_warnings(volume: Volume) -> list[str]:
    """Whether a scan may be a label map: no more than a few whole numbers, most of them 0.

    A scan has many numbers, and the first slabs that hold them end the search.
    """
    if len(volume.voxels) > 1:
        return []
    values: set[float] = set()
    for slab in _slabs(volume.voxels):
        values.update(np.unique(slab).tolist())
        if len(values) > _MOST_LABELS or not all(v >= 0 and float(v).is_integer() for v in values):
            return []
    if len(values) < 2 or 2 * np.count_nonzero(volume.voxels) > volume.voxels.size:
        return []
    return [
        f"{volume.source_name} was added as a scan, but holds few whole numbers, most of them 0, as a label map does. "
        "A label map is given to the case of its scan: apprentice correct STUDY CASE LABELMAP."
    ]


def _slabs(voxels: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Slabs of each channel across the axis along which memory is widest, so that each lies in one piece."""
    for channel in voxels:
        widest = int(np.argmax(np.abs(channel.strides)))
        yield from np.moveaxis(channel, widest, 0)
