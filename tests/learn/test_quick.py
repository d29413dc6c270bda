import copy

import pytest
import torch
from small import make_plan
from torch import nn

from napari_apprentice.learn import quick
from napari_apprentice.learn.network import build
from napari_apprentice.learn.quick import LAST, Convolution, InstanceNorm, quicken

CPU = torch.device("cpu")


@pytest.mark.parametrize(("fold", "wide"), [(1, 2), (2, 6), (4, 8), (2, 5), (2, 2)])
def test_the_norm_is_pytorchs_own_in_value_and_gradient(fold, wide):
    torch.manual_seed(0)
    theirs = nn.InstanceNorm3d(5, affine=True)
    nn.init.normal_(theirs.weight)
    nn.init.normal_(theirs.bias)
    ours = InstanceNorm(copy.deepcopy(theirs), fold)
    # every second voxel along x is another tissue, so that neighbours differ in mean and spread
    values, slope = torch.randn(3, 5, 4, 6, wide), torch.randn(3, 5, 4, 6, wide)
    values[..., ::2] = 3 * values[..., ::2] + 4
    found = []
    for norm in (theirs, ours):
        given = values.clone().requires_grad_()
        out = norm(given)
        out.backward(slope)
        found.append((out, given.grad, norm.weight.grad, norm.bias.grad))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("features", [1, 2, 5, 24])
@pytest.mark.parametrize("stride", [1, (1, 2, 2), 2])
@pytest.mark.parametrize("kernel", [(3, 3, 3), (5, 3, 1)])
@pytest.mark.parametrize("size", [(1, 6, 7), (10, 17, 17)])  # with 24 the latter is larger than what counts as small
def test_a_quick_convolution_is_pytorchs_own_in_value_and_gradient(features, stride, kernel, size):
    torch.manual_seed(0)
    theirs = nn.Conv3d(features, 4, kernel, stride, tuple(k // 2 for k in kernel), bias=features == 5)
    ours = Convolution(copy.deepcopy(theirs))
    values = torch.randn(2, features, *size)
    found = []
    for convolution in (theirs.double(), ours):
        given = values.to(convolution.weight.dtype).contiguous(memory_format=LAST).requires_grad_()
        out = convolution(given)
        torch.manual_seed(1)
        out.backward(torch.randn(out.shape).to(out.dtype))
        bias = convolution.bias.grad if features == 5 else torch.zeros(1)
        found.append((out, given.grad, convolution.weight.grad, bias))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a.float(), b.float(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("features", "size", "put"), [(8, 32, True), (21, 8, True), (32, 16, False)])
def test_slices_are_put_there_for_few_features_and_small_maps(features, size, put, monkeypatch):
    asked = []
    slope = quick._slope
    monkeypatch.setattr(quick, "_slope", lambda *order: asked.append((order[4], order[3][1])) or slope(*order))
    convolution = Convolution(nn.Conv3d(features, 2, 3, padding=1, bias=False))
    convolution(torch.randn(1, features, size, size, size)).sum().backward()
    assert asked == [((False, True, False), (0, 1, 1) if put else (1, 1, 1))]


def test_convolutions_that_pad_no_slice_stay_pytorchs_own(monkeypatch):
    monkeypatch.setattr(quick, "_half", lambda _: False)
    module = nn.ModuleList([
        nn.Conv3d(4, 4, 3, padding="same"), nn.Conv3d(4, 4, (1, 3, 3), padding=(0, 1, 1)),
        nn.Conv3d(4, 4, 3, padding=1, groups=4), nn.Conv3d(4, 4, 3, padding=1, padding_mode="replicate"),
    ])  # fmt: skip
    assert not any(isinstance(m, Convolution) for m in quicken(module, CPU).modules())


@pytest.mark.parametrize("patch", [(16, 16, 16), (1, 16, 16)])
def test_a_quick_network_has_the_same_names_logits_and_gradients(patch, monkeypatch):
    monkeypatch.setattr(quick, "_half", lambda _: False)
    torch.manual_seed(0)
    usual = build(make_plan(patch=patch))
    fast = quicken(copy.deepcopy(usual), CPU)
    assert any(isinstance(m, InstanceNorm) for m in fast.modules())
    assert any(isinstance(m, Convolution) for m in fast.modules()) == (patch[0] > 1)
    assert [n for n, _ in usual.named_parameters()] == [n for n, _ in fast.named_parameters()]
    voxels = torch.randn(2, 1, *patch)
    for one, other in zip(usual.train()(voxels), fast.train()(voxels), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
    for module in (usual, fast):
        sum((m**2).mean() for m in module(voxels)).backward()
    for one, other in zip(usual.parameters(), fast.parameters(), strict=True):
        if one.grad is not None:
            torch.testing.assert_close(one.grad, other.grad, rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize(("features", "fold"), [(16, 1), (8, 2)])
def test_the_norm_of_bf16_maps_is_pytorchs_own(features, fold):
    torch.manual_seed(0)
    theirs = nn.InstanceNorm3d(features, affine=True)
    nn.init.normal_(theirs.weight)
    ours = InstanceNorm(copy.deepcopy(theirs), fold)
    values, slope = torch.randn(2, features, 4, 6, 6) * 3 + 7, torch.randn(2, features, 4, 6, 6)
    found = []
    for norm, kind in ((theirs, torch.float32), (ours, torch.bfloat16)):
        given = values.bfloat16().to(kind).requires_grad_()
        out = norm(given)
        out.backward(slope.to(kind))
        found.append((out, given.grad, norm.weight.grad, norm.bias.grad))
    assert all(t.dtype == torch.float32 for t in (ours.weight.grad, ours.bias.grad))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a.float(), b.float(), rtol=2e-2, atol=5e-2)


@pytest.mark.parametrize(("features", "norms", "last"), [(8, True, True), (16, True, True), (10, False, False)])
def test_in_bf16_features_lie_last_where_they_fill_registers(features, norms, last, monkeypatch):
    monkeypatch.setattr(quick, "_half", lambda _: True)
    plan = make_plan(features=features)
    torch.manual_seed(0)
    usual = build(plan)
    fast = quicken(copy.deepcopy(usual), CPU)
    modules = list(fast.modules())
    assert not any(isinstance(m, Convolution) for m in modules)
    ours = [m for m in modules if isinstance(m, InstanceNorm)]
    assert bool(ours) == norms
    assert not norms or not any(isinstance(m, nn.InstanceNorm3d) for m in modules)
    assert all(m.weight.numel() * m._fold % 16 == 0 for m in ours)
    kernels = [m.weight for m in modules if isinstance(m, nn.Conv3d) and m.in_channels > 1 and m.kernel_size[0] > 1]
    assert all(k.is_contiguous(memory_format=LAST) == last for k in kernels)
    voxels = torch.randn(2, 1, 16, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pairs = zip(usual.train()(voxels), fast.train()(voxels), strict=True)
    for one, other in pairs:
        torch.testing.assert_close(one.float(), other.float(), rtol=5e-2, atol=5e-2)


def test_other_devices_keep_the_usual_order():
    module = quicken(build(make_plan()), torch.device("cuda"))
    assert not any(isinstance(m, InstanceNorm) for m in module.modules())
