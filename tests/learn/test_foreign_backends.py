"""Networks from elsewhere by OpenVINO, and by torch where OpenVINO does not know them."""

import numpy as np
import pytest
import torch
from nnunet_models import DATASETS, PLANS, configuration_of
from small import finish, never

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.nnunet_plans import read_plans
from napari_apprentice.errors import ModelError
from napari_apprentice.learn.network import build
from napari_apprentice.learn.predictor import Predictor
from napari_apprentice.learn.weights import save

CPU = torch.device("cpu")


def plan_of(name):
    return read_plans(PLANS[name], DATASETS[name], configuration_of(PLANS[name])).plan


@pytest.mark.parametrize("name", ["residual3d", "plain2d", "batchnorm3d"])
def test_openvino_says_the_same(name):
    pytest.importorskip("openvino")
    from napari_apprentice.learn.backend_openvino import OpenVinoBackend

    plan = plan_of(name)
    net = build(plan).eval()
    patch = torch.randn(1, len(plan.normalisation), *plan.patch)
    with torch.no_grad():
        expected = net.full(patch)
    torch.testing.assert_close(OpenVinoBackend(net, plan, half=False).run(patch), expected, atol=1e-4, rtol=1e-4)


def test_torch_steps_in_for_a_network_that_openvino_does_not_know(tmp_path, monkeypatch):
    pytest.importorskip("openvino")

    def unknown(*_, **__):
        raise ModelError("OpenVINO cannot read this network. Choose torch as the backend.")

    monkeypatch.setattr("napari_apprentice.learn.member.OpenVinoBackend", unknown)
    plan = plan_of("residual3d")
    save(build(plan), tmp_path / "w.safetensors")
    voxels = np.random.default_rng(0).normal(0, 1, (1, *plan.patch)).astype(np.float32)
    predictor = Predictor(plan, tmp_path / "w.safetensors", CPU)
    found = finish(predictor.predict_array(voxels, plan.spacing, PredictSettings(device="cpu"), never))[1]
    assert found.labels.shape == plan.patch
    asked = PredictSettings(device="cpu", backend="openvino")
    with pytest.raises(ModelError, match="Choose torch"):
        finish(predictor.predict_array(voxels, plan.spacing, asked, never))
