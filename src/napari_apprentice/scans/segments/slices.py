"""Where the slices of DICOM objects lie, one by one, and where that is on the grid of a case.

Formula: DICOM PS3.3, C.7.6.2.1.1, equation C.7.6.2.1-1; its LPS world becomes RAS here.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.errors import ScanError

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Place:
    """Which voxels (z, y, x) of a grid the pixels of a slice are.

    Parameters
    ----------
    index
        One number and two ranges.
    turned
        Whether rows follow each other along the later of the two ranges.
    """

    index: tuple[int | slice, ...]
    turned: bool = False

    @property
    def axis(self) -> int:
        """The axis of the grid across the slice."""
        return next(axis for axis, part in enumerate(self.index) if isinstance(part, int))

    def view(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Those voxels (row, column), to be read or written in place."""
        part: NDArray[Any] = voxels[self.index]
        return part.T if self.turned else part


@dataclass(frozen=True, eq=False)
class Slice:
    """One slice of a DICOM object.

    Parameters
    ----------
    affine
        (4, 4) float64, (column, row, slice, 1) to millimetres in RAS+; the third axis is the unit normal.
    rows, columns
        Pixels down and across.
    frame
        Its number in the object, from 0.
    """

    affine: NDArray[np.float64]
    rows: int
    columns: int
    frame: int = 0

    def place_on(self, geometry: Geometry, tolerance_mm: float = 1e-2) -> Place | None:
        """Which voxels of a grid its pixels are; None when some lie between the voxels or outside of them."""
        steps = np.linalg.solve(geometry.affine, self.affine)
        whole = np.round(steps)
        whole[:, 2] = steps[:, 2]  # how far the next slice lies away does not matter here
        corners = np.array([[c, r, 0.0, 1.0] for c in (0, self.columns - 1) for r in (0, self.rows - 1)])
        apart = np.linalg.norm((corners @ (geometry.affine @ (steps - whole)).T)[:, :3], axis=1).max()
        across, down = whole[:3, 0].astype(int), whole[:3, 1].astype(int)
        # A slice of a single column says nothing about its column axis by its corners alone.
        if apart > tolerance_mm or (np.abs([across, down]).sum(axis=1) != 1).any() or across @ down:
            return None
        first = whole[:3, 3].astype(int)
        last = first + across * (self.columns - 1) + down * (self.rows - 1)
        if min(*first, *last) < 0 or (np.maximum(first, last) >= geometry.shape).any():
            return None
        moving = (across + down).tolist()
        index = (_range(int(a), int(b), step) for a, b, step in zip(first, last, moving, strict=True))
        return Place(tuple(index), bool(np.abs(down).argmax() > np.abs(across).argmax()))


def slices_of(dataset: Dataset, name: str) -> tuple[Slice, ...]:
    """Slices of an image or segmentation in the order of its frames; one for a single-frame image.

    Raises
    ------
    ScanError
        It does not say where its slices lie.
    """
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    try:
        if "PerFrameFunctionalGroupsSequence" not in dataset:
            affine = _affine(dataset.ImagePositionPatient, dataset.ImageOrientationPatient, dataset.PixelSpacing)
            return (Slice(affine, rows, columns),)
        frames = enumerate(dataset.PerFrameFunctionalGroupsSequence)
        return tuple(Slice(_frame_affine(dataset, groups), rows, columns, n) for n, groups in frames)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ScanError(f"{name} does not say where its slices lie in the patient.") from error


def _frame_affine(dataset: Dataset, groups: Dataset) -> NDArray[np.float64]:
    return _affine(
        _group(dataset, groups, "PlanePositionSequence").ImagePositionPatient,
        _group(dataset, groups, "PlaneOrientationSequence").ImageOrientationPatient,
        _group(dataset, groups, "PixelMeasuresSequence").PixelSpacing,
    )


def _group(dataset: Dataset, groups: Dataset, name: str) -> Dataset:
    found: Dataset = (groups if name in groups else dataset.SharedFunctionalGroupsSequence[0])[name][0]
    return found


def _affine(position: Any, orientation: Any, spacing: Any) -> NDArray[np.float64]:
    across, down = np.reshape([float(v) for v in orientation], (2, 3))
    lps = np.eye(4)
    lps[:3, 0] = across * float(spacing[1])
    lps[:3, 1] = down * float(spacing[0])
    lps[:3, 2] = np.cross(across, down)
    lps[:3, 3] = [float(v) for v in position]
    if not np.isfinite(lps).all() or abs(np.linalg.det(lps)) < 1e-12:
        raise ValueError("no directions")
    affine: NDArray[np.float64] = LPS_TO_RAS @ lps
    return affine


def _range(first: int, last: int, step: int) -> int | slice:
    """From first to last, both within; a number where nothing moves."""
    if not step:
        return first
    beyond = last + step
    return slice(first, None if beyond < 0 else beyond, step)
