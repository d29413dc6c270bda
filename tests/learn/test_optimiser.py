"""Weights are moved as PyTorch's own optimisers move them, and after a resumption as if there had been none."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from training import settings

from napari_apprentice.errors import RunError
from napari_apprentice.learn import optimiser as optimiser_module
from napari_apprentice.learn.optimiser import MOST_SKIPPED, Optimiser

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


@pytest.fixture
def fp16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses are scaled, as on GPUs that compute in fp16."""
    monkeypatch.setattr(optimiser_module, "needs_scaler", lambda _: True)


@pytest.mark.usefixtures("fp16")
def test_a_run_that_skips_every_step_in_fp16_ends_with_the_reason_and_not_well() -> None:
    module = network()
    before, begun = module["used"].weight.detach().clone(), Optimiser(module, settings(), CPU)
    module["used"].weight.register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(RunError, match=f"gradient is not a number any more at step {MOST_SKIPPED + 1},"):
        moved(module, begun, range(250))
    assert torch.equal(module["used"].weight, before)


@pytest.mark.usefixtures("fp16")
def test_a_run_that_began_without_loss_scaling_goes_on_with_it() -> None:
    """It began on a CPU, or a GPU that computes in bf16; at a scale of 1 fp16 rounds most gradients to nothing."""
    module = network()
    begun = Optimiser(module, settings(), CPU)
    moved(module, begun, range(2))
    for stored, scale in ((1.0, 65536.0), (1024.0, 1024.0)):
        resumed = Optimiser(module, settings(), CPU)
        resumed.restore(begun.state(), stored)
        assert resumed.scale == scale
