from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import make_plan

from napari_apprentice.core.plan import Normalisation
from napari_apprentice.core.slabs import ArraySource, Moments
from napari_apprentice.errors import Cancelled, ModelError
from napari_apprentice.learn import scaled as scaled_module
from napari_apprentice.learn import statistics as statistics_module
from napari_apprentice.learn.normalise import normalise
from napari_apprentice.learn.resample import resample_voxels
from napari_apprentice.learn.scaled import ScaledScan

CPU = torch.device("cpu")
CT = Normalisation("ct", -100.0, 200.0, 50.0, 40.0)
TYPES = ["uint8", "int8", "int16", "uint16", ">i2", "int32", "float32", "float64"]


def made(dtype, shape, channels=1):
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind in "iu":
        limits = np.iinfo(dtype)
        return rng.integers(max(limits.min, -1000), min(limits.max, 1000), (channels, *shape)).astype(dtype)
    voxels = rng.normal(0, 300, (channels, *shape)).astype(dtype)
    voxels[0, 0, 0, 0], voxels[0, -1, -1, -1] = np.nan, np.inf
    return voxels


def whole(voxels, plan, spacing):
    shape = ScaledScan(ArraySource(voxels, spacing), plan, CPU).shape
    return resample_voxels(normalise(voxels, plan, CPU), shape)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("how", [CT, Normalisation("zscore")])
def test_slices_are_those_of_the_whole_scan(dtype, how):
    plan = replace(make_plan(spacing=(2.0, 1.7, 0.6), channels=2), normalisation=(how, CT))
    voxels, spacing = made(dtype, (11, 13, 9), 2), (1.0, 1.0, 1.0)
    scan = ScaledScan(ArraySource(voxels, spacing), plan, CPU)
    expected = whole(voxels, plan, spacing)
    parts = [scan.read(z, min(z + 2, scan.shape[0])) for z in range(0, scan.shape[0], 2)]
    torch.testing.assert_close(torch.cat(parts, 1), expected, atol=1e-4, rtol=1e-5)


@settings(deadline=None, max_examples=40)
@given(st.tuples(*[st.integers(1, 14)] * 3), st.tuples(*[st.floats(0.4, 3)] * 3), st.integers(1, 4))
def test_any_grid_in_any_parts(shape, spacing, thick):
    voxels, plan = made("int16", shape), make_plan(spacing=(1.0, 1.0, 1.0))
    scan, expected = ScaledScan(ArraySource(voxels, spacing), plan, CPU), whole(voxels, plan, spacing)
    for z in reversed(range(0, scan.shape[0], thick)):
        stop = min(z + thick, scan.shape[0])
        torch.testing.assert_close(scan.read(z, stop), expected[:, z:stop], atol=1e-4, rtol=1e-5)


class Watched(ArraySource):
    """Remembers what was read."""

    def read(self, start, stop):
        self.__dict__.setdefault("reads", []).append((start, stop))
        return super().read(start, stop)


def test_a_slice_is_made_once_and_little_is_read_at_once(monkeypatch):
    monkeypatch.setattr(scaled_module, "AT_ONCE", 5 * 8 * 8 * 2)
    plan = replace(make_plan(spacing=(2.0, 1.0, 1.0)), normalisation=(CT,))
    source = Watched(made("int16", (40, 8, 8)), (1.0, 1.0, 1.0))
    scan = ScaledScan(source, plan, CPU)
    scan.read(5, 15)
    assert all(stop - start <= 5 for start, stop in source.reads)
    assert min(s for s, _ in source.reads) == 10
    assert max(e for _, e in source.reads) == 30
    before = len(source.reads)
    scan.read(5, 15)
    assert len(source.reads) == before
    scan.forget(lambda z: z >= 10)
    scan.read(10, 15)
    assert len(source.reads) == before
    scan.read(9, 10)
    assert len(source.reads) == before + 1


def test_moments_that_are_known_save_reading_the_scan():
    voxels = made("int16", (12, 8, 8))
    known = (Moments(float(voxels.mean()), float(voxels.std())),)
    source = Watched(voxels, (1.0, 1.0, 1.0), known)
    found = ScaledScan(source, make_plan(), CPU).read(3, 4)
    assert all(2 < start < stop <= 5 for start, stop in source.reads)
    torch.testing.assert_close(found, whole(voxels, make_plan(), (1.0, 1.0, 1.0))[:, 3:4], atol=1e-6, rtol=0)


def test_moments_far_from_zero_are_exact(monkeypatch):
    monkeypatch.setattr(statistics_module, "AT_ONCE", 8 * 8 * 8 * 2)
    voxels = np.random.default_rng(0).normal(1e7, 1, (1, 12, 8, 8))
    found = statistics_module.statistics(ArraySource(voxels, (1.0, 1.0, 1.0)), make_plan())[0]
    assert found.mean == pytest.approx(voxels.mean(), rel=1e-12)
    assert found.std == pytest.approx(voxels.std(), rel=1e-6)


def test_cancelling_while_the_scan_is_read_for_its_moments():
    with pytest.raises(Cancelled):
        ScaledScan(ArraySource(made("float32", (4, 4, 4)), (1.0, 1.0, 1.0)), make_plan(), CPU, lambda: True)


def test_another_number_of_channels_is_refused_before_anything_is_read():
    source = Watched(made("int16", (4, 4, 4), 2), (1.0, 1.0, 1.0))
    with pytest.raises(ModelError, match="2 channels"):
        ScaledScan(source, make_plan(), CPU)
    assert not hasattr(source, "reads")
