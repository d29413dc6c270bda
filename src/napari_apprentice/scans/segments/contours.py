"""Closed contours into masks."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def fill(rings: Sequence[NDArray[np.float64]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centre lies inside of an odd number of rings: a ring within a ring is a hole.

    Parameters
    ----------
    rings
        (n, 2) float64 each: (row, column) of corners in pixels, centres at whole numbers; closed by itself.
    shape
        (rows, columns) of the mask; what reaches beyond is cut off.

    Notes
    -----
    Even-odd rule by scanline: an edge turns every pixel right of where it crosses a row. An edge through a
    centre takes it in on the left and the upper side only, so that neighbours never share a pixel and areas
    are true on average.
    """
    start = np.concatenate(rings)
    end = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    down = start[:, 0] <= end[:, 0]
    top, bottom = np.where(down[:, None], start, end), np.where(down[:, None], end, start)
    first = np.clip(np.ceil(top[:, 0]), 0, shape[0]).astype(np.intp)
    count = np.clip(np.ceil(bottom[:, 0]), 0, shape[0]).astype(np.intp) - first  # rows with top <= row < bottom
    edge = np.repeat(np.arange(len(start)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    along = (row - top[edge, 0]) / (bottom[edge, 0] - top[edge, 0])
    crossing = top[edge, 1] + along * (bottom[edge, 1] - top[edge, 1])
    turns = np.zeros((shape[0], shape[1] + 1), np.int32)
    np.add.at(turns, (row, np.clip(np.ceil(crossing), 0, shape[1]).astype(np.intp)), 1)
    mask: NDArray[np.bool_] = np.cumsum(turns[:, :-1], axis=1) % 2 == 1
    return mask
