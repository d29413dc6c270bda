"""Normalisations of models from elsewhere, against nnU-Net's formulas written out, whole and slab by slab."""

import numpy as np
import pytest
import torch
from small import make_plan

from napari_apprentice.core.plan import Normalisation
from napari_apprentice.core.slabs import ArraySource
from napari_apprentice.errors import Cancelled, ModelError
from napari_apprentice.learn import statistics as module
from napari_apprentice.learn.normalise import Normaliser, normalise
from napari_apprentice.learn.statistics import statistics

CPU = torch.device("cpu")


def scan(dtype=np.int16, channels=2):
    """0 around a box, and in half of the box; the second channel is 0 in less of it."""
    rng = np.random.default_rng(0)
    voxels = np.zeros((channels, 9, 10, 11))
    voxels[:, 2:7, 1:9, 3:10] = rng.normal(60, 25, (channels, 5, 8, 7))
    voxels[0, 4:] = 0
    voxels[:, 3, 4:6, 5] = 0
    return np.round(voxels).clip(0, 255).astype(dtype)


def plan_of(*kinds):
    return make_plan(channels=len(kinds)).__class__(
        **{**vars(make_plan()), "normalisation": tuple(Normalisation(k, mean=3.0, std=2.0) for k in kinds)}
    )


def expected(voxels, kind, channel):
    """What nnU-Net's schemes (and MONAI's nonzero) give, from their definitions."""
    values = voxels.astype(np.float64)
    there = (values != 0).any(0)
    box = np.ix_(*(range(*_ends(there.any(tuple(a for a in range(3) if a != axis)))) for axis in range(3)))
    mine = values[channel]
    if kind == "fixed":
        return (mine - 3) / 2
    if kind == "range":
        return (mine - mine.min()) / (mine.max() - mine.min())
    if kind == "range_inside":
        return (mine - mine[box].min()) / (mine[box].max() - mine[box].min())
    mask = {"zscore_where": there, "zscore_nonzero": mine != 0}.get(kind)
    if mask is not None:
        return np.where(mask, (mine - mine[mask].mean()) / mine[mask].std(), 0)
    chosen = mine[box] if kind == "zscore_inside" else mine
    return (mine - chosen.mean()) / chosen.std()


def _ends(line):
    found = np.flatnonzero(line)
    return found[0], found[-1] + 1


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
@pytest.mark.parametrize(
    "kind", ["fixed", "range", "range_inside", "zscore", "zscore_inside", "zscore_where", "zscore_nonzero"]
)
def test_every_kind_is_what_it_says(kind, dtype, monkeypatch):
    voxels = scan(dtype)
    plan = plan_of(kind, kind)
    found = normalise(voxels, plan, CPU).numpy()
    for channel in (0, 1):
        np.testing.assert_allclose(found[channel], expected(voxels, kind, channel), atol=2e-5)
    monkeypatch.setattr(module, "AT_ONCE", 2 * 10 * 11 * 8 * 2)  # two slices at once
    source = ArraySource(voxels, (1.0, 1.0, 1.0))
    parts = Normaliser(plan, 2, voxels.dtype, lambda: statistics(source, plan))
    slabs = np.concatenate([parts(voxels[:, z : z + 1]) for z in range(9)], axis=1)
    np.testing.assert_allclose(slabs, found, atol=1e-5)


@pytest.mark.parametrize("kind", ["range_inside", "zscore_inside", "zscore_where", "zscore_nonzero", "range"])
def test_an_empty_scan_becomes_0(kind):
    assert not normalise(np.zeros((1, 3, 4, 5), np.int16), plan_of(kind), CPU).any()


def test_what_is_not_finite_does_not_count():
    voxels = scan(np.float32, 1)
    plan = plan_of("zscore_inside")
    before = normalise(voxels, plan, CPU)
    voxels[0, 2, 1, 3] = np.nan
    after = normalise(voxels, plan, CPU)
    assert torch.isfinite(after).all()
    assert float((after - before).abs().median()) < 0.1


def test_raw_intensities_are_not_cut_off():
    voxels = np.full((1, 2, 2, 2), 40_000, np.uint16)
    plan = make_plan().__class__(**{**vars(make_plan()), "normalisation": (Normalisation("fixed"),)})
    assert float(normalise(voxels, plan, CPU).max()) == 40_000


def test_it_can_be_cancelled():
    with pytest.raises(Cancelled):
        statistics(ArraySource(scan(), (1.0, 1.0, 1.0)), plan_of("zscore_inside", "zscore"), lambda: True)


def test_an_unknown_kind_is_told():
    with pytest.raises(ModelError, match="no normalisation of the kind 'histogram'"):
        Normalisation("histogram")
