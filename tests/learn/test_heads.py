"""Labels that come and go between two rounds."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small import make_example, make_plan, never
from training import base_weights, train

from napari_apprentice.core.architecture import MonaiNetwork
from napari_apprentice.core.config import PredictSettings, TrainSettings, first_model_settings
from napari_apprentice.core.records import OpenLabels
from napari_apprentice.errors import ModelError
from napari_apprentice.learn import weights
from napari_apprentice.learn.evaluate import scores
from napari_apprentice.learn.heads import SHARE, adapt, with_labels
from napari_apprentice.learn.network import build
from napari_apprentice.learn.predictor import Predictor

CPU = torch.device("cpu")


def adapted(tmp_path, plan, labels):
    base = base_weights(plan, tmp_path / "base.safetensors")
    before = base.read_bytes()
    wanted = with_labels(plan, labels)
    adapt(plan, base, wanted, tmp_path / "fitted.safetensors")
    assert base.read_bytes() == before
    old, new = build(plan), build(wanted)
    weights.load(old, base)
    weights.load(new, tmp_path / "fitted.safetensors")
    return old, new


def test_the_base_says_the_same_of_its_own_labels_and_one_in_a_hundred_is_new(tmp_path):
    old, new = adapted(tmp_path, make_plan(labels=(1, 5)), (1, 3, 5))
    voxels = torch.randn(1, 1, 16, 16, 16)
    before, after = old.train()(voxels), new.train()(voxels)
    assert len(before) == len(after) > 1  # in every map of deep supervision
    for one, two in zip(before, after, strict=True):
        assert torch.allclose(one, two[:, [0, 1, 3]], atol=1e-5)
        assert torch.allclose(two[:, 2].exp(), SHARE * two[:, 0].exp(), rtol=1e-4)
        assert (two.argmax(1) != 2).all()  # its label map is what it was


def test_rows_of_labels_that_went_are_dropped_and_the_rest_keeps_its_place(tmp_path):
    old, new = adapted(tmp_path, make_plan(labels=(1, 2, 7)), (7, 9))
    voxels = torch.randn(1, 1, 16, 16, 16)
    assert torch.allclose(old.full(voxels)[:, [0, 3]], new.full(voxels)[:, [0, 1]], atol=1e-5)


def test_networks_without_a_head_of_rows_are_refused():
    other = replace(make_plan(), architecture=MonaiNetwork("UNet"))
    with pytest.raises(ModelError, match="train a first model"):
        with_labels(other, (1, 2, 3))
    assert with_labels(other, (2, 1)) is other


@pytest.mark.slow
def test_a_label_added_in_the_second_round_is_learned_and_the_old_one_kept(tmp_path):
    """The scans of the first round show the new label too, and say nothing about it."""
    first = make_plan(labels=(1,), features=8)
    old = [hidden(make_example(seed, noise=0.1)) for seed in (0, 1)]
    how = replace(first_model_settings(100, device="cpu"), ema=0.9, augment=False, validate_every=1000)
    train(tmp_path, "base", [replace(e, open=None) for e in old], how=how, plan=first)
    base = tmp_path / "base.safetensors"
    plan = with_labels(first, (1, 2))
    adapt(first, base, plan, tmp_path / "fitted.safetensors")
    tune = TrainSettings(steps=100, rate=1e-2, ema=0.9, augment=False, device="cpu", validate_every=1000)
    replay = [replace(e, replay=True) for e in old]
    found = {}
    for name, earlier in (("marginal", replay), ("absent", [replace(e, open=None) for e in replay])):
        examples = [make_example(2, noise=0.1), *earlier]
        train(tmp_path, name, examples, how=tune, plan=plan, start=tmp_path / "fitted.safetensors", added=(2,))
        predictor = Predictor(plan, tmp_path / f"{name}.safetensors", CPU)
        test = [make_example(10, noise=0.1), make_example(11, noise=0.1)]
        rows = scores(predictor, test, PredictSettings(device="cpu"), never)
        found[name] = [float(np.mean([s.dice for s in rows if s.label == label])) for label in (1, 2)]
    assert min(found["marginal"]) > 0.85
    assert found["marginal"][1] > found["absent"][1] + 0.03


def hidden(example):
    """As it was corrected before label 2 existed."""
    labels = np.where(example.labels == 2, 0, example.labels).astype(np.uint8)
    where = (labels == 0).astype(np.uint8)
    return replace(example, labels=labels, open=OpenLabels(((2,),), where))
