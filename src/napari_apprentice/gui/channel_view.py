"""One channel of a scan on disk as an array that reads what is looked at, and keeps what it read."""

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

SLAB = 64  # slices that are read together: the chunks on disk are that thick, so one slice costs as much


class ChannelView:
    """One channel of a (c, z, y, x) array on disk as a (z, y, x) array that reads what is asked for.

    A box of it is another such view and reads nothing: napari cuts the visible box out of a pyramid's
    level before it takes the slice. What was read stays in memory; `read_on` reads the rest, for whoever
    has a thread for it.

    Parameters
    ----------
    array
        Anything indexed like an array.
    channel
        Index along c.
    """

    def __init__(self, array: Any, channel: int) -> None:
        self._store = _Store(array, channel)
        self._ranges = tuple(range(n) for n in array.shape[1:])

    @property
    def shape(self) -> tuple[int, ...]:
        """(z, y, x)."""
        return tuple(len(r) for r in self._ranges)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the voxels."""
        return self._store.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self._ranges)

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return len(self._ranges[0])

    def __getitem__(self, index: Any) -> Any:
        index = index if isinstance(index, tuple) else (index,)
        index += (slice(None),) * (self.ndim - len(index))
        places = tuple(r[i] for r, i in zip(self._ranges, index, strict=True))
        if all(isinstance(p, range) for p in places):
            part = object.__new__(ChannelView)
            part._store, part._ranges = self._store, places
            return part
        return self._store.read(tuple(_as_index(p) for p in places))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self._store.read(tuple(_as_index(r) for r in self._ranges)), dtype=dtype)

    def read_on(self) -> bool:
        """Read the slab that is nearest to the slice looked at last; false when all were read."""
        return self._store.read_on()


class _Store:
    """The voxels of one channel, as far as they were read."""

    def __init__(self, array: Any, channel: int) -> None:
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)
        self._array = array
        self._channel = channel
        self._shape: tuple[int, ...] = tuple(array.shape[1:])
        self._memory: NDArray[Any] | None = None  # takes real memory only where it was written to
        self._missing = set(range(0, self._shape[0], SLAB))  # first slices of the slabs that were not read
        self._reading = threading.Lock()
        self._last = 0

    def read(self, index: tuple[Any, ...]) -> NDArray[Any]:
        """Voxels at an index of three numbers or slices."""
        z = index[0]
        if isinstance(z, int):
            self._last = z
            return np.asarray(self._slab(z - z % SLAB)[index])
        if self._memory is not None and not self._missing:
            return np.asarray(self._memory[index])
        return np.asarray(self._array[(self._channel, *index)])

    def read_on(self) -> bool:
        with self._reading:
            missing = sorted(self._missing, key=lambda z: abs(z + SLAB / 2 - self._last))
        if missing:
            self._slab(missing[0])
        return len(missing) > 1

    def _slab(self, start: int) -> NDArray[Any]:
        """The memory, with the slab that begins at slice `start` in it."""
        with self._reading:
            if self._memory is None:
                self._memory = np.empty(self._shape, self.dtype)
            if start in self._missing:
                stop = min(start + SLAB, self._shape[0])
                self._memory[start:stop] = self._array[self._channel, start:stop]
                self._missing.remove(start)
            return self._memory


def _as_index(place: int | range) -> int | slice:
    if isinstance(place, range):
        if not place:
            return slice(0, 0)
        # A range that runs down to 0 stops at -1, which would mean the last one.
        return slice(place.start, None if place.stop < 0 else place.stop, place.step)
    return place
