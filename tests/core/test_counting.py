"""Voxels of each value, counted in little memory."""

import tracemalloc

import numpy as np
import pytest

from napari_apprentice.core.counting import count_values


@pytest.mark.parametrize("shape", [(3, 1100, 700), (1, 1500, 1500), (0, 4, 4)])
def test_it_counts_as_all_at_once_would(shape: tuple[int, ...]) -> None:
    voxels = np.random.default_rng(0).integers(0, 300, shape).astype(np.uint16)
    assert count_values(voxels, 3).tolist() == np.bincount(voxels.ravel(), minlength=3).tolist()


def test_counting_the_status_of_a_large_scan_takes_a_small_part_of_its_memory() -> None:
    status = np.zeros((120, 512, 512), np.uint8)
    tracemalloc.start()
    try:
        counts = count_values(status, 3)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert counts.tolist() == [status.size, 0, 0]
    assert peak < status.nbytes / 2  # at once it took eight times as much
