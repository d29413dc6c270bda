"""The last layer after the averaging of windows: the same labels, and memory that does not grow with their number."""

import numpy as np
import pytest
import torch
from small import make_plan
from test_prediction_slabs import GRIDS, HOW, check, gathered, noise, predictor, whole_pass

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.slabs import ArraySource
from napari_apprentice.learn.backend_torch import TorchBackend
from napari_apprentice.learn.cells import Cells
from napari_apprentice.learn.predictor import Predictor

SPACING = (1.0, 1.0, 1.0)
LABELS = tuple(range(1, 12))
TORCH = PredictSettings(device="cpu", half=False, backend="torch")


@pytest.mark.parametrize(("shape", "spacing", "patch"), GRIDS)
def test_more_labels_than_features_are_predicted_as_in_one_whole_pass(shape, spacing, patch):
    model, voxels = predictor(make_plan(patch=patch, labels=LABELS)), noise(shape)
    assert model._members[0].readout.width == 4
    labels, uncertainty, _, _ = gathered(model, ArraySource(voxels, spacing), TORCH)
    check(labels, uncertainty, whole_pass(model, voxels, spacing), (0, *LABELS), least=0.6)


def test_the_order_changes_nothing_to_the_bit():
    model = predictor(make_plan(patch=(8, 16, 16), labels=LABELS))
    source = ArraySource(noise((37, 20, 20)), (1.0, 0.8, 1.3))
    first, last = gathered(model, source, TORCH, lambda: 0), gathered(model, source, TORCH, lambda: 36)
    assert (first[0] == last[0]).all()
    assert (first[1] == last[1]).all()


def test_networks_of_more_and_of_fewer_features_than_labels_vote_together():
    voxels, labels = noise((12, 20, 20)), (1, 2, 3, 4, 5)
    members = [predictor(make_plan(patch=(8, 16, 16), labels=labels, features=f), f) for f in (2, 8)]
    assert [m._members[0].readout.width for m in members] == [2, 6]
    found = gathered(Predictor.together(members), ArraySource(voxels, SPACING), TORCH)
    mean = np.mean([whole_pass(m, voxels, SPACING) for m in members], axis=0)
    check(found[0], found[1], mean, (0, *labels), least=0.6)


def test_mirrored_views_are_averaged_before_the_last_layer(monkeypatch):
    plan = make_plan(patch=(8, 16, 16), labels=LABELS)
    source = ArraySource(noise((12, 20, 20)), SPACING)
    best = PredictSettings(device="cpu", half=False, backend="torch", quality="best")
    found = gathered(predictor(plan), source, best)
    monkeypatch.setattr("napari_apprentice.learn.network.DynUNetwork.last", None)
    expected = gathered(predictor(plan), source, best)
    assert (found[0] != expected[0]).mean() < 1e-3
    assert (np.abs(found[1].astype(int) - expected[1]) <= 1).all()


def test_weights_that_change_are_read_when_they_are_needed():
    model = predictor(make_plan(labels=LABELS))
    source = ArraySource(noise((16, 16, 16)), SPACING)
    gathered(model, source, TORCH)
    with torch.no_grad():
        model._members[0].module.last.bias[5] = 1e4  # as training may
    assert (gathered(model, source, TORCH)[0] == 5).all()


@pytest.mark.parametrize("count", [11, 117])
def test_what_is_added_up_does_not_grow_with_the_labels(monkeypatch, count):
    model, given = predictor(make_plan(patch=(8, 16, 16), labels=tuple(range(1, count + 1)))), []
    run, put = TorchBackend.run, Cells.put
    monkeypatch.setattr(TorchBackend, "run", lambda self, patches: given.append(run(self, patches)) or given[-1])
    sums = []
    monkeypatch.setattr(
        Cells, "put", lambda self, key, cell, *needed: sums.append((cell, needed)) or put(self, key, cell, *needed)
    )
    gathered(model, ArraySource(noise((20, 20, 20)), SPACING), HOW)
    assert {maps.shape[1] for maps in given} == {4}
    assert {len(cell) for cell, needed in sums if needed} == {4}
