"""What a scan's values are shifted and divided by, measured slab by slab."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.plan import Plan
from napari_apprentice.core.slabs import Moments, VoxelSource
from napari_apprentice.errors import Cancelled

AT_ONCE = 2**25  # bytes of float64 looked at together
Sums = tuple[int, float, float]
Box = tuple[slice, slice, slice]
_OF_THE_PLAN = ("ct", "fixed")


def statistics(source: VoxelSource, plan: Plan, cancelled: Callable[[], bool] = lambda: False) -> tuple[Moments, ...]:
    """One per channel: the mean and standard deviation that its normalisation asks for.

    For kinds of "range" the smallest value, and the largest less the smallest. What is not finite does not count.

    Raises
    ------
    Cancelled
        `cancelled` said so.
    """
    kinds = [how.kind for how in plan.normalisation]
    known = source.moments()
    if known is not None and all(kind in (*_OF_THE_PLAN, "zscore") for kind in kinds):
        return known
    box = _box(source, cancelled) if any(kind.endswith("_inside") for kind in kinds) else None
    sums: list[Sums] = [(0, 0.0, 0.0)] * len(kinds)
    ends = [(np.inf, -np.inf)] * len(kinds)
    for start, voxels in _slabs(source, cancelled):
        for c, kind in enumerate(kinds):
            if kind in _OF_THE_PLAN:
                continue
            values = _that_count(voxels, c, kind, _part(box, start, voxels.shape[1]))
            if kind.startswith("range"):
                low, high = ends[c]
                ends[c] = (float(values.min(initial=low)), float(values.max(initial=high)))
            else:
                sums[c] = _merge(sums[c], values)
    return tuple(
        _range(*e) if kind.startswith("range") else _moments(s) for kind, s, e in zip(kinds, sums, ends, strict=True)
    )


def _slabs(source: VoxelSource, cancelled: Callable[[], bool]) -> Iterator[tuple[int, NDArray[Any]]]:
    c, z, y, x = source.shape
    thick = max(1, AT_ONCE // max(1, c * y * x * 8))
    for start in range(0, z, thick):
        if cancelled():
            raise Cancelled("The prediction was cancelled; nothing was changed.")
        yield start, source.read(start, min(start + thick, z))


def _that_count(voxels: NDArray[Any], channel: int, kind: str, part: Box) -> NDArray[np.float64]:
    values = voxels[channel]
    if kind.endswith("_inside"):
        values = values[part]
    elif kind == "zscore_where":
        values = values[(voxels != 0).any(0)]
    elif kind == "zscore_nonzero":
        values = values[values != 0]
    counted: NDArray[np.float64] = values.astype(np.float64).ravel()
    return counted[np.isfinite(counted)]


def _box(source: VoxelSource, cancelled: Callable[[], bool]) -> Box:
    """The smallest box around all voxels that are not 0 in every channel; the whole scan where there are none."""
    lines = [np.zeros(n, dtype=bool) for n in source.shape[1:]]
    for start, voxels in _slabs(source, cancelled):
        there = (voxels != 0).any(0)
        lines[0][start : start + len(there)] = there.any((1, 2))
        lines[1] |= there.any((0, 2))
        lines[2] |= there.any((0, 1))
    if not lines[0].any():
        return slice(None), slice(None), slice(None)
    z, y, x = (slice(int(n.argmax()), len(n) - int(n[::-1].argmax())) for n in lines)
    return z, y, x


def _part(box: Box | None, start: int, thick: int) -> Box:
    """What of a box lies in a slab, in the slab's own indices."""
    if box is None or box[0] == slice(None):
        return slice(None), slice(None), slice(None)
    first, last = (min(max(0, i - start), thick) for i in (box[0].start, box[0].stop))
    return slice(first, last), box[1], box[2]


def _merge(so_far: Sums, values: NDArray[np.float64]) -> Sums:
    """Count, mean and sum of squares of two samples together (Chan et al. 1979)."""
    if values.size == 0:
        return so_far
    count, mean, squares = so_far
    new = float(values.mean())
    total, apart = count + values.size, new - mean
    return (
        total,
        mean + apart * values.size / total,
        squares + float(((values - new) ** 2).sum()) + apart**2 * count * values.size / total,
    )


def _moments(sums: Sums) -> Moments:
    count, mean, squares = sums
    return Moments(mean, (squares / count) ** 0.5 if count else 0.0)


def _range(low: float, high: float) -> Moments:
    return Moments(low, high - low) if low <= high else Moments(0.0, 0.0)
