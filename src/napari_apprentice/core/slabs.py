"""A scan read and a prediction given slab by slab along z, so that neither is ever whole in memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.volume import LabelArray

# The slice (index along z) that a person looks at right now; None when nobody looks, or across all slices.
Focus = Callable[[], int | None]


def unseen() -> int | None:
    """The focus of a prediction nobody watches: from the middle outwards."""
    return None


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of one channel over its finite voxels; a constant channel has std 0."""

    mean: float
    std: float


class VoxelSource(Protocol):
    """A scan whose voxels are read when they are needed."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(c, z, y, x)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The scan's own number type."""

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres along (z, y, x)."""

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """(c, stop - start, y, x) of slices `start` to `stop` - 1, the scan's own number type."""

    def moments(self) -> tuple[Moments, ...] | None:
        """One per channel where they are known without reading the scan, else None."""


@dataclass(frozen=True, eq=False)
class ArraySource:
    """A scan in memory as a `VoxelSource`; `voxels` is (c, z, y, x)."""

    voxels: NDArray[Any]
    spacing: tuple[float, float, float]
    known: tuple[Moments, ...] | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(c, z, y, x)."""
        c, z, y, x = self.voxels.shape
        return c, z, y, x

    @property
    def dtype(self) -> np.dtype[Any]:
        """The scan's own number type."""
        return self.voxels.dtype

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """A view of slices `start` to `stop` - 1."""
        return self.voxels[:, start:stop]

    def moments(self) -> tuple[Moments, ...] | None:
        """Those given at birth."""
        return self.known


@dataclass(frozen=True, eq=False)
class ReorderedSource:
    """A scan that is read with its channels in another order; `order` is where each lies in `scan`."""

    scan: VoxelSource
    order: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(c, z, y, x)."""
        return self.scan.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The scan's own number type."""
        return self.scan.dtype

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres along (z, y, x)."""
        return self.scan.spacing

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """(c, stop - start, y, x) of slices `start` to `stop` - 1, as a copy."""
        return self.scan.read(start, stop)[list(self.order)]

    def moments(self) -> tuple[Moments, ...] | None:
        """Those of the scan, in order."""
        known = self.scan.moments()
        return None if known is None else tuple(known[i] for i in self.order)


def reordered(scan: VoxelSource, order: Sequence[int]) -> VoxelSource:
    """A scan with its channels in an order; itself where they are."""
    as_stored = tuple(order) == tuple(range(scan.shape[0]))
    return scan if as_stored else ReorderedSource(scan, tuple(order))


@dataclass(frozen=True, eq=False)
class PredictedSlab:
    """Slices `start` to `stop` - 1 of a prediction on the case's own grid; final once given.

    Slabs of one prediction are disjoint and together cover the case; they come in any order.

    Parameters
    ----------
    labels
        (stop - start, y, x) label ids, uint8 or uint16, the same type in all slabs of a prediction.
    uncertainty
        (stop - start, y, x) uint8; 255 is the highest entropy possible with this many labels.
    """

    start: int
    stop: int
    labels: LabelArray
    uncertainty: NDArray[np.uint8]


@dataclass(frozen=True)
class PredictionSummary:
    """What is known of a prediction once its last slab is given.

    Parameters
    ----------
    quality
        Label id to predicted Dice, only labels present in the prediction: soft-Dice confidence with one
        model version, mean pairwise Dice with several.
    seconds, device, backend
        What it took, on what, and by which library and number type ("openvino bf16").
    temperature
        What logits were divided by before the softmax.
    """

    quality: Mapping[int, float]
    seconds: float
    device: str
    backend: str = ""
    temperature: float = 1.0
