"""On a device of its own: nothing is mixed with the host's tensors, and nothing waits for it without need.

No GPU is needed for these; see `pretended_gpu`.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pretended_gpu import GPU, PretendedGpu
from small import finish, make_example, make_plan, never
from training import half_seen, settings

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.records import OpenLabels
from napari_apprentice.learn import feed
from napari_apprentice.learn.feed import Feed
from napari_apprentice.learn.network import build
from napari_apprentice.learn.optimiser import Optimiser
from napari_apprentice.learn.predictor import Predictor
from napari_apprentice.learn.prepared import prepare
from napari_apprentice.learn.ranks import Ranks
from napari_apprentice.learn.stepper import Stepper
from napari_apprentice.learn.teacher import Teacher

CPU = torch.device("cpu")


class OnTheHost(torch.Generator):
    """A generator of the host's, whatever device it is for."""

    def __new__(cls, _device):
        return super().__new__(cls)


def predicted(device, labels, how, models=1):
    plan, example = make_plan(labels=labels, mirror=(1,)), make_example(shape=(18, 20, 26), spacing=(1.0, 1.2, 0.8))
    torch.manual_seed(0)
    predictor = Predictor.together([Predictor.of(plan, build(plan), device) for _ in range(models)])
    return finish(predictor.predict_array(example.voxels, example.spacing, how, never))[1]


@pytest.mark.parametrize(("rows", "quality", "models"), [(3, "best", 1), (11, "draft", 1), (3, "draft", 2)])
def test_a_prediction_is_that_of_the_cpu_and_waits_for_the_device_a_few_times_per_slab(rows, quality, models):
    labels = tuple(range(1, rows))  # eleven are read out late
    how = PredictSettings(quality=quality, backend="torch", half=False)
    with PretendedGpu() as gpu:
        there = predicted(GPU, labels, how, models)
    here = predicted(CPU, labels, how, models)
    assert (there.labels == here.labels).all()
    assert (there.uncertainty == here.uncertainty).all()
    assert there.quality == here.quality
    assert len(np.unique(here.labels)) > 1
    assert sum(n for place, n in gpu.waits.items() if "member.py" not in place) < 20, gpu.waits


def test_for_an_apple_gpu_patches_are_turned_on_the_host(monkeypatch):
    """In PyTorch 2.10 to 2.12 it knows no nearest neighbours in 3D, and before it turned nothing."""
    sent = []
    monkeypatch.setattr(feed, "sent", lambda values, _device: sent.append(values.shape[-3:]) or values)
    monkeypatch.setattr("napari_apprentice.learn.feed.torch.Generator", OnTheHost)
    plan, cases = make_plan(), [prepare(make_example(), make_plan())]
    there = Feed(cases, plan, settings(), torch.device("mps"), Ranks())
    here = Feed(cases, plan, settings(), CPU, Ranks())
    assert all(torch.equal(there.batch(n).voxels, here.batch(n).voxels) for n in range(4))
    assert set(sent) == {plan.patch}  # without what is around them


def trained(device, taught, waits=None):
    """Losses of four steps on scans that the host keeps; what is done once is no part of the waits."""
    plan, ranks = make_plan(), Ranks()
    torch.manual_seed(0)
    module, base = build(plan).to(device), build(plan).to(device)
    optimiser = Optimiser(module, settings(), device)
    teacher = Teacher(base, (2,), 2.0) if taught else None
    opened = [torch.tensor([0, 2], device=device)]
    stepper = Stepper(module, optimiser, settings(), opened, teacher, ranks, plan.batch)
    where = np.full((16, 18, 20), 1, np.uint8)  # all that was seen: label 2 did not exist then
    examples = [half_seen(0), replace(half_seen(1), open=OpenLabels(((2,),), where))]
    batches = Feed([prepare(e, plan) for e in examples], plan, settings(), device, ranks)
    if waits is not None:
        waits.clear()
    return [optimiser.step(n, 0.01, stepper.gradient(batches.batch(n), n)) for n in range(4)]


@pytest.mark.parametrize("taught", [False, True])
@pytest.mark.usefixtures("float32")
def test_a_training_step_is_that_of_the_cpu_and_waits_for_the_device_once(monkeypatch, taught):
    monkeypatch.setattr("napari_apprentice.learn.feed.torch.Generator", OnTheHost)  # "meta" has none
    with PretendedGpu() as gpu:
        there = trained(GPU, taught, gpu.waits)
    assert there == trained(CPU, taught)
    distilled = sum(n for place, n in gpu.waits.items() if "teacher.py" in place)  # where nobody looked
    assert sum(gpu.waits.values()) - distilled == 4, gpu.waits
    assert distilled == (4 if taught else 0)
