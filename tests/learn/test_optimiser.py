"""Weights are moved as PyTorch's own optimisers move them, and after a resumption as if there had been none."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from training import settings

from napari_apprentice.learn.optimiser import Optimiser

CPU = torch.device("cpu")


def network() -> nn.Module:
    """With weights in another order of memory than a checkpoint has, as quick networks have them, and an unused one."""
    torch.manual_seed(0)
    return nn.ModuleDict({"used": nn.Conv3d(4, 8, 3), "unused": nn.Linear(2, 2)}).to(
        memory_format=torch.channels_last_3d
    )


def moved(module: nn.Module, optimiser: Optimiser, numbers: range) -> list[torch.Tensor]:
    for number in numbers:
        torch.manual_seed(number)
        optimiser.clear()
        loss = module["used"](torch.randn(1, 4, 5, 5, 5)).square().mean()
        optimiser.add(loss)
        optimiser.step(number, 1e-2, loss.detach())
    return [p.detach().clone() for p in module.parameters()]


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_moments_that_were_stored_in_another_order_of_memory_belong_to_their_weights(name: str) -> None:
    how = replace(settings(), optimiser=name)
    module = network()
    whole = moved(module, Optimiser(module, how, CPU), range(5))
    module = network()
    begun = Optimiser(module, how, CPU)
    moved(module, begun, range(3))
    stored = {group: {n: t.contiguous().clone() for n, t in named.items()} for group, named in begun.state().items()}
    module = network()
    resumed = Optimiser(module, how, CPU)
    resumed.restore(stored, begun.scale)
    assert all(torch.equal(a, b) for a, b in zip(whole, moved(module, resumed, range(3, 5)), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(network()["unused"].parameters(), whole[2:], strict=True))
