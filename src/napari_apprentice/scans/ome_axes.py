"""What OME-Zarr metadata, 0.1 to 0.5, says about axes, sizes and channels, read with patience.

Source: https://ngff.openmicroscopy.org/0.4/ and /0.5/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from napari_apprentice.errors import ScanError
from napari_apprentice.scans.flat_grid import UNITS

_OLD_AXES = ("t", "c", "z", "y", "x")  # of 0.1 and 0.2, which do not name theirs
_ORDER = "tczyx"


@dataclass(frozen=True)
class OmeImage:
    """One multiscale image at full resolution.

    Parameters
    ----------
    array
        Path of its full-resolution array below the group.
    axes
        One letter of t, c, z, y, x per array axis.
    spacing, translation
        Millimetres along (z, y, x); 1 and 0 for an axis it lacks. None where no unit of length is told.
    told_unit
        Whether every space axis names a unit of length.
    """

    array: str
    axes: str
    spacing: tuple[float, float, float]
    translation: tuple[float, float, float]
    told_unit: bool

    def in_steps_of(self, spacing: tuple[float, float, float]) -> "OmeImage":
        """The same image with voxels of another size along (z, y, x) in mm, its place brought along."""
        z, y, x = (
            t * new / old if old else t for t, new, old in zip(self.translation, spacing, self.spacing, strict=True)
        )
        return replace(self, spacing=spacing, translation=(z, y, x))


def ome_image(attributes: Mapping[str, Any], name: str) -> OmeImage:
    """Read the first multiscale image of a group's attributes.

    Raises
    ------
    ScanError
        It holds none, or one that cannot be understood.
    """
    try:
        multiscale = attributes["multiscales"][0]
        dataset = multiscale["datasets"][0]
        axes = _axes(multiscale.get("axes", _OLD_AXES))
        steps = [*dataset.get("coordinateTransformations", ()), *multiscale.get("coordinateTransformations", ())]
        scale, shift = _composed(steps, len(axes))
        factors, told = _units(multiscale.get("axes", ()), axes)
        spacing = [s * f for s, f in zip(scale, factors, strict=True)]
        translation = [t * f for t, f in zip(shift, factors, strict=True)]
        return OmeImage(str(dataset["path"]), axes, _zyx(axes, spacing, 1.0), _zyx(axes, translation, 0.0), told)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ScanError(f"{name} is damaged: its OME-Zarr metadata cannot be understood ({error}).") from error


def channel_names(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Channel names that a viewer is to show (omero); () when there are none."""
    try:
        found = tuple(str(c["label"]) for c in attributes["omero"]["channels"])
    except (KeyError, TypeError, AttributeError):
        return ()
    return found if all(found) and len(set(found)) == len(found) else ()


def label_look(attributes: Mapping[str, Any]) -> tuple[dict[int, str], dict[int, str]]:
    """Names and colours (#rrggbb) of labels by id, from the image-label attributes."""
    names, colours = {}, {}
    try:
        facts = attributes.get("image-label") or {}
        for entry in (e for e in facts.get("colors", ()) if e.get("rgba")):
            red, green, blue = (int(part) for part in entry["rgba"][:3])
            colours[int(entry["label-value"])] = f"#{red:02x}{green:02x}{blue:02x}"
        for entry in facts.get("properties", ()):
            if "name" in entry:
                names[int(entry["label-value"])] = str(entry["name"])
    except (KeyError, TypeError, ValueError, AttributeError):  # names and colours are a convenience
        return {}, {}
    return names, colours


def _axes(axes: Sequence[Any]) -> str:
    letters = "".join(str(a["name"] if isinstance(a, Mapping) else a).lower() for a in axes)
    if not set(letters) <= set(_ORDER) or len(set(letters)) < len(letters) or not {"y", "x"} <= set(letters):
        raise ValueError(f"axes {letters}")
    return letters


def _composed(steps: Sequence[Mapping[str, Any]], count: int) -> tuple[list[float], list[float]]:
    """Scale and translation along every axis, steps applied one after the other."""
    scale, shift = [1.0] * count, [0.0] * count
    for step in steps:
        kind = step["type"]
        if kind == "identity":
            continue
        values = [float(v) for v in step[kind]]
        if kind == "scale":
            scale = [s * v for s, v in zip(scale, values, strict=True)]
            shift = [s * v for s, v in zip(shift, values, strict=True)]
        elif kind == "translation":
            shift = [s + v for s, v in zip(shift, values, strict=True)]
    return scale, shift


def _units(described: Sequence[Any], axes: str) -> tuple[list[float], bool]:
    """Millimetres per unit along every axis, and whether every space axis names its unit."""
    units = [str(a.get("unit") or "") if isinstance(a, Mapping) else "" for a in described] or [""] * len(axes)
    known = [UNITS.get(unit.lower()) for unit in units]
    told = all(factor for factor, axis in zip(known, axes, strict=True) if axis in "zyx")
    return [factor if factor and axis in "zyx" else 1.0 for factor, axis in zip(known, axes, strict=True)], told


def _zyx(axes: str, values: Sequence[float], absent: float) -> tuple[float, float, float]:
    by_axis = dict(zip(axes, values, strict=True))
    return by_axis.get("z", absent), by_axis["y"], by_axis["x"]
