"""Dice and added path length against hand-counted cases."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_apprentice.core.metrics import added_path_length, dice


def test_dice_counts_by_hand() -> None:
    a = np.zeros((2, 4, 4), np.uint8)
    b = a.copy()
    a[0, :2, :2] = 1  # 4 voxels
    b[0, 1:3, :2] = 1  # 4 voxels, 2 shared
    assert dice(a, b, 1) == 0.5
    assert dice(a, b, 2) is None
    known = np.zeros(a.shape, bool)
    known[0, 1] = True
    assert dice(a, b, 1, known) == 1.0


@given(st.integers(0, 2**32 - 1))
def test_dice_is_symmetric_and_bounded(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(0, 3, (3, 4, 5)).astype(np.uint8) for _ in range(2))
    for label in (1, 2):
        value = dice(a, b, label)
        assert value == dice(b, a, label)
        assert value is None or 0 <= value <= 1


def test_added_path_length_is_the_new_contour_only() -> None:
    start = np.zeros((1, 8, 8), np.uint8)
    start[0, 2:6, 2:6] = 1
    corrected = start.copy()
    assert added_path_length(start, corrected, 1) == 0
    corrected[0, 2:6, 6] = 1  # one column wider
    assert added_path_length(start, corrected, 1) == 4
