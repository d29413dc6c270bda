import pytest
import torch
from small import make_example, make_plan
from training import train

from napari_apprentice.errors import RunError
from napari_apprentice.learn import device, memory
from napari_apprentice.learn import loss as masked
from napari_apprentice.learn.memory import Need, affordable, need
from napari_apprentice.learn.network import build

CPU = torch.device("cpu")


def test_what_a_step_keeps_is_foretold_from_a_small_patch():
    plan = make_plan(patch=(32, 32, 48))
    module = build(plan).train()
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        logits = module(torch.zeros(1, 1, *plan.patch))
        masked.loss(logits, torch.ones(1, *plan.patch, dtype=torch.uint8), torch.ones(1, *plan.patch))
    real = sum(t.untyped_storage().nbytes() for t in kept.values())
    told = need(module, plan, taught=False)
    assert 0.7 * real < told.of(1) < 1.5 * real
    assert told.of(4) - told.of(2) == pytest.approx(2 * told.patch)
    assert need(module, plan, taught=True).fixed > told.fixed


def test_half_precision_is_foretold_to_keep_half_as_much(monkeypatch):
    """Copies of the weights are kept too, but do not grow with the patch."""
    plan = make_plan(patch=(32, 32, 48), features=16)
    kept = {}
    for half in (True, False):
        monkeypatch.setattr(device, "_cpu_has_bf16", lambda half=half: half)
        kept[half] = memory._kept(build(plan), plan)
    assert kept[True] == pytest.approx(kept[False] / 2, rel=0.05)


def test_a_batch_is_made_smaller_or_refused_before_it_begins(tmp_path, monkeypatch):
    def free(size):
        monkeypatch.setattr("napari_apprentice.learn.memory.free_memory", lambda _: size)

    free(30.0)
    assert [affordable(Need(4, per), 8, CPU) for per in (1, 5, 10, 25)] == [8, 4, 2, 1]
    assert affordable(None, 8, CPU) == 8
    with pytest.raises(RunError, match=r"on the GPU\. Close other programs, choose cpu as the device, or"):
        affordable(Need(4, 40), 8, torch.device("cuda"))
    free(1e5)  # enough for the scan
    with pytest.raises(RunError, match=r"takes about .* GB of memory, and 0\.0 GB are free on this computer"):
        train(tmp_path, "a", [make_example(0)])
