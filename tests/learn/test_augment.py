import numpy as np
import torch
from small import make_plan

from napari_apprentice.learn.augment import augment, blur
from napari_apprentice.learn.patches import Batch


def batch(shape=(2, 16, 16, 16), seed=0):
    torch.manual_seed(seed)
    target = torch.randint(0, 3, shape).to(torch.uint8)
    return Batch(target[:, None].float() + 10, target, target == 2)


def draw(plan, seed, data):
    return augment(data, plan, np.random.default_rng(seed), torch.Generator().manual_seed(seed))


def test_the_same_seed_gives_the_same_batch():
    one, two = draw(make_plan(), 5, batch()), draw(make_plan(), 5, batch())
    assert torch.equal(one.voxels, two.voxels)
    assert torch.equal(one.target, two.target)


def test_sides_are_never_swapped_when_mirroring_along_x_is_off():
    ramp = torch.arange(16.0).expand(1, 1, 16, 16, 16)
    data = Batch(ramp.clone(), torch.zeros(1, 16, 16, 16, dtype=torch.uint8), torch.zeros(1, 16, 16, 16).bool())
    for seed in range(40):
        out = draw(make_plan(mirror=(0, 1)), seed, data).voxels[0, 0]
        assert out[8, 8, 9:12].mean() > out[8, 8, 4:7].mean()
    swapped = [draw(make_plan(mirror=(2,)), s, data).voxels[0, 0] for s in range(10)]
    assert any(v[8, 8, 9:12].mean() < v[8, 8, 4:7].mean() for v in swapped)


def test_one_slice_stays_one_slice():
    for seed in range(30):
        out = draw(make_plan(patch=(1, 16, 16)), seed, batch((2, 1, 16, 16)))
        assert out.voxels.shape == (2, 1, 1, 16, 16)
        assert torch.isfinite(out.voxels).all()


def test_blur_keeps_the_mean_and_widens_a_point():
    voxels = torch.zeros(1, 15, 15, 15)
    voxels[0, 7, 7, 7] = 1
    soft = blur(voxels, 1.0)
    assert abs(float(soft.sum()) - 1) < 1e-5
    assert soft[0, 7, 7, 7] < 0.2
    assert torch.equal(soft[0, 7, 7], soft[0, 7, 7].flip(0))
