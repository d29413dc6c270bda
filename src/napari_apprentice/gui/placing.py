"""Where a scan lies in napari's world: millimetres along (z, y, x), which run to Superior, Posterior and Left."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.geometry import CANONICAL, Geometry

AXES = ("z", "y", "x")
UNITS = ("mm",) * 3
KEY = "apprentice"  # in a layer's metadata
SAME_MM = 1e-4


def place_of(geometry: Geometry) -> dict[str, Any]:
    """Layer arguments scale, translate, units and axis_labels for voxels in canonical order.

    An upright scan lies exactly where it is in the patient, so scans of one patient on different grids
    lie over each other. napari cannot slice along oblique axes; an oblique or sheared scan is shown along
    its own axes, and only its centre is where it is in the patient.
    """
    return {"scale": geometry.spacing, "translate": origin_of(geometry), "units": UNITS, "axis_labels": AXES}


def origin_of(geometry: Geometry) -> tuple[float, float, float]:
    """Where the centre of voxel (0, 0, 0) is put, in mm along (z, y, x)."""
    middle = (np.array(geometry.shape) - 1) / 2
    world = CANONICAL @ (geometry.affine @ [*middle, 1.0])[:3]
    z, y, x = (float(v) for v in world - middle * geometry.spacing)
    return z, y, x


def is_oblique(geometry: Geometry) -> bool:
    """Whether the scan's axes are not the patient's, by more than a tenth of a voxel over its whole length."""
    upright = np.eye(4)
    upright[:3, :3] = CANONICAL.T @ np.diag(geometry.spacing)
    reach = np.array(geometry.shape) - 1
    apart: NDArray[np.float64] = np.abs((geometry.affine - upright)[:3, :3]) @ reach
    return bool(apart.max() > 0.1 * min(geometry.spacing))


def metadata_of(geometry: Geometry, **more: Any) -> dict[str, Any]:
    """A layer's metadata from which its grid is known again; JSON values only."""
    return {KEY: {"geometry": geometry.to_json(), **more}}


def geometry_in(layer_or_meta: Any, shape: tuple[int, ...]) -> Geometry | None:
    """The grid a layer brought with it, unless its voxels or its place were changed since.

    Parameters
    ----------
    layer_or_meta
        A layer, or the dictionary of its attributes that napari hands to writers.
    shape
        Of its voxels now.
    """
    known = _get(layer_or_meta, "metadata", {}).get(KEY)
    if not isinstance(known, dict) or "geometry" not in known:
        return None
    geometry = Geometry.from_json(known["geometry"])
    return geometry if tuple(shape) == geometry.shape and lies_at(layer_or_meta, geometry) else None


def lies_at(layer_or_meta: Any, geometry: Geometry) -> bool:
    """Whether a layer is placed as `place_of` would place it."""
    away = _offset(layer_or_meta, geometry)
    return away is not None and bool((np.abs(away) < _same_mm(geometry)).all())


def part_in(layer_or_meta: Any, shape: tuple[int, ...], geometry: Geometry) -> Geometry | None:
    """The grid of a layer that was cut out of a scan, voxel on voxel; None where it was not.

    On the screen an oblique scan lies along its own axes, so only this says where a piece of it is in the patient.
    """
    away = _offset(layer_or_meta, geometry)
    if away is None or len(shape) != 3:
        return None
    first = np.round(away / geometry.spacing).astype(int)
    apart = np.abs(away - first * geometry.spacing)
    if (apart > _same_mm(geometry)).any() or (first < 0).any() or (first + shape > geometry.shape).any():
        return None
    z, y, x = (int(n) for n in first)
    return geometry.part((z, y, x), (int(shape[0]), int(shape[1]), int(shape[2])))


def _offset(layer_or_meta: Any, geometry: Geometry) -> NDArray[np.float64] | None:
    """Millimetres from a scan's first voxel to a layer's, if the layer is neither turned nor stretched."""
    scale, translate = (_get(layer_or_meta, name, ()) for name in ("scale", "translate"))
    if len(scale) != 3 or not _unturned(layer_or_meta):
        return None
    place = place_of(geometry)
    reach = np.abs(np.subtract(scale, place["scale"])) * geometry.shape
    return np.subtract(translate, place["translate"]) if (reach < _same_mm(geometry)).all() else None


def _same_mm(geometry: Geometry) -> float:
    """Millimetres that are rounding and no other place: a tenth of a voxel where voxels are of nanometres."""
    return min(SAME_MM, 0.1 * min(geometry.spacing))


def _unturned(layer_or_meta: Any) -> bool:
    rotate, shear = _get(layer_or_meta, "rotate", np.eye(3)), _get(layer_or_meta, "shear", np.zeros(3))
    affine = _get(layer_or_meta, "affine", np.eye(4))
    matrix = np.asarray(getattr(affine, "affine_matrix", affine))
    return np.allclose(rotate, np.eye(3)) and np.allclose(shear, 0) and np.allclose(matrix, np.eye(len(matrix)))


def _get(layer_or_meta: Any, name: str, default: Any) -> Any:
    if isinstance(layer_or_meta, dict):
        return layer_or_meta.get(name, default)
    return getattr(layer_or_meta, name, default)


def move_to(layer: Any, geometry: Geometry) -> None:
    """Put a layer where another scan lies; scans mostly share their place, and each change draws anew."""
    place = place_of(geometry)
    for name in ("scale", "translate"):
        if not np.array_equal(getattr(layer, name), place[name]):
            setattr(layer, name, place[name])
    if not _unturned(layer):  # by hand, with napari's tool for that
        layer.rotate, layer.shear, layer.affine = np.eye(3), np.zeros(3), np.eye(4)
