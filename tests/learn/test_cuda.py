"""The same on a GPU: training goes down, a prediction agrees with the CPU's."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small import finish, make_example, make_plan, never

from napari_apprentice.core.config import PredictSettings, first_model_settings
from napari_apprentice.learn.predictor import Predictor
from napari_apprentice.learn.trainer import fit

pytestmark = pytest.mark.gpu


def test_train_on_cuda_and_predict_alike_on_both(tmp_path: Path) -> None:
    plan, examples = make_plan(), [make_example(seed=i) for i in range(3)]
    weights = tmp_path / "w.safetensors"
    settings = first_model_settings(150, device="cuda")
    _, result = finish(fit(plan, examples, [], settings, None, weights, tmp_path / "checkpoint", never))
    assert result.loss < result.history[0][1]
    maps = []
    for name in ("cuda", "cpu"):
        predictor = Predictor(plan, weights, torch.device(name))
        example = examples[0]
        _, found = finish(predictor.predict_array(example.voxels, example.spacing, PredictSettings(), never))
        maps.append(found.labels)
    assert (maps[0] == maps[1]).mean() > 0.995
    assert np.isin(maps[0], (0, *plan.labels)).all()
