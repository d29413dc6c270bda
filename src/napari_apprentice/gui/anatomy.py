"""Which way of the patient a direction points, and which voxel of the file a place is: words for the screen."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.geometry import Geometry

SLANT = np.sin(np.radians(20))  # from here on a direction is named by two letters, such as RA
_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))  # against and along the axes of RAS+


def letters_towards(direction: Sequence[float] | NDArray[np.float64]) -> str:
    """Letters of the patient's sides a direction in RAS+ points to, the closest first.

    A side whose axis is closer than 20 degrees to being crossed at a right angle is left out.
    """
    unit = np.asarray(direction, dtype=np.float64)
    unit = unit / np.linalg.norm(unit)
    by_size = [int(a) for a in np.argsort(-np.abs(unit), kind="stable")]
    named = [by_size[0], *(a for a in by_size[1:] if abs(unit[a]) > SLANT)]
    return "".join(_LETTERS[a][int(unit[a] > 0)] for a in named)


def edge_letters(
    geometry: Geometry, displayed: tuple[int, int], vertical: str = "down", horizontal: str = "right"
) -> tuple[str, str, str, str]:
    """Letters at the top, bottom, left and right edge of a slice on the screen.

    Parameters
    ----------
    geometry
        Of the scan shown, in canonical order.
    displayed
        Which of its axes 0 (z), 1 (y), 2 (x) run along the screen's rows and columns.
    vertical, horizontal
        Where on the screen these axes lead: "down" or "up", "right" or "left".
    """
    down, right = (geometry.affine[:3, axis] for axis in displayed)
    down = down if vertical == "down" else -down
    right = right if horizontal == "right" else -right
    return letters_towards(-down), letters_towards(down), letters_towards(-right), letters_towards(right)


def patient_position(geometry: Geometry, index: Sequence[float] | NDArray[np.float64]) -> str:
    """A canonical voxel index (z, y, x), fractions allowed, as a place in the patient: "R 12.3  P 40.1  S 88.0 mm"."""
    ras = (geometry.affine @ [*index, 1.0])[:3]
    parts = (f"{_LETTERS[a][int(value >= 0)]} {abs(value):.1f}" for a, value in enumerate(ras))
    return "  ".join(parts) + " mm"


def file_index(geometry: Geometry, index: Sequence[int]) -> tuple[int, int, int]:
    """A canonical voxel index (z, y, x) as the source file's own (i, j, k)."""
    found = [0, 0, 0]
    for axis, (source, flip) in enumerate(zip(geometry.permutation, geometry.flips, strict=True)):
        found[source] = geometry.source_shape[source] - 1 - int(index[axis]) if flip else int(index[axis])
    return found[0], found[1], found[2]
