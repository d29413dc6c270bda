"""The block of voxels that NIfTI, Analyze and MGH files hold: x fastest, then y, z, volume after volume."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.scans.raw import RawFile

_SLAB = 4 << 20


@dataclass(frozen=True)
class Block:
    """How voxels lie in a file.

    Parameters
    ----------
    shape
        Voxels along (i, j, k), and how many volumes.
    dtype
        Number type with its byte order; colour as three or four uint8 fields.
    slope, inter
        What a stored number times and plus gives the value; 1 and 0 change nothing.
    """

    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    slope: float = 1.0
    inter: float = 0.0

    @property
    def scaled(self) -> bool:
        """Whether values differ from the numbers that are stored."""
        return (self.slope, self.inter) != (1.0, 0.0)


def check_block(raw: RawFile, block: Block) -> None:
    """Refuse a block that the file cannot hold, before anything is done with its numbers.

    Raises
    ------
    ScanError
        The file's size does not allow it.
    """
    raw.check(math.prod(block.shape) * block.dtype.itemsize, "the block of voxels")


def read_block(raw: RawFile, block: Block, chosen: tuple[int, ...]) -> NDArray[Any]:
    """Read the chosen volumes.

    Returns
    -------
    (volume, i, j, k) in the machine's byte order, float32 where the block is scaled.

    Raises
    ------
    ScanError
        The file is shorter than the block.
    """
    i, j, k, count = block.shape
    check_block(raw, block)
    plain = block.dtype.newbyteorder("=")
    out = np.empty((len(chosen), k, j, i), np.float32 if block.scaled else plain)
    for n in range(count):
        if n not in chosen:
            raw.skip(i * j * k * block.dtype.itemsize, "the block of voxels")
        elif block.scaled:
            _fill_scaled(raw, block, out[chosen.index(n)])
        else:
            raw.fill(out[chosen.index(n)], "the block of voxels")
    if not block.scaled and not block.dtype.isnative:
        out.byteswap(inplace=True)
    return out.transpose(0, 3, 2, 1)


def _fill_scaled(raw: RawFile, block: Block, out: NDArray[np.float32]) -> None:
    """Scale on the way in, slab by slab: float64 for exactness, never for the whole volume."""
    rows = out.reshape(-1, out.shape[-1])
    step = max(1, _SLAB // (rows.shape[1] * 8))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        stored = np.empty(part.shape, block.dtype)
        raw.fill(stored, "the block of voxels")
        values = stored.astype(np.float64)
        values *= block.slope
        values += block.inter
        with np.errstate(over="ignore"):  # becomes infinite, and is told as such
            part[...] = values
