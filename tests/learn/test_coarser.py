"""What was corrected in a scan that is finer than the model's grid."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import make_example, make_plan
from training import settings as how
from training import train

from napari_apprentice.errors import ModelError
from napari_apprentice.learn.loss import UNSEEN, single
from napari_apprentice.learn.prepared import prepare, to_rows
from napari_apprentice.learn.resample import Linear, resample_labels_along, target_shape


def corrected(slices, shape=(12, 16, 16), spacing=(0.5, 1.0, 1.0), **changes):
    """An example of which some slices alone were corrected by hand."""
    example = make_example(3, shape=shape, spacing=spacing, **changes)
    status = np.zeros_like(example.status)
    status[slices] = 2
    return replace(example, status=status)


@pytest.mark.parametrize(("fine", "factor"), [(0.5, 2), (1 / 3, 3), (0.2, 5)])
@pytest.mark.parametrize("place", [0, 1])
def test_one_corrected_slice_is_taught_whole_and_as_no_more_than_one_slice(fine, factor, place):
    example = corrected(2 * factor + place, (4 * factor, 16, 16), (fine, 1.0, 1.0))
    case = prepare(example, make_plan())
    target = case.target.numpy()
    assert (target[2] == example.labels[2 * factor + place]).all()
    assert (np.delete(target, 2, axis=0) == UNSEEN).all()
    assert case.any_known.size == case.edits.size == 16 * 16
    assert np.unique(np.unravel_index(case.edits, case.shape)[0]).tolist() == [2]
    logits = torch.zeros(1, 3, *case.shape, requires_grad=True)
    single(logits, case.target[None], torch.ones(1, *case.shape)).backward()
    moved = logits.grad.abs().sum((0, 1, 3, 4))
    assert moved[2] > 0
    assert moved[[0, 1, 3]].tolist() == [0, 0, 0]  # not small: exactly nothing


def test_one_edited_slice_of_an_accepted_scan_stays_an_edit():
    example = make_example(3, shape=(12, 16, 16), spacing=(0.5, 1.0, 1.0))
    example.status[5] = 2
    case = prepare(example, make_plan())
    assert np.unique(np.unravel_index(case.edits, case.shape)[0]).tolist() == [2]
    assert case.any_known.size == case.target.numel()
    everything = prepare(replace(example, status=np.ones_like(example.status)), make_plan())
    assert torch.equal(case.target, everything.target)


def test_where_known_voxels_disagree_evenly_nothing_is_taught():
    example = corrected(slice(0, 0), (4, 4, 4), (0.25, 1.0, 1.0))
    example.status[[0, 3]] = 2
    example.labels[0], example.labels[3] = 1, 2
    case = prepare(example, make_plan())
    assert (case.target == UNSEEN).all()
    assert not case.any_known.size


def interpolated(values, whole):
    lines = [Linear.between(n, m) for n, m in zip(values.shape, whole, strict=True)]
    return resample_labels_along(torch.from_numpy(values), tuple(lines)).numpy()


def by_hand(example, plan, whole):
    """Rows and status on the plan's grid, voxel by voxel."""
    rows, status = to_rows(example, plan), example.status
    found = [interpolated(v, whole) for v in (rows, status)]
    cells = tuple(m if m < n else n for n, m in zip(rows.shape, whole, strict=True))
    if cells == rows.shape:
        return found
    votes, most = {}, np.zeros(cells, np.uint8)
    for place in zip(*np.nonzero(status), strict=True):
        cell = tuple(int((2 * i + 1) * m // (2 * n)) for i, n, m in zip(place, rows.shape, cells, strict=True))
        votes.setdefault(cell, Counter())[int(rows[place])] += 1
        most[cell] = max(most[cell], status[place])
    label = np.full(cells, UNSEEN, np.uint8)
    for cell, counted in votes.items():
        (row, count), *others = counted.most_common(2)
        label[cell] = UNSEEN if others and others[0][1] == count else row
    label, most = (interpolated(v, whole) for v in (label, most))
    target = np.where(found[0] == UNSEEN, label, found[0])
    return target, np.where(target == UNSEEN, 0, np.maximum(np.maximum(found[1], most), 1))


sizes = st.tuples(*[st.integers(1, 9)] * 3).filter(lambda shape: max(shape) > 1)


@settings(max_examples=60, deadline=None)
@given(shape=sizes, spacing=st.tuples(*[st.sampled_from([0.2, 0.3, 0.5, 0.7, 0.9, 1.0, 1.6])] * 3), seed=st.integers(0))
def test_any_grid_is_as_by_hand(shape, spacing, seed):
    rng, plan = np.random.default_rng(seed), make_plan(patch=(4, 4, 4))
    example = make_example(shape=shape, spacing=spacing)
    sparse = rng.choice([0.05, 0.4, 0.9])
    status = np.where(rng.random(shape) < sparse, rng.integers(1, 3, shape), 0).astype(np.uint8)
    example = replace(example, labels=rng.integers(0, 3, shape).astype(np.uint8), status=status)
    case = prepare(example, plan)
    target, seen = by_hand(example, plan, target_shape(shape, spacing, plan.spacing))
    part = tuple(slice(o, o + n) for o, n in zip(case.origin, case.shape, strict=True))
    np.testing.assert_array_equal(case.target.numpy(), target[part])
    assert (seen > 0).sum() == (seen[part] > 0).sum()  # the part has all that is known
    np.testing.assert_array_equal(np.sort(case.any_known), np.flatnonzero(seen[part]))
    np.testing.assert_array_equal(np.sort(case.edits), np.flatnonzero(seen[part] == 2))


def left_with_nothing():
    """An example whose two known voxels in each of the plan's disagree."""
    example = corrected(slice(0, None, 4), spacing=(0.25, 1.0, 1.0))
    example.status[3::4] = 1
    example.labels[0::4], example.labels[3::4] = 1, 2
    return replace(example, revision="lost/r0001")


def test_a_case_of_which_nothing_is_left_is_named(tmp_path):
    reports, result = train(tmp_path, "a", [make_example(0), left_with_nothing()], how=how(2))
    assert result.left_out == ("lost/r0001",)
    assert result.notes == ("Nothing of lost/r0001 is taught: it leaves no voxel of the model's grid known.",)
    assert result.notes[0] in [r.text for r in reports]


def test_replay_alone_teaches_nothing_new(tmp_path):
    with pytest.raises(ModelError, match="no new correction says what any voxel of the model's grid is"):
        train(tmp_path, "a", [make_example(0, replay=True), left_with_nothing()], how=how(2))
    assert not (tmp_path / "a.safetensors").exists()
