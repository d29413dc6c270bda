import numpy as np
import pytest
import torch
from small import make_plan

from napari_apprentice.learn.loss import IGNORE
from napari_apprentice.learn.turning import draw_turn, largest_margin, margin, turned


def turns(plan, count=60):
    drawn = (draw_turn(plan, np.random.default_rng(seed)) for seed in range(count))
    return [m for m in drawn if m is not None]


def test_about_a_third_of_the_patches_are_turned():
    plan = make_plan()
    rng = np.random.default_rng(0)
    assert np.mean([draw_turn(plan, rng) is not None for _ in range(2000)]) == pytest.approx(0.36, abs=0.03)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 0.5), (5.0, 1.0, 1.0)])
def test_the_largest_margin_holds_every_turn(spacing):
    plan = make_plan(patch=(16, 24, 32), spacing=spacing)
    most = largest_margin(plan)
    assert all(np.all(np.array(margin(plan, m)) <= most) for m in turns(plan, 200))
    assert (most[0] == 0) == (spacing[0] == 5.0)  # thick slices stay slices


def test_a_turned_patch_shows_what_is_really_there():
    plan = make_plan(patch=(8, 10, 12))
    for matrix in turns(plan):
        beyond = margin(plan, matrix)
        outer = [n + 2 * m for n, m in zip(plan.patch, beyond, strict=True)]
        z, y, x = torch.meshgrid(*(torch.arange(n) - (n - 1) / 2 for n in outer), indexing="ij")
        ramp = z + 10 * y + 100 * x
        voxels, target, edited = turned(ramp[None], torch.zeros(outer, dtype=torch.uint8), ramp > 0, matrix, plan.patch)
        places = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in plan.patch[::-1]), indexing="ij"), -1)
        there = places @ matrix.T  # (x, y, z) around the middle
        expected = (there @ np.array([100, 10, 1])).transpose(2, 1, 0)
        inner = (slice(2, -2),) * 3  # at the very edge half a voxel of padding is mixed in
        np.testing.assert_allclose(voxels[0].numpy()[inner], expected[inner], atol=0.1)
        assert (target != IGNORE).float().mean() > 0.97
        sure = np.abs(expected) > 60  # nearest voxels lie up to half a diagonal away
        assert ((edited.numpy() == (expected > 0)) | ~sure)[inner].all()


def test_beyond_what_is_there_is_unknown():
    plan = make_plan()
    known = torch.zeros(plan.patch, dtype=torch.uint8)
    matrix = np.eye(3) * 1.4
    _, target, _ = turned(torch.ones(1, *plan.patch), known, known > 0, matrix, plan.patch)
    assert (target == IGNORE).float().mean() == pytest.approx(1 - 1 / 1.4**3, abs=0.1)
    assert (target[8, 8] != IGNORE).any()


def test_one_slice_stays_one_slice():
    plan = make_plan(patch=(1, 16, 16))
    for matrix in turns(plan):
        assert margin(plan, matrix)[0] == 0
        np.testing.assert_array_equal(matrix[2], [0, 0, 1])
