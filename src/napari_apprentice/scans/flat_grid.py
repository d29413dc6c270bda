"""The grid of scans that say how far apart their voxels are, but not where left and right are."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.reading import ReadSettings, chosen_spacing
from napari_apprentice.errors import ChoiceError, GeometryError, InputError, ScanError

# Rows run to Posterior, columns to Left, slices to Superior (RAS+ columns of x, y, z): the radiological view.
RADIOLOGICAL = np.diag([-1.0, -1.0, 1.0])
# EXIF 2.3, 4.6.4 A, Orientation: where columns (x) and rows (y) of the file run in the upright picture,
# each as (to the right, down).
_UPRIGHT = {
    1: ((1, 0), (0, 1)),
    2: ((-1, 0), (0, 1)),
    3: ((-1, 0), (0, -1)),
    4: ((1, 0), (0, -1)),
    5: ((0, 1), (1, 0)),
    6: ((0, 1), (-1, 0)),
    7: ((0, -1), (-1, 0)),
    8: ((0, -1), (1, 0)),
}


def flat_geometry(
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    name: str,
    header: Mapping[str, Any],
    *,
    orientation: int = 1,
    translation: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Geometry:
    """Grid of voxels (x, y, z) as the file has them, taken as Left, Posterior, Superior.

    Parameters
    ----------
    shape
        Voxels along (x, y, z).
    spacing, translation
        Millimetres along (z, y, x).
    orientation
        EXIF's number of how to hold the picture; 1 is as stored.

    Raises
    ------
    ScanError
        The spacing is no size.
    """
    (right, down), (right2, down2) = _UPRIGHT.get(orientation, _UPRIGHT[1])
    turn = np.array([[right, right2, 0], [down, down2, 0], [0, 0, 1]], dtype=float)
    affine = np.eye(4)
    affine[:3, :3] = RADIOLOGICAL @ turn @ np.diag(spacing[::-1])
    affine[:3, 3] = RADIOLOGICAL @ np.array(translation[::-1])
    try:
        return Geometry.from_source(shape, affine, header)
    except GeometryError as error:
        raise ScanError(f"{name} has no usable voxel size: {error}") from error


def spacing_or_ask(
    told: tuple[float | None, float | None, float | None], settings: ReadSettings, name: str, *, flat: bool
) -> tuple[float, float, float]:
    """Voxel size along (z, y, x) in mm, from the file where it says so, else from the settings.

    Raises
    ------
    ChoiceError
        Neither says.
    """
    z, y, x = told
    if y and x and (z or flat):
        return z or 1.0, y, x
    try:
        given = chosen_spacing(settings.spacing)
    except InputError as error:
        raise ScanError(f"{name} does not say its voxel size. {error}") from error
    if given is None:
        form = "y,x, such as 0.5,0.5" if flat else "z,y,x, such as 3,0.8,0.8"
        raise ChoiceError(f"{name} does not say how large its voxels are. Give their size in mm as {form}.", "spacing")
    return given


def is_upright(number: int) -> bool:
    """Whether EXIF's number of the orientation is one that is known."""
    return number in _UPRIGHT


def millimetres(value: float, unit: str) -> float | None:
    """A length in millimetres; None when the unit is none of length."""
    factor = UNITS.get(unit.strip().lower())
    return None if factor is None or not np.isfinite(value) or value <= 0 else float(value) * factor


UNITS: Mapping[str, float] = {
    "angstrom": 1e-7, "å": 1e-7,
    "nanometer": 1e-6, "nm": 1e-6,
    "micrometer": 1e-3, "micrometre": 1e-3, "micron": 1e-3, "microns": 1e-3, "um": 1e-3, "µm": 1e-3, "μm": 1e-3,
    "\\u00b5m": 1e-3,
    "millimeter": 1.0, "millimetre": 1.0, "mm": 1.0,
    "centimeter": 10.0, "centimetre": 10.0, "cm": 10.0,
    "inch": 25.4, "in": 25.4,
    "meter": 1000.0, "metre": 1000.0, "m": 1000.0,
}  # fmt: skip


def as_xyz(voxels: NDArray[Any]) -> NDArray[Any]:
    """(c, z, y, x) as files store pictures, as (c, x, y, z)."""
    return voxels.transpose(0, 3, 2, 1)
