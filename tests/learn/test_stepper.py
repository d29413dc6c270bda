"""A step in parts: when memory runs out, and that it stays the step of the whole batch."""

import numpy as np
import pytest
import torch
from small import make_example, make_plan
from training import base_weights, half_seen, settings, train

from napari_apprentice.errors import RunError
from napari_apprentice.learn import device, weights
from napari_apprentice.learn.network import DynUNetwork, build
from napari_apprentice.learn.optimiser import Optimiser
from napari_apprentice.learn.patches import PatchSampler
from napari_apprentice.learn.prepared import prepare
from napari_apprentice.learn.ranks import Ranks
from napari_apprentice.learn.stepper import Stepper
from napari_apprentice.learn.teacher import Teacher

pytestmark = pytest.mark.usefixtures("float32")
CPU = torch.device("cpu")
ERRORS = {
    "cuda": torch.cuda.OutOfMemoryError("CUDA out of memory."),
    "cpu": RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    "python": MemoryError(),
}


def gradient(micro, plan=None, taught=True):
    """Loss and gradient of one batch of four, computed in parts of `micro`; twice would be the same."""
    plan = plan or make_plan(batch=4)
    torch.manual_seed(0)
    module, base = build(plan), build(plan)
    optimiser = Optimiser(module, settings(), CPU)
    teacher = Teacher(base, (), 2.0) if taught else None
    cases = [prepare(half_seen(i), plan) for i in range(2)]
    batch = PatchSampler(cases, plan.patch, 4, 0.0).draw(np.random.default_rng(0))
    value = Stepper(module, optimiser, settings(), (), teacher, Ranks(), micro).gradient(batch, 0)
    return float(value), torch.cat([p.grad.flatten() for p in module.parameters()])


@pytest.mark.parametrize("micro", [1, 2, 3])
def test_parts_have_the_loss_and_gradient_of_the_whole(micro):
    whole, parts = gradient(4), gradient(micro)
    assert parts[0] == pytest.approx(whole[0], rel=1e-5)
    assert (parts[1] - whole[1]).norm() < 1e-4 * whole[1].norm()


def test_a_wide_slice_is_computed_in_float32_where_bf16_would_crash(monkeypatch):
    monkeypatch.setattr(device, "_cpu_has_bf16", lambda: True)
    monkeypatch.setattr(device, "_cpu_has_amx", lambda: True)
    kinds, forward = set(), DynUNetwork.forward

    def watched(self, voxels):
        logits = forward(self, voxels)
        kinds.add((logits[0].dtype, torch.is_grad_enabled()))
        return logits

    monkeypatch.setattr(DynUNetwork, "forward", watched)
    gradient(4, make_plan(patch=(1, 72, 64), batch=4), taught=False)  # as wide as does not crash yet
    assert kinds == {(torch.float32, True)}


def starve(monkeypatch, error, most, calls):
    """Let memory run out whenever more than so many patches are computed with a gradient."""
    forward = DynUNetwork.forward

    def hungry(self, voxels):
        calls.append(len(voxels))
        if len(voxels) > most:
            raise error
        return forward(self, voxels)

    monkeypatch.setattr(DynUNetwork, "forward", hungry)


@pytest.mark.parametrize("kind", list(ERRORS))
def test_when_memory_runs_out_the_batch_is_halved_and_the_person_told(tmp_path, monkeypatch, kind):
    plan = make_plan(batch=4)
    base = base_weights(plan, tmp_path / "base.safetensors")
    train(tmp_path, "plenty", plan=plan, start=base, how=settings(2))
    calls = []
    starve(monkeypatch, ERRORS[kind], 1, calls)
    reports, result = train(tmp_path, "scarce", plan=plan, start=base, how=settings(2))
    assert [len(result.notes), calls.count(4), calls.count(2)] == [2, 1, 1]
    assert "Memory ran out at step 1: each batch is now computed in parts of 1 patch." in result.notes[-1]
    assert any(r.text == result.notes[-1] for r in reports)
    one, two = (weights.read(tmp_path / f"{n}.safetensors") for n in ("plenty", "scarce"))
    assert all(torch.allclose(one[n], two[n], atol=1e-5) for n in one)


def test_a_run_that_goes_on_keeps_to_the_smaller_parts(tmp_path, monkeypatch):
    plan, calls, left = make_plan(batch=2), [], [5]

    def cancelled():
        left[0] -= 1
        return left[0] < 0

    starve(monkeypatch, ERRORS["cuda"], 1, calls)
    with pytest.raises(Exception, match="after 3 of 6 steps"):
        train(tmp_path, "a", plan=plan, cancelled=cancelled)
    calls.clear()
    _, result = train(tmp_path, "a", plan=plan)
    assert 2 not in calls
    assert len(result.notes) == 1


def test_no_room_for_one_patch_is_said_and_the_checkpoint_kept(tmp_path, monkeypatch):
    starve(monkeypatch, ERRORS["cuda"], 0, [])
    with pytest.raises(RunError, match="too little free memory"):
        train(tmp_path, "a")


def test_zero_gradient_where_nobody_looked_but_for_what_is_distilled():
    plan = make_plan()
    torch.manual_seed(0)
    student, base = build(plan), build(plan)
    voxels = torch.randn(1, 1, *plan.patch)
    target = torch.full((1, *plan.patch), 254, dtype=torch.uint8)
    target[:, :4], target[:, 4:8] = 1, 255
    logits = student.full(voxels).detach().requires_grad_()
    away, count = Teacher(base, (), 2.0).sums(logits, voxels, target)
    away.backward()
    touched = logits.grad.abs().sum(1)[0]
    assert count == 8 * 16 * 16
    assert (touched[:8] == 0).all()
    assert (touched[8:] > 0).all()
    alone = Teacher(student, (), 2.0).sums(student.full(voxels), voxels, target)
    assert alone[0] == pytest.approx(0, abs=1e-3)  # nothing to keep to where nothing has changed


def test_for_the_base_added_labels_are_background():
    plan = make_plan(labels=(1, 2))
    torch.manual_seed(0)
    base = build(plan)
    voxels = torch.randn(1, 1, *plan.patch)
    target = torch.full((1, *plan.patch), 254, dtype=torch.uint8)
    logits = base.full(voxels).detach()
    moved = logits.clone()  # from background to label 2, the sum of both unchanged
    shares = logits[:, [0, 2]].softmax(1).flip(1)
    moved[:, [0, 2]] = shares.log() + logits[:, [0, 2]].logsumexp(1, keepdim=True)
    assert Teacher(base, (2,), 1.0).sums(moved, voxels, target)[0] == pytest.approx(0, abs=1e-2)
    assert Teacher(base, (), 1.0).sums(moved, voxels, target)[0] > 1


def test_the_base_teaches_only_where_nothing_can_be_replayed(tmp_path):
    plan = make_plan()
    base = base_weights(plan, tmp_path / "base.safetensors")

    def trained(name, examples, distil):
        train(tmp_path, name, examples, how=settings(3, distil=distil), start=base)
        return weights.read(tmp_path / f"{name}.safetensors")

    def differs(examples):
        one, two = trained("one", examples, 0.0), trained("two", examples, 1.0)
        return any(not torch.equal(one[n], two[n]) for n in one)

    assert differs([half_seen(0)])
    assert not differs([half_seen(0), half_seen(1, replay=True)])
    assert not differs([make_example(0)])  # all was looked at
