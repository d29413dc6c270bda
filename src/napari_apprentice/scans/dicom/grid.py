"""Where the slices of a series lie: affine, gantry tilt, uneven gaps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.errors import ScanError
from napari_apprentice.scans.dicom.plane import Plane

TILT_DEGREES = 0.1
TILT_MM = 0.02  # of shift in all; less is rounding of the positions
GAP_PART = 0.01
GAP_MM = 0.01
ROUNDED_PART = 0.1  # of a voxel: more is no rounding, where voxels are of micrometres
SAME_DIRECTION = 2e-4  # 0.05 mm at the edge of a 250 mm field


@dataclass(frozen=True, eq=False)
class Layout:
    """The places of slices, sorted along their normal.

    Parameters
    ----------
    positions
        (n, 3) float64, LPS mm: centre of each slice's first voxel.
    directions
        (2, 3) float64: along which the column index and the row index rise, LPS.
    spacing
        Millimetres between rows and between columns.
    thickness
        Distance to the next slice as the header has it; taken for a single slice only.
    """

    positions: NDArray[np.float64]
    directions: NDArray[np.float64]
    spacing: tuple[float, float]
    thickness: float

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector across the slices, LPS."""
        across = np.cross(self.directions[0], self.directions[1])
        unit: NDArray[np.float64] = across / np.linalg.norm(across)
        return unit

    @property
    def heights(self) -> NDArray[np.float64]:
        """(n,) millimetres along the normal, the first slice at 0."""
        along: NDArray[np.float64] = (self.positions - self.positions[0]) @ self.normal
        return along

    @property
    def gaps(self) -> NDArray[np.float64]:
        """(n - 1,) millimetres along the normal from slice to slice."""
        return np.diff(self.heights)

    @property
    def step(self) -> NDArray[np.float64]:
        """(3,) LPS mm from slice to slice, on average."""
        if len(self.positions) < 2:
            return self.normal * self.thickness
        whole: NDArray[np.float64] = (self.positions[-1] - self.positions[0]) / (len(self.positions) - 1)
        return whole

    @property
    def tilt(self) -> float:
        """Degrees between the direction in which slices follow each other and their normal; 0 within rounding."""
        step = self.step
        up = float(step @ self.normal)
        aside = float(np.linalg.norm(step - up * self.normal))
        degrees = math.degrees(math.atan2(aside, up))
        least = min(TILT_MM, ROUNDED_PART * min(self.spacing))
        return degrees if degrees > TILT_DEGREES and aside * (len(self.positions) - 1) > least else 0.0

    @property
    def even(self) -> bool:
        """Whether slices follow each other in equal steps, but for what rounding of positions explains."""
        line = self.positions[0] + np.arange(len(self.positions))[:, None] * self.step
        off = np.linalg.norm(self.positions - line, axis=1).max()
        step = float(np.linalg.norm(self.step))
        return bool(off <= max(GAP_PART * step, min(GAP_MM, ROUNDED_PART * step)))

    @property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4) float64: (column, row, slice, 1) to RAS mm; exact where slices are even, sheared where tilted."""
        lps = np.eye(4)
        lps[:3, 0] = self.directions[0] * self.spacing[1]
        lps[:3, 1] = self.directions[1] * self.spacing[0]
        lps[:3, 2] = self.step
        lps[:3, 3] = self.positions[0]
        lps[:2] = 0.0 - lps[:2]
        return lps


def layout_of(planes: Sequence[Plane]) -> Layout:
    """Places of planes that are sorted along their normal.

    Raises
    ------
    ScanError
        One has no position, or another size, orientation or voxel size than the first; the text names it.
    """
    first = planes[0]
    check_alike(planes)
    positions = np.array([p.position for p in planes], dtype=np.float64)
    directions, spacing = first.directions, first.spacing
    if directions is None or spacing is None:
        raise ScanError(f"{first.path.name} does not say how its slice lies.")
    return Layout(positions, directions, spacing, first.thickness)


def check_alike(planes: Sequence[Plane]) -> None:
    """Refuse slices that cannot lie in one grid, naming the file.

    Raises
    ------
    ScanError
        See `layout_of`.
    """
    first = planes[0]
    for plane in planes:
        name = plane.path.name
        if plane.position is None:
            raise ScanError(
                f"{name} does not say where its slice lies (no ImagePositionPatient); fetch it again, or take it away "
                "if it is no part of the scan."
            )
        if plane.directions is None:
            raise ScanError(f"{name} does not say how its slice is turned (no usable ImageOrientationPatient).")
        if plane.spacing is None:
            raise ScanError(f"{name} does not say how large its voxels are (no usable PixelSpacing).")
        _check_pair(first, plane)


def _check_pair(first: Plane, plane: Plane) -> None:
    other = f"{plane.path.name} does not belong to the other slices:"
    if plane.shape != first.shape or plane.samples != first.samples:
        rows, columns = plane.shape
        raise ScanError(f"{other} it is of {rows} x {columns} voxels, {first.path.name} of {_times(first.shape)}.")
    if first.directions is None or first.spacing is None or plane.directions is None or plane.spacing is None:
        return
    if np.abs(plane.directions - first.directions).max() > SAME_DIRECTION:
        raise ScanError(f"{other} it is turned another way than {first.path.name}.")
    if not np.allclose(plane.spacing, first.spacing, rtol=1e-4):
        raise ScanError(f"{other} its voxels are of {_times(plane.spacing)} mm, not {_times(first.spacing)} mm.")


def _times(sizes: Sequence[float]) -> str:
    return " x ".join(f"{s:g}" for s in sizes)
