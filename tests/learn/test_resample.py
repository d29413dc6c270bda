import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_apprentice.learn.resample import Linear, resample_labels, resample_voxels, target_shape

SHAPES = [((9, 12, 10), (18, 24, 20)), ((12, 12, 12), (5, 7, 12)), ((7, 11, 13), (10, 8, 13)), ((1, 8, 8), (1, 16, 5))]


@pytest.mark.parametrize(("old", "new"), SHAPES)
def test_voxels_agree_with_scipy(old, new):
    voxels = np.random.default_rng(0).normal(size=old).astype(np.float32)
    factors = [b / a for a, b in zip(old, new, strict=True)]
    expected = ndimage.zoom(voxels, factors, order=1, mode="nearest", grid_mode=True)
    found = resample_voxels(torch.from_numpy(voxels)[None], new)[0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(("old", "new"), SHAPES)
def test_axis_by_axis_and_in_parts_is_the_same(old, new):
    voxels = torch.randn(3, *old)
    axes = [Linear.between(a, b) for a, b in zip(old, new, strict=True)]
    expected = resample_voxels(voxels, new)
    across = axes[2].apply(axes[1].apply(voxels, 2), 3)
    parts = [axes[0].part(z, min(z + 2, new[0])) for z in range(0, new[0], 2)]
    torch.testing.assert_close(torch.cat([p.apply(across, 1) for p in parts], 1), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("old", "new"), [(40, 9), (9, 40), (7, 7), (12, 4), (1, 3)])
def test_voxels_that_do_not_count_may_be_left_out(old, new):
    axis = Linear.between(old, new)
    values = torch.randn(old)
    found = axis.renumbered().apply(values[torch.from_numpy(axis.used())], 0)
    assert torch.equal(found, axis.apply(values, 0))
    if new * 2 < old:
        assert len(axis.used()) <= 2 * new


@pytest.mark.parametrize("factor", [0.5, 0.4, 2.0, 3.0])
def test_a_ball_stays_where_it_is_in_millimetres(factor):
    shape = (30, 32, 34)
    grid = np.stack(np.meshgrid(*(np.arange(n) + 0.5 for n in shape), indexing="ij"))
    ball = (np.sum((grid - np.array([14.2, 16.7, 18.1])[:, None, None, None]) ** 2, 0) < 64).astype(np.uint8)
    new = target_shape(shape, (1, 1, 1), (factor,) * 3)
    step = np.array(shape) / new
    middle = np.array(ndimage.center_of_mass(ball)) + 0.5
    labels = resample_labels(torch.from_numpy(ball), new).numpy()
    smooth = resample_voxels(torch.from_numpy(ball)[None].float(), new)[0].numpy()
    for moved in (labels, smooth):
        apart = np.abs((np.array(ndimage.center_of_mass(moved)) + 0.5) * step - middle).max()
        assert apart < 0.15  # half a voxel would be 0.2 to 1.5 mm


def test_there_and_back_at_twice_the_size_is_exact_for_labels():
    labels = torch.randint(0, 5, (6, 7, 8)).to(torch.uint8)
    back = resample_labels(resample_labels(labels, (12, 14, 16)), (6, 7, 8))
    assert (back == labels).all()
    assert back.dtype == torch.uint8


def test_at_least_one_voxel_is_left():
    assert target_shape((1, 4, 4), (1, 1, 1), (5, 1, 1)) == (1, 4, 4)
