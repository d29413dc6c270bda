"""Where voxels are: the grid of a scan and the way back to its file."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.errors import GeometryError

# Direction cosines (RAS+ world) that the canonical axes (z, y, x) follow: Superior, Posterior, Left.
# With them napari's default view, rows down and columns right, is the radiological axial one.
CANONICAL = np.array([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])


@dataclass(frozen=True, eq=False)
class Geometry:
    """The grid of a scan: its source's exact affine, and the whole-axis steps to canonical order.

    Parameters
    ----------
    source_shape
        Voxels along the file's own axes (i, j, k); a 2D file has k = 1.
    source_affine
        (4, 4) float64, (i, j, k, 1) to millimetres in RAS+ (x to the Right, y Anterior, z Superior),
        kept bit for bit.
    permutation
        Canonical axis ``a`` of (z, y, x) is the file's axis ``permutation[a]``.
    flips
        Whether canonical axis ``a`` runs against that file axis.
    header
        What the file's format says about the grid beyond the affine (for NIfTI: q/s-form codes,
        quaternion ...). Opaque to everything but the scans room; JSON values only.
    """

    source_shape: tuple[int, int, int]
    source_affine: NDArray[np.float64]
    permutation: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    header: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_source(
        cls,
        shape: tuple[int, int, int],
        affine: NDArray[np.float64],
        header: Mapping[str, Any] | None = None,
    ) -> "Geometry":
        """Choose the permutation and flips that bring a file's axes closest to S, P, L.

        Raises
        ------
        GeometryError
            The affine is not finite, or two axes of it coincide (singular).
        """
        affine = np.array(affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise GeometryError("The scan's affine holds values that are not numbers.")
        columns = affine[:3, :3]
        lengths = np.linalg.norm(columns, axis=0)
        if (lengths == 0).any() or abs(np.linalg.det(columns / lengths)) < 1e-6:
            raise GeometryError("The scan's affine is singular: at least one voxel axis has no direction of its own.")
        alignment = CANONICAL @ (columns / lengths)  # [canonical axis, file axis]
        permutation = max(
            itertools.permutations(range(3)),
            key=lambda p: sum(abs(alignment[a, p[a]]) for a in range(3)),
        )
        flips = tuple(bool(alignment[a, permutation[a]] < 0) for a in range(3))
        return cls(
            (int(shape[0]), int(shape[1]), int(shape[2])),
            affine,
            (permutation[0], permutation[1], permutation[2]),
            (flips[0], flips[1], flips[2]),
            dict(header or {}),
        )

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along (z, y, x)."""
        z, y, x = (self.source_shape[p] for p in self.permutation)
        return z, y, x

    @cached_property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4) float64, canonical index (z, y, x, 1) to millimetres in RAS+."""
        steps = np.zeros((4, 4))
        steps[3, 3] = 1.0
        for axis, (source, flip) in enumerate(zip(self.permutation, self.flips, strict=True)):
            steps[source, axis] = -1.0 if flip else 1.0
            steps[source, 3] = self.source_shape[source] - 1 if flip else 0.0
        return self.source_affine @ steps

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm along (z, y, x)."""
        z, y, x = (float(n) for n in np.linalg.norm(self.affine[:3, :3], axis=0))
        return z, y, x

    @cached_property
    def _reversal(self) -> tuple[Any, ...]:
        return (..., *(slice(None, None, -1 if flip else 1) for flip in self.flips))

    def to_canonical(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """View the last three axes, in the file's (i, j, k), as (z, y, x). Copies nothing."""
        lead = voxels.ndim - 3
        moved = voxels.transpose(*range(lead), *(lead + p for p in self.permutation))
        view: NDArray[Any] = moved[self._reversal]
        return view

    def to_source(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """View the last three axes, in (z, y, x), as the file's (i, j, k). The inverse of `to_canonical`."""
        lead = voxels.ndim - 3
        straight = voxels[self._reversal]
        back = np.argsort(self.permutation)
        view: NDArray[Any] = straight.transpose(*range(lead), *(lead + int(b) for b in back))
        return view

    def along(self, other: "Geometry") -> "Geometry":
        """The same grid with its canonical axes ordered as those of another that has the same axes; else as it is.

        Of a grid turned by 45 degrees two axes lie equally close to S, P, L, so that the order of the file's axes
        decides which is taken for which.
        """
        steps = np.round(np.linalg.solve(other.affine[:3, :3], self.source_affine[:3, :3]))  # [their axis, file axis]
        if (np.abs(steps).sum(axis=0) != 1).any() or (np.abs(steps).sum(axis=1) != 1).any():
            return self
        i, j, k = (int(n) for n in np.abs(steps).argmax(axis=1))
        flips = (bool(steps[0, i] < 0), bool(steps[1, j] < 0), bool(steps[2, k] < 0))
        return Geometry(self.source_shape, self.source_affine, (i, j, k), flips, self.header)

    def part(self, start: tuple[int, int, int], shape: tuple[int, int, int]) -> "Geometry":
        """Grid of a box cut out of this one, `start` and `shape` in voxels along (z, y, x).

        It has no `header`: what a format says about the whole grid beyond the affine is not true of a part.
        """
        first, size = [0, 0, 0], [0, 0, 0]
        for axis, (source, flip) in enumerate(zip(self.permutation, self.flips, strict=True)):
            first[source] = self.shape[axis] - start[axis] - shape[axis] if flip else start[axis]
            size[source] = shape[axis]
        affine = self.source_affine.copy()
        affine[:3, 3] = (self.source_affine @ [*first, 1])[:3]
        return Geometry((size[0], size[1], size[2]), affine, self.permutation, self.flips)

    def difference(self, other: "Geometry", tolerance_mm: float = 1e-3) -> str | None:
        """Say in words how another grid differs from this one; None when both are the same grid.

        Grids are compared in canonical order, so a label map saved with other axis order or flips
        still counts as the same. A difference is any corner further apart than `tolerance_mm`, or than a tenth of
        a voxel where voxels are small.
        """
        if self.shape != other.shape:
            return f"its shape is {other.shape}, not {self.shape} (z, y, x)"
        corners = np.array([[*c, 1] for c in itertools.product(*((0, n - 1) for n in self.shape))], dtype=float)
        apart = np.linalg.norm((corners @ self.affine.T - corners @ other.affine.T)[:, :3], axis=1).max()
        if apart > min(tolerance_mm, 0.1 * min(self.spacing)):
            told = f"{apart:.2f}" if apart >= 0.01 else f"{apart:.2g}"
            return f"its corners lie up to {told} mm away from the scan's"
        return None

    def to_json(self) -> dict[str, Any]:
        """As JSON values; Python writes float64 so that it reads back bit for bit."""
        return {
            "source_shape": list(self.source_shape),
            "source_affine": self.source_affine.tolist(),
            "permutation": list(self.permutation),
            "flips": list(self.flips),
            "header": dict(self.header),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Geometry":
        """Read what `to_json` wrote."""
        shape, permutation, flips = data["source_shape"], data["permutation"], data["flips"]
        return cls(
            (int(shape[0]), int(shape[1]), int(shape[2])),
            np.array(data["source_affine"], dtype=np.float64),
            (int(permutation[0]), int(permutation[1]), int(permutation[2])),
            (bool(flips[0]), bool(flips[1]), bool(flips[2])),
            dict(data["header"]),
        )
