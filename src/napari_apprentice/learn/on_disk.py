"""Numbers that do not fit into memory, in a temporary file that nobody else sees and that goes with this process."""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
import torch

from napari_apprentice.errors import RunError

# Where it is there, a folder on a disk: the usual temporary folder is memory on many Linux systems.
ON_DISK = Path("/var/tmp")


def temporary_file() -> BinaryIO:
    """An empty file without a name, to write and read; closing it removes it."""
    return tempfile.TemporaryFile(buffering=0, prefix="apprentice-", dir=_folder())


def free_disk() -> int:
    """Bytes that can be written there."""
    return shutil.disk_usage(_folder() or tempfile.gettempdir()).free


class OnDisk:
    """Tensors that are written once and read in parts ever after, out of a file that is mapped into memory.

    The system keeps of it what there is room for and takes it back where others need the memory. Leaving the context
    ends the writing; what was read out of the file stays.
    """

    def __init__(self) -> None:
        self._file = temporary_file()
        self.bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()  # every map has a handle of its own

    def put(self, tensor: torch.Tensor) -> torch.Tensor:
        """The same numbers, on the disk.

        Raises
        ------
        RunError
            The disk is full, or fails.
        """
        array = tensor.contiguous().numpy()
        view = array.reshape(-1).view(np.uint8).data
        try:
            while view:  # not through the map: a disk that is full would end the process without a word
                view = view[self._file.write(view) :]
        except OSError as error:
            raise RunError(
                f"The scans to learn from do not fit into memory, and a temporary file for them could not be written "
                f"({error.strerror or error}). Make room on the disk, or train where there is more memory."
            ) from error
        start, self.bytes = self.bytes, self.bytes + array.nbytes
        # copy on write, since PyTorch knows no tensors that cannot be written
        return torch.from_numpy(np.memmap(self._file, array.dtype, "c", start, array.shape))


def _folder() -> Path | None:
    return ON_DISK if sys.platform != "win32" and os.access(ON_DISK, os.W_OK) else None
