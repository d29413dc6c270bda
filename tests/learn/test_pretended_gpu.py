"""On a device of its own: nothing is mixed with the host's tensors, and nothing waits for it without need.

No GPU is needed for these; see `pretended_gpu`.
"""

import numpy as np
import pytest
import torch
from pretended_gpu import GPU, PretendedGpu
from small import finish, make_example, make_plan, never

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.learn.network import build
from napari_apprentice.learn.predictor import Predictor

CPU = torch.device("cpu")


def predicted(device, labels, settings, models=1):
    plan, example = make_plan(labels=labels, mirror=(1,)), make_example(shape=(18, 20, 26), spacing=(1.0, 1.2, 0.8))
    torch.manual_seed(0)
    predictor = Predictor.together([Predictor.of(plan, build(plan), device) for _ in range(models)])
    return finish(predictor.predict_array(example.voxels, example.spacing, settings, never))[1]


@pytest.mark.parametrize(("rows", "quality", "models"), [(3, "best", 1), (11, "draft", 1), (3, "draft", 2)])
def test_a_prediction_is_that_of_the_cpu_and_waits_for_the_device_a_few_times_per_slab(rows, quality, models):
    labels = tuple(range(1, rows))  # eleven are read out late
    settings = PredictSettings(quality=quality, backend="torch", half=False)
    with PretendedGpu() as gpu:
        there = predicted(GPU, labels, settings, models)
    here = predicted(CPU, labels, settings, models)
    assert (there.labels == here.labels).all()
    assert (there.uncertainty == here.uncertainty).all()
    assert there.quality == here.quality
    assert len(np.unique(here.labels)) > 1
    if models == 1:  # to count votes is to wait for them
        assert sum(n for place, n in gpu.waits.items() if "member.py" not in place) < 40, gpu.waits
