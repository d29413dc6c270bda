import numpy as np
import pytest
import torch
from small import finish, make_example, make_plan, never

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.errors import Cancelled, InputError, ModelError
from napari_apprentice.learn.device import choose_device, describe
from napari_apprentice.learn.evaluate import scores
from napari_apprentice.learn.network import build
from napari_apprentice.learn.normalise import normalise
from napari_apprentice.learn.predictor import Predictor

CPU = torch.device("cpu")
HOW = PredictSettings(device="cpu")


def predictor(plan):
    torch.manual_seed(0)
    return Predictor.of(plan, build(plan), CPU)


def predict(plan, voxels, spacing=(1.0, 1.0, 1.0), cancelled=never):
    return finish(predictor(plan).predict_array(voxels, spacing, HOW, cancelled))


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((5, 9, 7), (1, 1, 1)), ((1, 30, 30), (5, 1, 1)), ((8, 40, 33), (5, 0.7, 0.7)), ((33, 17, 20), (1, 1, 1))],
)
def test_any_grid_comes_back_on_itself(shape, spacing):
    voxels = np.random.default_rng(0).normal(0, 1, (1, *shape)).astype(np.float32)
    reports, found = predict(make_plan(labels=(3, 7)), voxels, spacing)
    assert found.labels.shape == found.uncertainty.shape == shape
    assert found.labels.dtype == found.uncertainty.dtype == np.uint8
    assert set(np.unique(found.labels)) <= {0, 3, 7}
    assert set(found.quality) == set(np.unique(found.labels)) - {0}
    assert all(0 < q <= 1 for q in found.quality.values())
    done = [r.done for r in reports]
    assert done == sorted(set(done)), "it never goes back, and says nothing twice"
    assert done[-1] == reports[-1].total


def test_a_plan_of_single_slices():
    voxels = np.random.default_rng(0).normal(0, 1, (1, 3, 40, 20)).astype(np.float32)
    assert predict(make_plan(patch=(1, 16, 16)), voxels)[1].labels.shape == (3, 40, 20)


def test_ids_above_255_are_kept():
    voxels = np.random.default_rng(0).normal(0, 1, (1, 16, 16, 16)).astype(np.float32)
    found = predict(make_plan(labels=(3, 700)), voxels)[1]
    assert found.labels.dtype == np.uint16
    assert set(np.unique(found.labels)) <= {0, 3, 700}


def test_more_labels_than_a_byte_counts_are_told_apart():
    plan = make_plan(labels=tuple(range(1, 301)))
    network = build(plan)
    with torch.no_grad():
        for bias in (p for p in network.parameters() if p.shape == (301,)):
            bias[300] = 100.0  # 44 in eight bits
    voxels = np.random.default_rng(0).normal(0, 1, (1, 8, 8, 8)).astype(np.float32)
    found = finish(Predictor.of(plan, network, CPU).predict_array(voxels, (1.0, 1.0, 1.0), HOW, never))[1]
    assert set(np.unique(found.labels)) == {300}
    assert set(found.quality) == {300}


def test_cancelling_between_windows():
    voxels = np.zeros((1, 40, 40, 40), np.int16)
    answers = iter([False, False, True])
    with pytest.raises(Cancelled):
        predict(make_plan(), voxels, cancelled=lambda: next(answers))


def test_another_number_of_channels_is_refused():
    with pytest.raises(ModelError, match="2 channels"):
        predict(make_plan(), np.zeros((2, 16, 16, 16), np.int16))


def test_a_missing_weights_file_is_said_plainly(tmp_path):
    with pytest.raises(ModelError, match="missing"):
        Predictor(make_plan(), tmp_path / "none.safetensors", CPU)


def test_a_label_the_model_does_not_know_was_not_found():
    example = make_example(labels=(1, 5))
    found = {s.label: s.dice for s in scores(predictor(make_plan(labels=(1, 2))), [example], HOW, never)}
    assert found[5] == 0.0


def test_scores_look_at_known_voxels_only():
    example = make_example(replay=True)
    example.status[:8] = 0
    found = scores(predictor(make_plan()), [example], HOW, never)
    assert all(s.replay and s.revision == example.revision for s in found)
    nothing = make_example(known=0)
    assert scores(predictor(make_plan()), [nothing], HOW, never) == []


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan, np.inf])
def test_a_scan_of_one_value_becomes_zero(value):
    assert (normalise(np.full((1, 2, 3, 4), value), make_plan(), CPU) == 0).all()


def test_z_score_survives_holes_and_large_numbers():
    rng = np.random.default_rng(0)
    voxels = rng.normal(0, 1, (1, 8, 9, 10))
    reference = normalise(voxels, make_plan(), CPU)
    torch.testing.assert_close(normalise(voxels * 1e4 + 1e7, make_plan(), CPU), reference, atol=1e-3, rtol=0)
    voxels[0, 0, 0, 0], voxels[0, 1, 1, 1] = np.nan, np.inf
    holed = normalise(voxels, make_plan(), CPU)
    assert torch.isfinite(holed).all()
    assert holed[0, 0, 0, 0] == 0


def test_devices_are_named_in_words():
    assert "CPU" in describe(choose_device("cpu"))
    with pytest.raises(InputError, match="device"):
        choose_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="auto or cpu"):
            choose_device("cuda")
