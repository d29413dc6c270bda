"""A scan as the network wants it, slice by slice: normalised, and on the plan's spacing."""

from collections.abc import Callable, Iterator

import torch

from napari_apprentice.core.plan import Plan
from napari_apprentice.core.slabs import VoxelSource
from napari_apprentice.learn.device import sent
from napari_apprentice.learn.normalise import Normaliser
from napari_apprentice.learn.resample import Linear, target_shape
from napari_apprentice.learn.statistics import statistics

AT_ONCE = 2**25  # bytes of the scan read at once


class ScaledScan:
    """Slices on the plan's grid, each made once and kept until `forget`.

    The scan is read in slabs. A slice at twice the spacing needs few of the scan's voxels; only those are
    normalised.
    """

    def __init__(
        self, source: VoxelSource, plan: Plan, device: torch.device, cancelled: Callable[[], bool] = lambda: False
    ) -> None:
        self._source, self._device = source, device
        self.cancelled = cancelled
        """Asked while the whole scan is read for its statistics; whoever takes the scan over sets it."""
        self.own = (source.shape[1], source.shape[2], source.shape[3])
        """(z, y, x) of the scan itself; `shape` is that of the plan's grid."""
        self.shape = target_shape(self.own, source.spacing, plan.spacing)
        self._axes = tuple(Linear.between(old, new) for old, new in zip(self.own, self.shape, strict=True))
        self._normaliser = Normaliser(
            plan, source.shape[0], source.dtype, lambda: statistics(source, plan, lambda: self.cancelled())
        )
        self._slices: dict[int, torch.Tensor] = {}

    def read(self, start: int, stop: int) -> torch.Tensor:
        """(c, stop - start, y, x) float32 of the plan's grid on the device."""
        missing = [z for z in range(start, stop) if z not in self._slices]
        for first, last in _runs(missing):
            self._make(first, last)
        return torch.stack([self._slices[z] for z in range(start, stop)], dim=1)

    def forget(self, needed: Callable[[int], bool]) -> None:
        """Give back the slices that are not needed any more."""
        self._slices = {z: s for z, s in self._slices.items() if needed(z)}

    def _make(self, start: int, stop: int) -> None:
        c, _, y, x = self._source.shape
        each = c * y * x * self._source.dtype.itemsize
        deep, wide, long = self._axes
        while start < stop:
            end = start + 1
            while end < stop and (deep.high[end] + 1 - deep.low[start]) * each <= AT_ONCE:
                end += 1
            made = self._slab(deep.part(start, end), wide, long)
            self._slices.update({z: made[:, z - start] for z in range(start, end)})
            start = end

    def _slab(self, deep: Linear, wide: Linear, long: Linear) -> torch.Tensor:
        voxels = self._source.read(int(deep.low[0]), int(deep.high[-1]) + 1)
        deep = deep.moved(int(deep.low[0]))
        for axis, linear in enumerate((deep, wide, long), 1):
            used = linear.used()
            if len(used) < voxels.shape[axis]:
                voxels = voxels.take(used, axis=axis)
        values = sent(self._normaliser(voxels), self._device)
        for axis, linear in enumerate((deep, wide, long), 1):
            values = linear.renumbered().apply(values, axis)
        return values


def _runs(places: list[int]) -> Iterator[tuple[int, int]]:
    """(first, after the last) of each run of neighbouring numbers."""
    start = 0
    for i in range(1, len(places) + 1):
        if i == len(places) or places[i] != places[i - 1] + 1:
            yield places[start], places[i - 1] + 1
            start = i
