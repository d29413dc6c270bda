"""What of a case is shown but not changed: its scan and the uncertainty; read in a worker thread."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.loop.opening import OpenCase
from napari_apprentice.session import Session

LARGE = 448**3  # voxels of one channel; above, slices are read from disk when they are looked at
SLAB = 64  # slices that are read together: the chunks on disk are that thick, so one slice costs as much


class ChannelView:
    """One channel of a (c, z, y, x) array on disk as a (z, y, x) array that reads what is asked for.

    Parameters
    ----------
    array
        Anything indexed like an array.
    channel
        Index along c.
    """

    def __init__(self, array: Any, channel: int) -> None:
        self._array = array
        self._channel = channel
        self.shape: tuple[int, ...] = tuple(array.shape[1:])
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)
        self.ndim = len(self.shape)
        self._slab: tuple[int, NDArray[Any]] | None = None  # first slice, and the slices from there

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        index = index if isinstance(index, tuple) else (index,)
        if index and isinstance(index[0], int | np.integer):
            slices, z = self._slices_around(int(index[0]))
            return np.asarray(slices[(z, *index[1:])])
        return np.asarray(self._array[(self._channel, *index)])

    def _slices_around(self, z: int) -> tuple[NDArray[Any], int]:
        """The slab that slice `z` is in, kept for the next slice, and the slice's place in it."""
        z = z + self.shape[0] if z < 0 else z
        start = z - z % SLAB
        slab = self._slab
        if slab is None or slab[0] != start:
            slab = self._slab = (start, np.asarray(self._array[self._channel, start : start + SLAB]))
        return slab[1], z - start

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self._array[self._channel], dtype=dtype)


@dataclass(frozen=True, eq=False)
class Channel:
    """One contrast: an array (z, y, x), or a pyramid of them with the finest first."""

    name: str
    data: Any
    pyramid: bool
    limits: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Everything needed to show an open case.

    Parameters
    ----------
    uncertainty
        (z, y, x) uint8, or None without a prediction by the active model version.
    start
        Slice along z to begin with: the one with most labels.
    """

    case: OpenCase
    channels: tuple[Channel, ...]
    uncertainty: NDArray[np.uint8] | None
    start: int


def open_with_pictures(session: Session, case_id: str) -> Pictures:
    """Read a case and what goes with it; touches nothing that is shown."""
    return load_pictures(session, session.load_case(case_id))


def load_pictures(session: Session, case: OpenCase) -> Pictures:
    """Read what goes with a case that is open already."""
    study, case_id = session.study, case.info.case_id
    levels = study.cases.levels(case_id)
    large = int(np.prod(case.info.shape)) > LARGE
    voxels = None if large else study.cases.voxels(case_id)
    channels = tuple(
        _large(name, levels, index) if voxels is None else _small(name, voxels[index])
        for index, name in enumerate(case.info.channels)
    )
    active = study.models.active()
    predicted = active is not None and study.predictions.has(case_id, active)
    uncertainty = session.prediction(case_id).uncertainty if predicted else None
    return Pictures(case, channels, uncertainty, _fullest_slice(case))


def _small(name: str, voxels: NDArray[Any]) -> Channel:
    voxels = np.ascontiguousarray(voxels)
    return Channel(name, voxels, False, contrast_limits(voxels))


def _large(name: str, levels: tuple[Any, ...], index: int) -> Channel:
    views = [ChannelView(level, index) for level in levels]
    limits = contrast_limits(np.asarray(views[-1]))
    return Channel(name, views if len(views) > 1 else views[0], len(views) > 1, limits)


def contrast_limits(voxels: NDArray[Any]) -> tuple[float, float]:
    """From the 1st to the 99.8th percentile of a sample of voxels; never empty."""
    sample = voxels.ravel()[:: max(1, voxels.size // 200_000)]
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(sample, (1, 99.8)))
    return (low, high) if high > low else (low, low + 1.0)


def _fullest_slice(case: OpenCase) -> int:
    counts = np.count_nonzero(case.canvas.labels, axis=(1, 2))
    return int(counts.argmax()) if counts.any() else len(counts) // 2
