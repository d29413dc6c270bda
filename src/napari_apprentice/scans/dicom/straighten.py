"""Tilted or unevenly spaced slices onto an orthogonal, even grid: linear, each slice at its real place."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.reading import Step
from napari_apprentice.errors import ScanError
from napari_apprentice.scans.dicom.grid import Layout

# Straightened voxels for each voxel read; 30 degrees over 400 mm make about 2.
MOST_GROWTH = 6.0
COMMON = 0.1  # the new spacing is the smallest gap but for this part of all gaps


def straighten(voxels: NDArray[Any], layout: Layout) -> tuple[NDArray[Any], Layout, Step]:
    """Resample slices linearly: within their plane where they are shifted, between them along the normal.

    Parameters
    ----------
    voxels
        (c, slice, row, column).
    layout
        Where those slices lie.

    Returns
    -------
    Voxels of the same number type (c, slice, row, column), wide enough to hold every slice, filled with the
    lowest value of their channel where no slice reaches; their layout; and the step that records it.

    Raises
    ------
    ScanError
        Slices lie so far apart that the result would be several times as large.
    """
    columns, rows = (_shifts(layout, axis) for axis in (0, 1))
    _check_growth(layout, rows, columns, voxels)
    low_row, high_row = int(np.floor(rows.min())), int(np.ceil(rows.max()))
    low_column, high_column = int(np.floor(columns.min())), int(np.ceil(columns.max()))
    heights, new_spacing = _new_heights(layout)
    size = (voxels.shape[2] + high_row - low_row, voxels.shape[3] + high_column - low_column)
    out = np.empty((len(voxels), len(heights), *size), voxels.dtype)
    for channel, target in zip(voxels, out, strict=True):
        fill = float(channel.min())
        for t, (below, weight) in enumerate(_neighbours(layout.heights, heights)):
            slab = _moved(channel[below], rows[below] - low_row, columns[below] - low_column, size, fill)
            if weight > 0:
                above = below + 1
                upper = _moved(channel[above], rows[above] - low_row, columns[above] - low_column, size, fill)
                slab = slab * (1 - weight) + upper * weight
            target[t] = slab if voxels.dtype.kind == "f" else np.round(slab)
    return out, _new_layout(layout, heights, low_row, low_column), _step(layout, new_spacing, len(heights))


def _check_growth(
    layout: Layout, rows: NDArray[np.float64], columns: NDArray[np.float64], voxels: NDArray[Any]
) -> None:
    """Refuse slices that lie so far apart that they are hardly of one scan, before memory is asked for."""
    count = float(layout.heights[-1]) / _usual_gap(layout) + 1
    size = count * (voxels.shape[2] + np.ptp(rows)) * (voxels.shape[3] + np.ptp(columns))
    if not size <= MOST_GROWTH * voxels[0].size:
        raise ScanError(
            "Its slices lie too far from each other to be straightened; take away those that are no part of the scan."
        )


def _usual_gap(layout: Layout) -> float:
    return float(np.quantile(layout.gaps, COMMON, method="higher"))


def _shifts(layout: Layout, axis: int) -> NDArray[np.float64]:
    """(n,) how far each slice lies aside of the first one, in voxels along columns (0) or rows (1)."""
    apart = (layout.positions - layout.positions[0]) @ layout.directions[axis]
    shifts: NDArray[np.float64] = apart / layout.spacing[1 - axis]
    return np.round(shifts, 6)


def _new_heights(layout: Layout) -> tuple[NDArray[np.floating[Any]], float]:
    """Even heights from the first slice to the last, about as far apart as the closest slices commonly are."""
    usual = _usual_gap(layout)
    top = float(layout.heights[-1])
    count = max(1, round(top / usual))
    return np.arange(count + 1) * (top / count), top / count


def _neighbours(old: NDArray[np.float64], new: NDArray[np.floating[Any]]) -> list[tuple[int, float]]:
    """For each new height the slice below it and the weight of the one above."""
    below = np.clip(np.searchsorted(old, new + 1e-6, side="right") - 1, 0, len(old) - 2)
    weights = np.clip((new - old[below]) / (old[below + 1] - old[below]), 0, 1)
    return [(int(b), float(w) if w > 1e-6 else 0.0) for b, w in zip(below, weights, strict=True)]


def _moved(slab: NDArray[Any], down: float, right: float, size: tuple[int, int], fill: float) -> NDArray[np.float32]:
    """A slice placed at a fractional (row, column) of a larger field, linearly interpolated."""
    placed = np.full(size, fill, np.float32)
    row, column = int(np.floor(down)), int(np.floor(right))
    height, width = slab.shape
    part_row, part_column = down - row, right - column
    values = slab.astype(np.float32)
    if part_row > 0:
        padded = np.pad(values, ((1, 1), (0, 0)), constant_values=fill)
        values = (padded[1:] * (1 - part_row) + padded[:-1] * part_row).astype(np.float32)
        height += 1
    if part_column > 0:
        padded = np.pad(values, ((0, 0), (1, 1)), constant_values=fill)
        values = (padded[:, 1:] * (1 - part_column) + padded[:, :-1] * part_column).astype(np.float32)
        width += 1
    placed[row : row + height, column : column + width] = values
    return placed


def _new_layout(layout: Layout, heights: NDArray[np.floating[Any]], row: int, column: int) -> Layout:
    corner = (
        layout.positions[0]
        + layout.directions[0] * layout.spacing[1] * column
        + layout.directions[1] * layout.spacing[0] * row
    )
    positions = corner + heights[:, None] * layout.normal
    return Layout(positions, layout.directions, layout.spacing, layout.thickness)


def _step(layout: Layout, spacing: float, count: int) -> Step:
    gaps = layout.gaps
    was = f"{gaps.mean():.3g} mm" if layout.even else f"{gaps.min():.3g} to {gaps.max():.3g} mm"
    return Step(
        "straighten",
        f"{len(layout.positions)} slices, tilted by {layout.tilt:.1f} degrees and {was} apart, were resampled linearly "
        f"to {count} straight ones {spacing:.3g} mm apart.",
        {
            "angle_degrees": layout.tilt,
            "slice_heights_mm": layout.heights.tolist(),
            "old_spacing_mm": [float(gaps.min()), float(gaps.max())],
            "new_spacing_mm": spacing,
            "slice_positions_lps_mm": layout.positions.tolist(),
        },
    )
