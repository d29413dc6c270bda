import sys

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_apprentice.errors import Cancelled
from napari_apprentice.learn import own_grid
from napari_apprentice.learn.own_grid import OwnGrid
from napari_apprentice.learn.probabilities import largest, likely

CPU = torch.device("cpu")
SHAPES = st.tuples(st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.integers(1, 20)] * 3))


class Whole:
    """Probabilities (rows, z, y, x) in memory."""

    def __init__(self, values):
        self.values = values

    def gather(self, z, y):
        values = self.values[:, slice(*z), slice(*y)]
        rows = likely(largest(values))
        return rows, values[list(rows)]


def some(scaled, rows=4, seed=0):
    logits = np.random.default_rng(seed).normal(0, 3, (rows, *scaled))
    return torch.from_numpy(logits).float().softmax(0)


def by_scipy(values, own):
    factors = [b / a for a, b in zip(values.shape[1:], own, strict=True)]
    zoomed = [ndimage.zoom(v.numpy(), factors, order=1, mode="nearest", grid_mode=True) for v in values]
    return np.stack(zoomed).astype(np.float64)


def compare(found_labels, found_uncertainty, expected):
    ranked = np.sort(expected, axis=0)
    clear = ranked[-1] - ranked[-2] > 1e-5 if len(expected) > 1 else np.ones(expected.shape[1:], bool)
    assert (found_labels == expected.argmax(0))[clear].all()
    entropy = -(expected * np.log(np.maximum(expected, 1e-12))).sum(0) / np.log(len(expected))
    assert np.abs(found_uncertainty - 255 * entropy).max() <= 0.6  # half of it is rounding


@settings(deadline=None, max_examples=40)
@given(SHAPES, st.integers(1, 6))
def test_labels_and_uncertainty_agree_with_scipy(shapes, thick):
    scaled, own = shapes
    values = some(scaled)
    grid = OwnGrid(own, scaled, (0, 1, 2, 3), CPU)
    slabs = [grid.slab(z, min(z + thick, own[0]), Whole(values), lambda: None) for z in range(0, own[0], thick)]
    expected = by_scipy(values, own)
    compare(np.concatenate([s.labels for s in slabs]), np.concatenate([s.uncertainty for s in slabs]), expected)


def test_the_comparison_would_see_a_shift_of_half_a_voxel():
    values, own = some((6, 7, 8)), (12, 14, 16)
    slab = OwnGrid(own, (6, 7, 8), (0, 1, 2, 3), CPU).slab(0, 12, Whole(values), lambda: None)
    expected = by_scipy(values, own)
    compare(slab.labels, slab.uncertainty, expected)
    for axis in (1, 2, 3):
        shifted = ndimage.shift(expected, [0.5 if a == axis else 0 for a in range(4)], order=1, mode="nearest")
        with pytest.raises(AssertionError):
            compare(slab.labels, slab.uncertainty, shifted)


def test_little_at_once_is_the_same(monkeypatch):
    values, own = some((6, 17, 8)), (12, 40, 16)
    first = OwnGrid(own, (6, 17, 8), (0, 1, 2, 700), CPU)
    once = first.slab(0, 12, Whole(values), lambda: None)
    monkeypatch.setattr(own_grid, "TILE", 12 * 16 * 3)
    asked = []
    second = OwnGrid(own, (6, 17, 8), (0, 1, 2, 700), CPU)
    often = second.slab(0, 12, Whole(values), lambda: asked.append(1))
    assert len(asked) == 14
    assert once.labels.dtype == np.uint16
    assert (once.labels == often.labels).all()
    assert (once.uncertainty == often.uncertainty).all()
    assert first.confidence.dice() == second.confidence.dice()


def test_quality_is_the_soft_dice_confidence():
    values, own = some((5, 6, 7)), (10, 6, 9)
    grid = OwnGrid(own, (5, 6, 7), (0, 1, 2, 3), CPU)
    slab = grid.slab(0, 10, Whole(values), lambda: None)
    expected = by_scipy(values, own)
    for row, quality in grid.confidence.dice().items():
        won = slab.labels == row
        assert quality == pytest.approx(2 * expected[row][won].sum() / (expected[row].sum() + won.sum()), abs=1e-4)


def test_quality_counts_a_label_that_leaves_no_background_anywhere():
    values = torch.zeros(3, 4, 6, 7)
    values[1:] = some((4, 6, 7), 2)
    grid = OwnGrid((8, 6, 7), (4, 6, 7), (0, 5, 6), CPU)
    slab = grid.slab(0, 8, Whole(values), lambda: None)
    expected, quality = by_scipy(values, (8, 6, 7)), grid.confidence.dice()
    assert sorted(quality) == [1, 2]
    for row, label in ((1, 5), (2, 6)):
        won = slab.labels == label
        share = 2 * expected[row][won].sum() / (expected[row].sum() + won.sum())
        assert quality[row] == pytest.approx(share, abs=1e-4)


def test_certain_background_is_empty_and_certain():
    values = torch.zeros(3, 4, 4, 4)
    values[0] = 1
    slab = OwnGrid((8, 8, 8), (4, 4, 4), (0, 5, 6), CPU).slab(2, 5, Whole(values), lambda: None)
    assert (slab.start, slab.stop) == (2, 5)
    assert not slab.labels.any()
    assert not slab.uncertainty.any()


def test_slices_are_ready_when_both_their_neighbours_are():
    grid = OwnGrid((8, 4, 4), (4, 4, 4), (0, 1), CPU)
    assert grid.ready(np.array([False, True, True, False])).tolist() == [False] * 3 + [True] * 2 + [False] * 3


def test_cancelling_within_a_slab():
    def ask():
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        OwnGrid((8, 4, 4), (4, 4, 4), (0, 1), CPU).slab(0, 8, Whole(some((4, 4, 4), 2)), ask)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="how memory is pinned is the C library's")
def test_maps_of_many_labels_are_given_back_one_after_the_other():
    own, scaled, rows = (8, 256, 512), (4, 32, 64), 118
    values = some(scaled, rows)
    grid, process = OwnGrid(own, scaled, tuple(range(rows)), CPU), psutil.Process()
    most, before = [0], process.memory_info().rss
    grid.slab(0, 8, Whole(values), lambda: most.append(process.memory_info().rss))
    grown = max(*most, process.memory_info().rss) - before
    assert grown < 60 * 2**20, f"{grown / 2**20:.0f} MB, where a map of one label has 1 and there are {rows} labels"
