"""How many voxels have which value."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_TOGETHER = 1 << 20  # voxels: bincount makes eight bytes of every one it is given


def count_values(voxels: NDArray[np.unsignedinteger[Any]], least: int = 0) -> NDArray[np.int64]:
    """Voxels of each value from 0 on, in memory that does not grow with the scan.

    Parameters
    ----------
    voxels
        Of any shape.
    least
        How many values are counted at least, also where the highest are missing.

    Returns
    -------
    (n,) voxels of the values 0 to n - 1.
    """
    flat = voxels.reshape(-1)
    counts = np.zeros(max(least, int(flat.max(initial=0)) + 1), np.int64)
    for start in range(0, flat.size, _TOGETHER):
        counts += np.bincount(flat[start : start + _TOGETHER], minlength=counts.size)
    return counts
