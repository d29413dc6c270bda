"""Contours of structures drawn onto the slices of a grid."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.errors import GeometryError
from napari_apprentice.scans.segments.contours import fill
from napari_apprentice.scans.segments.slices import Place

_SAME_LEVEL = 0.05  # slices by which contours of one level may lie apart
_FLAT = 0.5  # slices by which a contour may leave its level


@dataclass(frozen=True, eq=False)
class _Slice:
    """What is drawn on one slice: rings of (n, 2) in voxels of the two other axes."""

    number: int
    rings: tuple[NDArray[np.float64], ...]


class Drawing:
    """Contours of structures in voxels of a grid, slice by slice.

    Parameters
    ----------
    contours
        Label id to contours in millimetres, RAS+.
    """

    def __init__(self, geometry: Geometry, contours: Mapping[int, Sequence[NDArray[np.float64]]], name: str) -> None:
        self._shape = geometry.shape
        inverse = np.linalg.inv(geometry.affine)
        # Rounded, so that an edge meant to run through voxel centres does so all along.
        placed = {n: [np.round(c @ inverse[:3, :3].T + inverse[:3, 3], 4) for c in cs] for n, cs in contours.items()}
        spreads = np.array([np.ptp(c, axis=0) for cs in placed.values() for c in cs])
        self._axis = int(spreads.sum(axis=0).argmin())
        if spreads[:, self._axis].max() > _FLAT:
            raise GeometryError(
                f"{name} does not fit the scan: its contours are not drawn in slices of it, but lean over up to "
                f"{spreads[:, self._axis].max():.1f} of them. Use the scan that they were drawn on."
            )
        self._left: dict[int, tuple[int, int, float]] = {}
        self._slices = {n: self._sorted(n, cs) for n, cs in placed.items()}
        if not any(self._slices.values()):
            raise GeometryError(f"{name} does not fit the scan: none of its contours lies in a slice of it.")

    def pieces(self, number: int) -> Iterator[tuple[Place, NDArray[np.bool_]]]:
        """Voxels of a structure: per slice the smallest rectangle around its rings."""
        height, width = (n for a, n in enumerate(self._shape) if a != self._axis)
        for one in self._slices[number]:
            points = np.concatenate(one.rings)
            low = np.clip(np.floor(points.min(axis=0)), 0, (height, width)).astype(np.intp)
            high = np.clip(np.ceil(points.max(axis=0)) + 1, low, (height, width)).astype(np.intp)
            (top, left), (bottom, right) = low.tolist(), high.tolist()
            if top == bottom or left == right:
                continue
            index: list[int | slice] = [slice(top, bottom), slice(left, right)]
            index.insert(self._axis, one.number)
            yield Place(tuple(index)), fill([ring - low for ring in one.rings], (bottom - top, right - left))

    def size(self, number: int) -> int:
        """Voxels of a structure."""
        return sum(int(mask.sum()) for _, mask in self.pieces(number))

    def oddities(self, number: int, name: str) -> Iterator[str]:
        """Sentences on what of a structure was moved or left out."""
        outside, between, moved = self._left[number]
        slices = sorted(s.number for s in self._slices[number])
        if outside:
            yield f"{name}: {_told(outside, 'contour')} outside of the scan left out."
        if between:
            yield f"{name}: {_told(between, 'contour')} left out between slices, where nearer ones were taken."
        if moved > _SAME_LEVEL:
            yield f"{name}: contours lie up to {moved:.2f} slices beside the voxels' centres; the nearest was taken."
        gaps = slices[-1] - slices[0] + 1 - len(slices) if slices else 0
        if gaps:
            yield f"{name}: {_told(gaps, 'slice')} without a contour between its first and its last, left empty."
        if slices and not self.size(number):
            yield f"{name} is too small for this scan: no voxel's centre lies in it."

    def _sorted(self, number: int, contours: Sequence[NDArray[np.float64]]) -> tuple[_Slice, ...]:
        """Each contour to its nearest slice; of several levels at one slice the nearest is taken."""
        levels = np.array([c[:, self._axis].mean() for c in contours])
        nearest = np.floor(levels + 0.5).astype(int)
        found, between, moved = [], 0, 0.0
        for n in np.unique(nearest[(nearest >= 0) & (nearest < self._shape[self._axis])]):
            here = np.flatnonzero(nearest == n)
            best = levels[here[np.abs(levels[here] - n).argmin()]]
            taken = [int(i) for i in here if abs(levels[i] - best) <= _SAME_LEVEL]
            between, moved = between + len(here) - len(taken), max(moved, abs(best - n))
            found.append(_Slice(int(n), tuple(np.delete(contours[i], self._axis, axis=1) for i in taken)))
        outside = int(((nearest < 0) | (nearest >= self._shape[self._axis])).sum())
        self._left[number] = (outside, between, float(moved))
        return tuple(found)


def _told(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count > 1 else ''}"
