"""Label maps that are kept packed in memory: those of a study's corrections are looked at one after the other."""

import zlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

SMALLEST = 2**20  # bytes; below, packing is not worth its time
_PIECE = 2**24  # bytes packed together
T = TypeVar("T")


class Packed:
    """An array in a small part of its bytes, where long runs of it are alike, as in label maps.

    Parameters
    ----------
    array
        Of any shape and type of number; it is not kept.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        self.shape, self._dtype = array.shape, array.dtype
        self._pieces = [zlib.compress(piece, 1) for piece in _pieces(np.ascontiguousarray(array))]

    @property
    def bytes(self) -> int:
        """Held in memory."""
        return sum(map(len, self._pieces))

    def unpacked(self) -> NDArray[Any]:
        """The array, made anew."""
        array = np.empty(self.shape, self._dtype)
        for place, piece in zip(_pieces(array), self._pieces, strict=True):
            place[:] = zlib.decompress(piece)
        array.flags.writeable = False  # what is written there would be lost
        return array


def keeps_packed(*names: str) -> Callable[[type[T]], type[T]]:
    """Make a dataclass keep fields that are large arrays packed, and unpack them whenever they are asked for."""

    def changed(cls: type[T]) -> type[T]:
        for name in names:
            setattr(cls, name, _Field(name))
        return cls

    return changed


def kept(owner: Any, name: str) -> NDArray[Any] | Packed:
    """Such a field as it is kept, which says its shape without being unpacked."""
    found: NDArray[Any] | Packed = owner.__dict__[name]
    return found


class _Field:
    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, owner: Any, _: Any = None) -> Any:
        if owner is None:
            raise AttributeError(self._name)
        kept = owner.__dict__[self._name]
        return kept.unpacked() if isinstance(kept, Packed) else kept

    def __set__(self, owner: Any, array: NDArray[Any]) -> None:
        owner.__dict__[self._name] = Packed(array) if array.nbytes >= SMALLEST else array


def _pieces(array: NDArray[Any]) -> Iterator[memoryview]:
    whole = array.reshape(-1).view(np.uint8).data
    for start in range(0, len(whole), _PIECE):
        yield whole[start : start + _PIECE]
