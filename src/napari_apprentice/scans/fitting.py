"""A label map onto the grid of a case: exactly where the grids allow it, by resampling only when asked."""

from dataclasses import replace

import numpy as np

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.regrid import embed, index_map, offset_within
from napari_apprentice.core.regrid import resample as resampled
from napari_apprentice.core.volume import LabelMap
from napari_apprentice.errors import GeometryError


def fit(labels: LabelMap, geometry: Geometry, name: str, *, resample: bool = False) -> LabelMap:
    """Bring a label map onto a case's grid.

    The same grid, in any axis order, stays as it is; a part of the grid, or one that reaches beyond it,
    is moved by whole voxels. Everything else lies between the voxels of the case.

    Parameters
    ----------
    geometry
        The case's grid.
    name
        What to call the label map in messages.
    resample
        Whether the nearest label may be sampled where voxels do not coincide, and labels outside of
        the case be left out.

    Returns
    -------
    (z, y, x) on `geometry`; what was decided is in its `warnings`.

    Raises
    ------
    GeometryError
        It lies between the voxels of the case, or has labels outside of it, and `resample` is False; or all of its
        labels are outside.
    """
    labels = _along(labels, geometry)
    difference = geometry.difference(labels.geometry)
    if difference is None:
        return replace(labels, geometry=geometry)
    offset = offset_within(geometry, labels.geometry, tolerance(geometry))
    if offset is None and not resample:
        raise GeometryError(
            f"{name} does not fit the scan: {difference}. --resample takes the nearest label for every voxel."
        )
    lost = count_outside(labels, geometry)
    if lost and not resample:
        raise GeometryError(
            f"{name} does not fit the scan: {lost} of its labelled voxels lie outside of it ({difference}). "
            "--resample leaves them out."
        )
    if offset is None:
        voxels = resampled(labels.voxels, labels.geometry, geometry, linear=False)
        said = [f"{name} was resampled to the scan's grid, nearest label: {difference}."]
    else:
        voxels = embed(labels.voxels, offset, geometry.shape)
        whole = all(o <= 0 and o + m >= n for o, m, n in zip(offset, labels.voxels.shape, geometry.shape, strict=True))
        said = [] if whole else [f"{name}: it covers a part of the scan only; the rest counts as background."]
    if lost:
        said.append(f"{name}: {lost} labelled voxels outside of the scan were left out.")
    if lost and not voxels.any():
        raise GeometryError(f"{name} lies elsewhere than the scan: nothing is left of its labels ({difference}).")
    gone = np.setdiff1d(np.unique(labels.voxels), np.unique(voxels))
    if gone[gone > 0].size:
        said.append(f"{name}: nothing is left of label {', '.join(str(n) for n in gone if n)}.")
    return replace(labels, voxels=voxels, geometry=geometry, warnings=(*labels.warnings, *said))


def _along(labels: LabelMap, geometry: Geometry) -> LabelMap:
    """The same label map, its axes in the order of a case's."""
    turned = labels.geometry.along(geometry)
    voxels = turned.to_canonical(labels.geometry.to_source(labels.voxels))
    return replace(labels, voxels=voxels, geometry=turned)


def tolerance(geometry: Geometry) -> float:
    """Millimetres by which voxels may lie apart and still count as the same: rounding of what files write."""
    return min(1e-2, 0.1 * min(geometry.spacing))


def count_outside(labels: LabelMap, geometry: Geometry) -> int:
    """Labelled voxels whose centre lies outside of every voxel of a grid."""
    steps, lost = index_map(geometry, labels.geometry), 0
    edge = np.array(geometry.shape) - 0.5
    for z, plane in enumerate(labels.voxels):
        rows, columns = np.nonzero(plane)
        places = np.stack([np.full(rows.size, z), rows, columns], axis=1) @ steps[:3, :3].T + steps[:3, 3]
        # A centre exactly on the border counts as inside, whatever rounding made of it.
        lost += int(((places < -0.5 - 1e-6) | (places > edge + 1e-6)).any(axis=1).sum())
    return lost
