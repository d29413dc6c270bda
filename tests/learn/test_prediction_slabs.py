"""A prediction slab by slab against one of the whole volume, in any order, with little memory."""

import itertools
import math
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.utils import compute_importance_map, dense_patch_slices
from small import finish, make_plan, never
from torch.nn import functional as F

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.slabs import ArraySource, PredictedSlab, unseen
from napari_apprentice.errors import Cancelled
from napari_apprentice.learn import under_way
from napari_apprentice.learn.network import build
from napari_apprentice.learn.normalise import normalise
from napari_apprentice.learn.predictor import Predictor
from napari_apprentice.learn.resample import target_shape

CPU = torch.device("cpu")
HOW = PredictSettings(device="cpu", half=False)
SPACING = (1.0, 1.0, 1.0)


def predictor(plan, seed=0):
    """Weights at random, scaled up so that probabilities differ."""
    torch.manual_seed(seed)
    network = build(plan)
    with torch.no_grad():
        network.net.output_block.conv.conv.weight *= 30
    return Predictor.of(plan, network, CPU)


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(100, 30, (1, *shape)).astype(np.int16)


def whole_pass(model, voxels, spacing, step=0.5, temperature=1.0):
    """The same all at once: (1 + labels, z, y, x) probabilities on the scan's grid."""
    plan, own = model._plan, voxels.shape[1:]
    scaled = F.interpolate(
        normalise(voxels, plan, CPU)[None], target_shape(own, spacing, plan.spacing), mode="trilinear"
    )[0]
    size = [max(n, p) for n, p in zip(scaled.shape[1:], plan.patch, strict=True)]
    before = [(s - n) // 2 for s, n in zip(size, scaled.shape[1:], strict=True)]
    padded = torch.zeros(len(scaled), *size)
    inner = tuple(slice(b, b + n) for b, n in zip(before, scaled.shape[1:], strict=True))
    padded[(slice(None), *inner)] = scaled
    bell = compute_importance_map(plan.patch, mode="gaussian", sigma_scale=0.125).double()
    total, weight = torch.zeros(1 + len(plan.labels), *size, dtype=torch.float64), torch.zeros(*size).double()
    for place in dense_patch_slices(size, plan.patch, [max(1, int(p * step)) for p in plan.patch]):
        with torch.inference_mode():
            logits = model._members[0].module(padded[(None, slice(None), *place)])[0][0]
        total[(slice(None), *place)] += logits * bell
        weight[place] += bell
    probabilities = (total / weight / temperature).softmax(0)[(slice(None), *inner)]
    return F.interpolate(probabilities[None], own, mode="trilinear")[0].numpy()


def check(labels, uncertainty, probabilities, ids, least=0.9):
    """Equal but where two labels are as good as equally likely: at most 1 - `least` of a scan."""
    ranked = np.sort(probabilities, axis=0)
    clear = ranked[-1] - ranked[-2] > 1e-3
    assert clear.mean() > least or clear.size < 2000
    assert (labels == np.array(ids)[probabilities.argmax(0)])[clear].all()
    entropy = -(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum(0) / math.log(len(ids))
    assert np.abs(uncertainty - 255 * entropy).max() < 1


def gathered(model, source, how=HOW, focus=unseen):
    """Labels and uncertainty put together, the slabs in order of arrival, and the summary."""
    reports, summary = finish(model.predict(source, how, never, focus))
    slabs = [r for r in reports if isinstance(r, PredictedSlab)]
    labels, uncertainty = (np.zeros(source.shape[1:], np.uint16) for _ in range(2))
    seen = np.zeros(source.shape[1], int)
    for slab in slabs:
        labels[slab.start : slab.stop], uncertainty[slab.start : slab.stop] = slab.labels, slab.uncertainty
        seen[slab.start : slab.stop] += 1
    assert (seen == 1).all()
    return labels, uncertainty, slabs, summary


GRIDS = [
    ((30, 25, 28), (1.0, 1.0, 1.0), (8, 16, 16)),
    ((5, 9, 7), (1.0, 1.0, 1.0), (8, 16, 16)),  # smaller than the patch
    ((1, 30, 30), (5.0, 1.0, 1.0), (8, 16, 16)),  # one slice
    ((3, 40, 20), (5.0, 0.7, 0.7), (1, 16, 16)),  # a 2D plan
    ((8, 50, 43), (5.0, 0.6, 0.6), (8, 16, 16)),  # thick slices
    ((40, 12, 13), (0.5, 2.0, 2.1), (8, 16, 16)),
]


@pytest.mark.parametrize(("shape", "spacing", "patch"), GRIDS)
@pytest.mark.parametrize("step", [0.5, 0.75])
def test_slabs_together_are_the_whole_pass(shape, spacing, patch, step):
    model, voxels = predictor(make_plan(patch=patch, labels=(3, 700))), noise(shape)
    how = PredictSettings(device="cpu", half=False, step=step)
    labels, uncertainty, slabs, summary = gathered(model, ArraySource(voxels, spacing), how)
    check(labels, uncertainty, whole_pass(model, voxels, spacing, step), (0, 3, 700))
    assert {s.labels.dtype for s in slabs} == {model.label_type}
    assert set(summary.quality) == set(np.unique(labels)) - {0}
    assert summary.backend == "torch fp32"


@settings(deadline=None, max_examples=12)
@given(
    st.tuples(*[st.integers(1, 20)] * 3),
    st.tuples(*[st.sampled_from([0.5, 0.8, 1.0, 1.7])] * 3),
    st.sampled_from([(8, 8, 8), (8, 16, 8), (1, 8, 16)]),
    st.sampled_from([0.25, 0.5, 0.6, 0.75, 1.0]),
)
def test_any_scan_and_patch(shape, spacing, patch, step):
    model, voxels = predictor(make_plan(patch=patch)), noise(shape)
    how = PredictSettings(device="cpu", half=False, step=step)
    labels, uncertainty, _, _ = gathered(model, ArraySource(voxels, spacing), how)
    check(labels, uncertainty, whole_pass(model, voxels, spacing, step), (0, 1, 2))


def test_the_comparison_would_see_a_shift_of_half_a_voxel():
    model, voxels = predictor(make_plan(patch=(8, 8, 8), spacing=(2.0, 2.0, 2.0))), noise((24, 24, 24))
    labels, uncertainty, _, _ = gathered(model, ArraySource(voxels, SPACING))
    probabilities = whole_pass(model, voxels, SPACING)
    check(labels, uncertainty, probabilities, (0, 1, 2))
    for axis in (1, 2, 3):
        shifted = (probabilities + np.roll(probabilities, 1, axis)) / 2
        with pytest.raises(AssertionError):
            check(labels, uncertainty, shifted, (0, 1, 2))


@pytest.fixture
def thin(monkeypatch):
    """Slabs of a few slices."""
    monkeypatch.setattr(under_way, "SLAB", 3 * 20 * 20)


@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize("step", [0.3, 0.5, 0.75])
def test_the_order_changes_nothing_to_the_bit(step):
    model, source = predictor(make_plan(patch=(8, 16, 16))), ArraySource(noise((37, 20, 20)), (1.0, 0.8, 1.3))
    how = PredictSettings(device="cpu", half=False, step=step)
    first = gathered(model, source, how)
    wandering = itertools.cycle([3, 30, 17, 36, 0])
    for focus in (lambda: 0, lambda: 36, lambda: 9999, lambda: next(wandering)):
        again = gathered(model, source, how, focus)
        assert [s.start for s in again[2]] != [s.start for s in first[2]]
        assert (again[0] == first[0]).all()
        assert (again[1] == first[1]).all()
        assert again[3].quality == first[3].quality


@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize("focus", [0, 8, 20, 39])
def test_what_is_looked_at_comes_first_and_the_rest_outwards(focus):
    model, source = predictor(make_plan(patch=(8, 16, 16))), ArraySource(noise((40, 20, 20)), SPACING)
    _, _, slabs, _ = gathered(model, source, HOW, lambda: focus)
    assert slabs[0].start <= focus < slabs[0].stop
    away = [max(s.start - focus, focus - s.stop + 1, 0) for s in slabs]
    assert all(b >= a - 8 for a, b in itertools.pairwise(away))  # by rows, which are half a patch apart


class Watched(ArraySource):
    """Remembers which slices were read."""

    def read(self, start, stop):
        self.__dict__.setdefault("slices", set()).update(range(start, stop))
        return super().read(start, stop)


@pytest.mark.usefixtures("thin")
def test_the_first_slab_needs_little_of_the_scan():
    voxels = noise((400, 20, 20))
    source = Watched(voxels, SPACING, predictor_moments(voxels))
    work = predictor(make_plan(patch=(8, 16, 16))).predict(source, HOW, never, lambda: 201)
    windows = 0
    for report in work:
        if isinstance(report, PredictedSlab):
            break
        windows = report.done
    assert source.slices <= set(range(201 - 16, 201 + 16))
    assert windows == 2 * 4


def predictor_moments(voxels):
    from napari_apprentice.core.slabs import Moments

    return (Moments(float(voxels.mean()), float(voxels.std())),)


@pytest.mark.usefixtures("thin")
def test_looking_elsewhere_moves_the_work_there():
    model, source = predictor(make_plan(patch=(8, 16, 16))), ArraySource(noise((100, 20, 20)), SPACING)
    at = [20]
    work = model.predict(source, HOW, never, lambda: at[0])
    assert next(r for r in work if isinstance(r, PredictedSlab)).start <= 20
    at[0] = 80
    after = [r for r in work if isinstance(r, PredictedSlab)]
    there = next(i for i, s in enumerate(after) if s.start <= 80 < s.stop)
    assert there <= 4  # what was finished already is given first


@pytest.mark.parametrize(("labels", "features"), [(2, 4), (117, 2)])
def test_what_does_not_fit_goes_to_disk_and_changes_nothing(monkeypatch, labels, features):
    model = predictor(make_plan(patch=(16, 16, 16), labels=tuple(range(1, 1 + labels)), features=features))
    source = ArraySource(noise((32, 40, 32)), SPACING)
    how = PredictSettings(device="cpu", half=False, step=0.75)
    roomy = gathered(model, source, how)
    assert model.spilled == 0
    monkeypatch.setattr(under_way, "_budget", lambda *_: 2**18)
    tight = gathered(model, source, how)
    assert model.spilled > 0
    for a, b in zip(roomy[:2], tight[:2], strict=True):
        assert (a == b).all()


@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize("after", range(0, 12, 2))
def test_nothing_comes_once_it_is_cancelled(after):
    model, source = predictor(make_plan(patch=(8, 16, 16))), ArraySource(noise((20, 20, 20)), SPACING)
    stop = [False]
    work = model.predict(source, HOW, lambda: stop[0])
    for _ in range(after):
        next(work)
    stop[0] = True
    with pytest.raises(Cancelled):
        next(work)


def test_progress_counts_every_window_once():
    model = predictor(make_plan(patch=(8, 16, 16)))
    reports, _ = finish(model.predict(ArraySource(noise((20, 20, 20)), SPACING), HOW, never))
    progress = [r for r in reports if isinstance(r, Progress)]
    assert progress[-1].done == progress[-1].total == 4 * 2 * 2
    assert [p.done for p in progress] == sorted({p.done for p in progress})


def test_a_prediction_that_is_closed_holds_on_to_nothing_of_the_scan():
    """It may be kept by whoever begins again because memory ran out."""
    work = predictor(make_plan()).begin(ArraySource(noise((40, 24, 24)), (1.0, 1.0, 1.0)), HOW)
    work.ahead(never, lambda: 20)
    held = [weakref.ref(voxels) for voxels in work._scan._slices.values()]
    assert held
    assert work._sweep._scratch.numel()
    work.close()
    assert not any(voxels() is not None for voxels in held)
    assert not work._sweep._scratch.numel()
