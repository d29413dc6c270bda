"""A network written in other operations is the same network."""

from contextlib import suppress
from dataclasses import replace

import pytest
import torch
from small import make_plan
from torch import nn

from napari_apprentice.core.architecture import MonaiNetwork
from napari_apprentice.learn.network import build
from napari_apprentice.learn.openvino_form import FlatNorm, StackedConvolution, fast_in_bf16
from napari_apprentice.learn.readout import Readout

BASIC = {"spatial_dims": 3, "in_channels": 1, "out_channels": 3, "features": (8, 8, 16, 16, 16, 8)}
PLANS = [
    make_plan(),
    make_plan(features=8),
    make_plan(channels=2),
    make_plan(patch=(1, 16, 16)),
    replace(make_plan(patch=(32, 32, 32)), architecture=MonaiNetwork("BasicUNet", BASIC)),
]


def kinds(module: nn.Module) -> list[type[nn.Module]]:
    return [type(m) for m in module.modules()]


@pytest.mark.parametrize("plan", PLANS, ids=["4 features", "8 features", "2 channels", "flat", "BasicUNet"])
def test_it_gives_the_same_and_the_network_stays_as_it_was(plan):
    torch.manual_seed(0)
    network = build(plan).eval()
    for norm in (m for m in network.modules() if isinstance(m, nn.InstanceNorm3d) and m.affine):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    asked = Readout(plan, network).module(network).eval()
    before, patch = kinds(asked), torch.randn(1, len(plan.normalisation), *plan.patch)
    with torch.inference_mode():
        expected = asked(patch)
        with fast_in_bf16(asked):
            found = asked(patch)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        assert kinds(asked) == before
        assert torch.equal(asked(patch), expected)


def test_layers_of_few_features_and_of_one_channel_are_written_anew_wherever_they_are_held():
    plan = make_plan(features=8)
    network = build(plan).eval()
    with fast_in_bf16(network):
        found = kinds(network)
    assert found.count(StackedConvolution) == 1
    norms = [m for m in network.modules() if isinstance(m, nn.InstanceNorm3d)]
    few = [m for m in norms if m.num_features < 16]
    assert 0 < found.count(FlatNorm) == len(few) < len(norms)


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv3d(1, 4, 3), nn.Conv3d(1, 4, 3, padding=1, stride=2), nn.Conv3d(2, 4, 3, padding=1),
        nn.Conv3d(1, 4, 5, padding=2), nn.Conv3d(1, 4, 3, padding=1, padding_mode="circular"),
    ],
)  # fmt: skip
def test_other_convolutions_stay(convolution):
    network = nn.Sequential(convolution)
    with fast_in_bf16(network):
        assert network[0] is convolution


@pytest.mark.parametrize("kernel", [(3, 3, 3), (3, 1, 1), (3, 5, 3)])
def test_any_kernel_of_three_along_z(kernel):
    torch.manual_seed(0)
    padding = tuple(k // 2 for k in kernel)
    network, patch = nn.Sequential(nn.Conv3d(1, 4, kernel, padding=padding)), torch.randn(1, 1, 5, 6, 7)
    expected = network(patch)
    with suppress(KeyError), fast_in_bf16(network):
        assert isinstance(network[0], StackedConvolution)
        torch.testing.assert_close(network(patch), expected)
        raise KeyError
    assert isinstance(network[0], nn.Conv3d)  # whatever went wrong
