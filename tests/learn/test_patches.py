import numpy as np
import pytest
import torch
from small import make_example, make_plan

from napari_apprentice.errors import ModelError
from napari_apprentice.learn.loss import IGNORE, UNSEEN
from napari_apprentice.learn.patches import PatchSampler, centre
from napari_apprentice.learn.prepared import prepare, to_rows

CPU = torch.device("cpu")


def test_padding_is_unknown():
    case = prepare(make_example(shape=(6, 18, 20)), make_plan())
    batch = PatchSampler([case], (16, 16, 32), 1, 0).draw(np.random.default_rng(0))
    assert batch.target.shape == (1, 16, 16, 32)
    assert (batch.target[0, :5] == IGNORE).all()
    assert (batch.target[0, 11:] == IGNORE).all()
    assert (batch.target[0, 5:11, :, 6:26] != IGNORE).all()
    assert (batch.voxels[0, 0, :5] == 0).all()


def test_centres_are_always_known():
    example = make_example()
    example.status[:] = 0
    example.status[3:6, 4:9, 5:7] = 1
    example.status[4, 5, 5] = 2
    case = prepare(example, make_plan())
    rng = np.random.default_rng(0)
    hits = [centre(case, rng) for _ in range(200)]
    assert all(example.status[h] > 0 for h in hits)
    assert 0.3 < np.mean([h == (4, 5, 5) for h in hits]) < 0.7


def test_unseen_voxels_are_unknown_and_ids_need_not_be_contiguous():
    example = make_example(labels=(3, 700))
    example.status[0] = 0
    rows = to_rows(example, make_plan(labels=(3, 700)))
    assert (rows[0] == UNSEEN).all()
    assert (rows[1:][example.labels[1:] == 700] == 2).all()
    assert (rows[1:][example.labels[1:] == 3] == 1).all()


def test_a_label_the_model_does_not_know_is_refused_unless_nobody_looked_at_it():
    example = make_example(labels=(1, 2))
    with pytest.raises(ModelError, match="labels 2"):
        to_rows(example, make_plan(labels=(1,)))
    example.status[example.labels == 2] = 0
    assert (to_rows(example, make_plan(labels=(1,)))[example.labels == 2] == UNSEEN).all()


def test_edits_reach_two_voxels():
    example = make_example()
    example.status[8, 8, 8] = 2
    case = prepare(example, make_plan())
    assert case.edited[6, 8, 8]
    assert not case.edited[5, 8, 8]


@pytest.mark.parametrize(("share", "expected"), [(0.5, 0.5), (0.1, 0.25), (0.0, 0.0)])
def test_replay_share(share, expected):
    fresh = prepare(make_example(0), make_plan())
    old = prepare(make_example(1, replay=True), make_plan())
    old.voxels[:] = 9
    sampler = PatchSampler([fresh, old], (8, 8, 8), 2, share)
    rng = np.random.default_rng(0)
    drawn = [float(v.mean()) > 8.9 for _ in range(300) for v in sampler.draw(rng).voxels]
    assert np.mean(drawn) == pytest.approx(expected, abs=0.05)


def test_nothing_known_is_said_plainly():
    case = prepare(make_example(known=0), make_plan())
    with pytest.raises(ModelError, match="nothing to learn from"):
        PatchSampler([case], (8, 8, 8), 2, 0.5)
