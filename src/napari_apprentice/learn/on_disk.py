"""Numbers that do not fit into memory, in a temporary file that nobody else sees and that goes with this process."""

import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray

from napari_apprentice.errors import RunError

# Where it is there, a folder on a disk: the usual temporary folder is memory on many Linux systems.
ON_DISK = Path("/var/tmp")
_ALIGNED = 64  # bytes: where a tensor begins


def temporary_file() -> BinaryIO:
    """An empty file without a name, to write and read; closing it removes it."""
    return tempfile.TemporaryFile(buffering=0, prefix="apprentice-", dir=_folder())


def free_disk() -> int:
    """Bytes that can be written there."""
    return shutil.disk_usage(_folder() or tempfile.gettempdir()).free


class Veil(Protocol):
    """Hides what leaves memory from whoever can read the disk."""

    def cover(self, data: memoryview) -> tuple[bytes, int]:
        """As many bytes that tell nothing, and the number by which they become what they were."""
        ...

    def uncover(self, data: memoryview, number: int) -> None:
        """Make them in place what they were."""
        ...


class OnDisk:
    """Tensors that are written once and read in parts ever after, out of a file that is mapped into memory.

    The system keeps of it what there is room for and takes it back where others need the memory. Leaving the context
    ends the writing; what was taken out stays.
    """

    def __init__(self) -> None:
        self._file = temporary_file()
        self._places: dict[int, int] = {}
        self._map: NDArray[np.uint8] | None = None
        self.bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()  # the map has a handle of its own

    def put(self, tensor: torch.Tensor) -> torch.Tensor:
        """Write a tensor; what is returned has its shape and no numbers, and `take` gives them for it.

        Raises
        ------
        RunError
            The disk is full, or fails.
        """
        view = tensor.contiguous().numpy().reshape(-1).view(np.uint8)
        with _disk_errors():
            # Not through the map: a disk that is full would end the process without a word.
            for part in (view.data, memoryview(bytes(-view.size % _ALIGNED))):
                while part:
                    part = part[self._file.write(part) :]
        empty = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
        self._places[id(empty)] = self.bytes
        self.bytes += view.size + -view.size % _ALIGNED
        return empty

    def take(self, empty: torch.Tensor) -> torch.Tensor:
        """The numbers of a tensor that was put there, to be read only; nothing can be put there any more."""
        if self._map is None:
            with _disk_errors():
                # One map for all of them: each has a handle, of which a process may have a thousand.
                self._map = np.memmap(self._file, np.uint8, "r")
        start = self._places[id(empty)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # PyTorch knows no tensors that cannot be written
            whole = torch.from_numpy(self._map[start : start + empty.nbytes])
        return whole.view(empty.dtype).view(empty.shape)


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(
            f"The scans to learn from do not fit into memory, and a temporary file for them could not be written "
            f"({error.strerror or error}). Make room on the disk, or train where there is more memory."
        ) from error


def _folder() -> Path | None:
    return ON_DISK if sys.platform != "win32" and os.access(ON_DISK, os.W_OK) else None
