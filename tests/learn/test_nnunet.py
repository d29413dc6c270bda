"""nnU-Net's networks: the same logits as the library's own, from its own plans and checkpoints."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from nnunet_models import DATASETS, PLANS, Stored, configuration_of
from small import finish, make_example, never

from napari_apprentice.core.config import PredictSettings, TrainSettings
from napari_apprentice.core.nnunet_plans import read_plans
from napari_apprentice.core.plan import Plan
from napari_apprentice.learn import weights
from napari_apprentice.learn.heads import adapt, with_labels
from napari_apprentice.learn.importing import from_nnunet
from napari_apprentice.learn.network import around, bare, build
from napari_apprentice.learn.predictor import Predictor
from napari_apprentice.learn.readout import Readout
from napari_apprentice.learn.trainer import fit

NAMES = tuple(PLANS)


def imported(name, tmp_path, mirror=None):
    stored = Stored(name)
    folder = stored.write(tmp_path, mirror)
    model = read_plans(stored.plans, stored.dataset, stored.configuration)
    found = from_nnunet(model.plan, folder / "fold_0" / "checkpoint_final.pth", stored.configuration, "")
    path = tmp_path / "w.safetensors"
    weights.write(found.weights, path)
    network = build(Plan.from_json(found.plan.to_json()))
    weights.load(network, path)
    return stored, found.plan, path, network


def as_cases(values, name):
    """What nnU-Net sees, (b, c, ...), in the order (z, y, x) and S, P, L of cases; worked out by hand."""
    if values.ndim == 4:
        return values[:, :, None]
    if name == "residual3d":  # transpose_forward (2, 0, 1): axis 0 of what it sees is x
        return values.permute(0, 1, 3, 4, 2)
    if name == "batchnorm3d":  # its reader turns scans to RAS, so (k, j, i) grow to S, A, R
        return values.flip(3, 4)
    return values


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_those_of_the_library(name, tmp_path):
    stored, plan, _, network = imported(name, tmp_path)
    ours, expected = as_cases(stored.seen, name), as_cases(stored.logits, name)
    assert tuple(ours.shape[2:]) == plan.patch
    with torch.no_grad():
        (found,) = network.eval()(ours)
        assert torch.equal(network.full(ours), found)
        late = Readout(plan, network)
        late.late, late.width = True, network.last.in_channels  # as where there are more labels than features
        features = late.module(network)(ours)
    assert features.shape[1] == late.width == network.last.in_channels
    torch.testing.assert_close(late.logits(features[0]), found[0], atol=1e-4, rtol=1e-4)
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) < 1e-4 * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize("name", [n for n in NAMES if n != "batchnorm3d"])  # that one has dropout while it trains
def test_lower_maps_are_those_of_the_library(name):
    stored = Stored(name)
    plan = read_plans(stored.plans, stored.dataset, stored.configuration).plan
    net = bare(plan)
    net.load_state_dict({k: v for k, v in stored.weights.items() if ".all_modules." not in k and "decoder.e" not in k})
    network = around(plan, net).train()
    with torch.no_grad():
        lower = network._ask(network._seen(as_cases(stored.seen, name)), 2)[1]
    torch.testing.assert_close(network._as_cases(lower), as_cases(stored.lower, name), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_heads_have_a_row_for_every_label(name, tmp_path):
    _, plan, _, network = imported(name, tmp_path)
    assert network.heads
    for head in network.heads:
        assert network.get_submodule(head).weight.shape[0] == 1 + len(plan.labels)


def test_mirroring_is_allowed_along_the_axes_it_was_taught_along(tmp_path):
    assert imported("plain3d", tmp_path / "a", (0, 2))[1].mirror_axes == (0, 2)
    assert imported("plain2d", tmp_path / "b", (1,))[1].mirror_axes == (2,)
    assert imported("residual3d", tmp_path / "c", (0,))[1].mirror_axes == (2,)  # its first axis is x


@pytest.mark.parametrize("name", ["plain3d", "plain2d", "residual3d", "batchnorm3d"])
def test_it_predicts_and_can_be_tuned(name, tmp_path):
    _, plan, path, _ = imported(name, tmp_path)
    examples = [make_example(i, (6, 16, 12), plan.labels) for i in (0, 1)]
    if len(plan.normalisation) > 1:
        examples = [_doubled(e) for e in examples]
    device = torch.device("cpu")
    before = Predictor(plan, path, device)
    settings = TrainSettings(steps=2, validate_every=2, device="cpu", rate=1e-2)
    out = tmp_path / "tuned.safetensors"
    _, result = finish(fit(plan, examples, examples[:1], settings, path, out, tmp_path / "state", never))
    assert result.steps == 2
    assert np.isfinite(result.loss)
    work = before.predict_array(examples[0].voxels, examples[0].spacing, PredictSettings(backend="torch"), never)
    prediction = finish(work)[1]
    assert prediction.labels.shape == examples[0].labels.shape
    assert set(np.unique(prediction.labels)) <= {0, *plan.labels}
    was, now = weights.read(path), weights.read(out)
    assert was.keys() == now.keys()
    assert any(not torch.equal(was[k], now[k]) for k in was)


@pytest.mark.parametrize("name", ["plain3d", "plain2d", "residual3d"])
def test_a_label_can_be_added(name, tmp_path):
    _, plan, path, _ = imported(name, tmp_path)
    wanted = with_labels(plan, (*plan.labels, 99))
    adapt(plan, path, wanted, tmp_path / "more.safetensors")
    before, after = build(plan), build(wanted)
    weights.load(before, path)
    weights.load(after, tmp_path / "more.safetensors")
    voxels = torch.randn(1, len(plan.normalisation), *plan.patch)
    with torch.no_grad():
        maps = [(a, b[:, :-1]) for a, b in zip(before.train()(voxels), after.train()(voxels), strict=True)]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in maps)


def _doubled(example):
    return replace(example, voxels=np.concatenate([example.voxels, example.voxels]), channels=("CT", "PET"))


@pytest.mark.parametrize("name", NAMES)
def test_against_the_library_itself_where_it_is_installed(name):
    pytest.importorskip("dynamic_network_architectures")
    from make_nnunet_fixtures import original, randomised

    plans, dataset = PLANS[name], DATASETS[name]
    theirs = randomised(original(plans, dataset), seed=7).eval()
    plan = read_plans(plans, dataset, configuration_of(plans)).plan
    net = bare(plan)
    state = theirs.state_dict()
    net.load_state_dict({k: v for k, v in state.items() if ".all_modules." not in k and "decoder.encoder" not in k})
    patch = plans["configurations"][configuration_of(plans)]["patch_size"]
    seen = torch.randn(2, len(dataset["channel_names"]), *patch)
    with torch.no_grad():
        found = around(plan, net).eval()(as_cases(seen, name))[0]
        torch.testing.assert_close(found, as_cases(theirs(seen), name), atol=1e-4, rtol=1e-4)
