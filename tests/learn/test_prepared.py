from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small import make_example, make_plan
from training import same_weights, train

from napari_apprentice.core.slabs import ArraySource
from napari_apprentice.errors import RunError
from napari_apprentice.learn import on_disk, prepared, trainer
from napari_apprentice.learn.loss import UNSEEN
from napari_apprentice.learn.normalise import normalise
from napari_apprentice.learn.on_disk import OnDisk
from napari_apprentice.learn.patches import PatchSampler, Spot
from napari_apprentice.learn.prepared import kept_near, prepare
from napari_apprentice.learn.resample import resample_labels, resample_voxels, target_shape
from napari_apprentice.learn.statistics import statistics
from napari_apprentice.learn.turning import largest_margin

CPU = torch.device("cpu")
FULL = Path("/dev/full")


def one_box(example, box=(slice(20, 24), slice(30, 35), slice(8, 14))):
    status = np.zeros_like(example.status)
    status[box] = 1
    return replace(example, status=status)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.3, 0.8, 1.0)])
def test_a_part_of_a_scan_is_what_the_whole_scan_has_there(spacing, monkeypatch):
    monkeypatch.setattr(prepared, "SLAB", 4 * 60 * 50 * 5)  # some slices at a time
    plan = make_plan(patch=(8, 8, 8))
    example = one_box(make_example(shape=(50, 60, 40), spacing=spacing))
    case = prepare(example, plan)
    whole = target_shape((50, 60, 40), spacing, plan.spacing)
    assert case.whole == whole
    assert np.prod(case.shape) < 0.4 * np.prod(whole)
    there = tuple(slice(o, o + n) for o, n in zip(case.origin, case.shape, strict=True))
    voxels = resample_voxels(normalise(example.voxels, plan, CPU), whole)[(slice(None), *there)]
    torch.testing.assert_close(case.voxels.float(), voxels, rtol=2e-3, atol=2e-3)
    status = resample_labels(torch.from_numpy(example.status), whole)
    assert torch.equal(case.target != UNSEEN, status[there] > 0)
    assert int((case.target != UNSEEN).sum()) == int((status > 0).sum())
    rows = resample_labels(torch.from_numpy(np.where(example.status > 0, example.labels, UNSEEN)), whole)
    assert torch.equal(case.target, rows[there])


def test_patches_of_a_part_are_those_of_the_whole():
    plan = make_plan(patch=(8, 10, 12))
    example = make_example(shape=(50, 60, 40))
    part, whole = prepare(one_box(example), plan), prepare(example, plan)
    beyond = largest_margin(plan)
    for seed in range(20):
        (spot,) = PatchSampler([part], plan.patch, 1, 0).spots(np.random.default_rng(seed))
        near, far = spot.patch(plan.patch, beyond), Spot(whole, spot.start).patch(plan.patch, beyond)
        assert torch.equal(near[0], far[0])
        known = near[1] < UNSEEN
        assert torch.equal(near[1][known], far[1][known])
        assert known.any()


def test_known_voxels_in_a_corner_are_reached():
    plan = make_plan(patch=(16, 16, 16))
    corner = (slice(0, 1), slice(0, 1), slice(39, 40))
    example = make_example(shape=(50, 60, 40))
    part, whole = prepare(one_box(example, corner), plan), prepare(example, plan)
    (spot,) = PatchSampler([part], plan.patch, 1, 0).spots(np.random.default_rng(0))
    assert spot.start == (0, 0, 24)
    assert torch.equal(spot.patch(plan.patch)[0], Spot(whole, spot.start).patch(plan.patch)[0])


class Counted(ArraySource):
    thickest = 0

    def read(self, start, stop):
        Counted.thickest = max(Counted.thickest, stop - start)
        return super().read(start, stop)


def test_a_scan_is_read_in_slabs(monkeypatch):
    monkeypatch.setattr(prepared, "SLAB", 4 * 60 * 40 * 3)
    plan = make_plan(patch=(8, 8, 8))
    example = one_box(make_example(shape=(50, 60, 40)))
    known = statistics(example.source, plan)
    case = prepare(replace(example, voxels=Counted(example.voxels, example.spacing, known)), plan)
    assert 0 < Counted.thickest <= 4  # three, and a neighbour to interpolate with
    assert torch.equal(case.voxels, prepare(example, plan).voxels)


def test_what_would_fill_the_device_stays_on_the_host(monkeypatch):
    cases = [prepare(make_example(), make_plan())]
    assert kept_near(cases, torch.device("mps"))[0].voxels is cases[0].voxels
    device = torch.device("meta")  # of no memory, and not the host's
    monkeypatch.setattr(prepared, "free_bytes", lambda _: cases[0].bytes * 10)
    assert kept_near(cases, device)[0].voxels.device == device
    monkeypatch.setattr(prepared, "free_bytes", lambda _: cases[0].bytes * 3)
    assert kept_near(cases, device)[0].voxels is cases[0].voxels  # as it is: pinned, it would take up to three times


def test_what_is_kept_of_a_scan_is_foretold_before_it_is_read(tmp_path, monkeypatch):
    for example in (one_box(make_example(shape=(50, 60, 40), spacing=(2.0, 1.0, 0.7))), make_example(0)):
        plan = make_plan(patch=(8, 8, 8))
        assert prepared.foretold_bytes(example, plan) == prepare(example, plan).bytes
    size = prepared.foretold_bytes(make_example(0), make_plan())
    monkeypatch.setattr("napari_apprentice.learn.memory.free_memory", lambda _: 2.5 * size)
    unread = [replace(make_example(n), voxels=None) for n in range(3)]
    told = r"The scans to learn from take about .* GB are free on this computer"
    with pytest.raises(RunError, match=told):
        train(tmp_path, "a", unread, spills=False)  # as of an encrypted study
    monkeypatch.setattr(trainer, "free_disk", lambda: 2.5 * size)
    with pytest.raises(RunError, match=told):
        train(tmp_path, "a", unread)


def test_scans_that_memory_has_no_room_for_are_learned_from_on_the_disk_to_the_very_same_weights(tmp_path, monkeypatch):
    _, here = train(tmp_path, "here")
    with monkeypatch.context() as full:
        full.setattr(trainer, "fits", lambda _: False)
        file = OnDisk()
        full.setattr(trainer, "OnDisk", lambda: file)
        _, there = train(tmp_path, "there")
    size = sum(prepared.foretold_bytes(make_example(n), make_plan()) for n in range(2))
    assert size <= file.bytes < size + 2 * 3 * 64
    assert same_weights(tmp_path, "here", "there")
    assert [n for n in there.notes if n not in here.notes] == [trainer._ON_DISK]


@pytest.mark.skipif(not FULL.exists(), reason="a device of Linux")
def test_a_disk_that_is_full_too_is_told(monkeypatch):
    monkeypatch.setattr(on_disk, "temporary_file", lambda: FULL.open("wb", buffering=0))
    with OnDisk() as file, pytest.raises(RunError, match="No space left on device"):
        file.put(torch.zeros(3, dtype=torch.float16))
