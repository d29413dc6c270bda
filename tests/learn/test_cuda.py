"""The same on a GPU: training goes down, a prediction agrees with the CPU's."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small import finish, make_example, make_plan, never
from training import base_weights, half_seen, train
from training import settings as tuning

from napari_apprentice.core.config import PredictSettings, first_model_settings
from napari_apprentice.learn import prepared, weights
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


def test_scans_that_the_host_keeps_teach_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a teacher; patches then travel from pinned memory beside the step before."""
    plan, examples = make_plan(), [half_seen(0), half_seen(1)]
    how = tuning(30, device="cuda")
    base = base_weights(plan, tmp_path / "base.safetensors")
    for name, share in (("device", prepared.SHARE), ("host", 0.0)):
        monkeypatch.setattr(prepared, "SHARE", share)
        train(tmp_path, name, examples, how=how, start=base, plan=plan)
    one, two = (weights.read(tmp_path / f"{name}.safetensors") for name in ("device", "host"))
    moved = max((one[n] - weights.read(base)[n]).abs().max() for n in one)
    assert moved > 0
    assert max((one[n] - two[n]).abs().max() for n in one) < 0.05 * moved  # cuDNN adds up in no fixed order


def test_several_that_look_from_every_side_agree_on_both(tmp_path: Path) -> None:
    plan = make_plan(labels=tuple(range(1, 12)))  # read out late
    file, example = base_weights(plan, tmp_path / "w.safetensors"), make_example(shape=(30, 34, 40))
    maps = []
    for name in ("cuda", "cpu"):
        alone = Predictor(plan, file, torch.device(name), labels=plan.labels[::2])
        both, how = Predictor.together([alone, alone]), PredictSettings(quality="best", half=False, backend="torch")
        maps.append(finish(both.predict_array(example.voxels, example.spacing, how, never))[1].labels)
    assert (maps[0] == maps[1]).mean() > 0.95
