import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from small import make_example, make_plan, never
from training import base_weights, half_seen, same_weights, settings, train

from napari_apprentice.core.config import PredictSettings, TrainSettings, first_model_settings
from napari_apprentice.core.slabs import ArraySource
from napari_apprentice.errors import Cancelled, ModelError, RunError
from napari_apprentice.learn import under_way, weights
from napari_apprentice.learn.evaluate import scores
from napari_apprentice.learn.feed import Feed
from napari_apprentice.learn.network import build
from napari_apprentice.learn.optimiser import Optimiser, rate
from napari_apprentice.learn.predictor import Predictor
from napari_apprentice.learn.sweep import Sweep

CPU = torch.device("cpu")


def after(calls):
    left = [calls]

    def asked():
        left[0] -= 1
        return left[0] < 0

    return asked


def test_reports_and_result(tmp_path):
    reports, result = train(tmp_path, "a", held_out=[make_example(5)])
    assert [r.done for r in reports if r.dice is not None] == [4, 6]
    assert reports[-1].done == reports[-1].total == result.steps == 6
    assert result.dice == reports[-1].dice
    assert result.history[-1] == (6, result.loss, result.dice)
    assert weights.read(tmp_path / "a.safetensors").keys() == weights.tensors(build(make_plan())).keys()


def test_a_resumed_run_ends_bit_for_bit_like_an_uninterrupted_one(tmp_path):
    plan = make_plan()
    base = base_weights(plan, tmp_path / "base.safetensors")
    train(tmp_path, "whole", start=base)
    # two questions while scans are read, then one per step
    with pytest.raises(Cancelled, match="after 3 of 6 steps"):
        train(tmp_path, "parts", start=base, cancelled=after(5))
    assert (tmp_path / "parts-checkpoint" / "state.json").is_file()
    assert not (tmp_path / "parts.safetensors").exists()
    reports, result = train(tmp_path, "parts", start=base)
    assert min(r.done for r in reports if r.loss is not None) > 3
    assert result.steps == 6
    assert same_weights(tmp_path, "whole", "parts")


KILLED = """
import os, signal, sys
from pathlib import Path
from napari_apprentice.learn.lean_monai import import_lean_monai
import_lean_monai()
from training import half_seen, settings, train
from napari_apprentice.learn import training
from napari_apprentice.learn.pace import Pace
folder, left = Path(sys.argv[1]), [6]
training.plan_pace = lambda *_: Pace(9, 4, 0.1, 0.0)
def killed():
    if (folder / "killed-checkpoint" / "state.json").exists():  # it has planned
        left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return False
how = settings(0, minutes=1.0, ema=0.9)
train(folder, "killed", [half_seen(0), half_seen(1)], how=how, start=folder / "base.safetensors", cancelled=killed)
"""


def test_a_run_that_is_killed_goes_on_to_the_very_same_weights(tmp_path):
    """Steps that were planned for a time, averaged weights, and what is distilled, all of it."""
    base = base_weights(make_plan(), tmp_path / "base.safetensors")
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=env, check=False)
    assert ran.returncode == -signal.SIGKILL
    assert json.loads((tmp_path / "killed-checkpoint" / "state.json").read_text())["step"] == 4
    examples = [half_seen(0), half_seen(1)]
    reports, result = train(tmp_path, "killed", examples, how=settings(0, minutes=1.0, ema=0.9), start=base)
    assert min(r.done for r in reports if r.loss is not None) > 4
    assert result.steps == result.settings.steps == 9
    train(tmp_path, "whole", examples, how=settings(9, ema=0.9), start=base)
    assert same_weights(tmp_path, "killed", "whole")


def test_the_time_decides_how_many_steps_there_are(tmp_path):
    reports, result = train(tmp_path, "timed", held_out=[make_example(5)], how=settings(0, minutes=0.03))
    (told,) = result.notes
    assert f"{result.steps} steps of" in told
    assert "fit into 0.03 minutes. What is compared on held-out scans afterwards comes on top." in told
    assert any(r.text == told and r.total == result.steps for r in reports)
    assert result.steps == reports[-1].done == reports[-1].total
    train(tmp_path, "counted", held_out=[make_example(5)], how=settings(result.steps))
    assert same_weights(tmp_path, "timed", "counted")  # what was tried first has left no trace


class Slow(ArraySource):
    """A scan that is slow to read, as a large one is slow to predict."""

    def read(self, start, stop):
        self.asked.append(self.voxels)
        time.sleep(0.1)
        return super().read(start, stop)


def test_held_out_scans_that_take_longer_than_the_time_leave_it_to_the_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(Slow, "asked", [], raising=False)
    held_out = [replace(e, voxels=Slow(e.voxels, e.spacing)) for e in (make_example(n) for n in range(5, 15))]
    reports, result = train(tmp_path, "timed", held_out=held_out, how=settings(0, minutes=0.02))
    assert {id(v) for v in Slow.asked} == {id(held_out[0].voxels.voxels)}  # one is tried, none is measured
    assert result.dice is None
    assert result.steps == reports[-1].done


def test_a_run_with_a_time_budget_goes_on_in_less_memory_where_it_runs_out_while_it_plans(tmp_path, monkeypatch):
    budgets, budget, usual = [], under_way._budget, Sweep.voxels_of
    monkeypatch.setattr(under_way, "_budget", lambda *of: budgets.append(budget(*of)) or budgets[-1])

    def short(*order):
        if budgets[-1] > 32 * 2**20:
            raise MemoryError
        return usual(*order)

    monkeypatch.setattr(Sweep, "voxels_of", short)
    _, result = train(tmp_path, "timed", held_out=[make_example(5)], how=settings(0, minutes=0.02))
    assert result.steps > 0
    assert budgets[:3] == [128 * 2**20, 64 * 2**20, 32 * 2**20]
    assert set(budgets[3:]) <= {32 * 2**20}


def test_each_held_out_scan_that_is_measured_on_is_told(tmp_path):
    reports, _ = train(tmp_path, "a", held_out=[make_example(5), make_example(6)], how=settings(2))
    texts = [(p.done, p.text) for p in reports if p.text.startswith("Measuring")]
    assert texts == [(2, f"Measuring on held-out scan {n} of 2") for n in (1, 2)]


def test_a_cancelled_measurement_keeps_the_step_before_it(tmp_path):
    asked = after(6 + 2)  # two while reading, one per step, then during the measurement after step 4
    with pytest.raises(Cancelled):
        train(tmp_path, "a", held_out=[make_example(5)], cancelled=asked)
    assert json.loads((tmp_path / "a-checkpoint" / "state.json").read_text())["step"] >= 4


def test_a_run_that_went_astray_goes_on_with_half_the_rate(tmp_path, monkeypatch):
    step, fail = Optimiser.step, [True]
    rates = []

    def astray(self, number, rate, loss):
        rates.append(rate)
        if number == 5 and fail:
            next(iter(self._named.values())).grad.fill_(float("nan"))
        return step(self, number, rate, loss)

    monkeypatch.setattr(Optimiser, "step", astray)
    told = r"gradient is not a number any more at step 6.*checkpoint of step 4 is kept.*half the learning rate"
    with pytest.raises(RunError, match=told):
        train(tmp_path, "a", how=settings(8))
    assert not (tmp_path / "a.safetensors").exists()
    before = rates[4]
    fail.clear()
    _, result = train(tmp_path, "a", how=settings(8))
    assert rates[6] == pytest.approx(before / 2)  # step 5 again
    assert result.steps == 8
    assert result.notes == ("Went on from step 4 with the learning rate halved 1x.",)


def test_a_checkpoint_of_another_run_is_not_taken_and_that_is_said_first(tmp_path):
    train(tmp_path, "a")
    reports, result = train(tmp_path, "a", how=settings(seed=1))
    assert min(r.done for r in reports if r.loss is not None) <= 4
    (told,) = result.notes
    assert "training begins anew" in told
    texts = [r.text for r in reports]
    assert texts.index(told) < texts.index("Training")
    assert (tmp_path / "a-checkpoint-aside" / "state-0000006.safetensors").is_file()


def test_a_checkpoint_of_before_held_out_scans_ceased_to_count_is_taken(tmp_path):
    examples, held_out = [make_example(0), make_example(1)], [make_example(5)]
    with pytest.raises(Cancelled, match="after 3 of 6 steps"):
        train(tmp_path, "a", examples, held_out, cancelled=after(5))
    head = tmp_path / "a-checkpoint" / "state.json"
    facts = {
        "plan": make_plan().to_json(),
        "settings": {k: v for k, v in settings().to_json().items() if k not in ("device", "optimiser")},
        "start": None,
        "examples": [(e.revision, e.replay) for e in examples],
        "held_out": [e.revision for e in held_out],
        "open": (),
    }
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    head.write_text(json.dumps({**json.loads(head.read_text()), "key": key}))
    reports, result = train(tmp_path, "a", examples, held_out)
    assert min(r.done for r in reports if r.loss is not None) > 3
    assert result.notes == ()


def test_a_run_that_an_earlier_program_began_with_sgd_goes_on_to_the_very_same_weights(tmp_path):
    how = replace(settings(), optimiser="sgd", momentum=0.99, rate=1e-2)
    train(tmp_path, "whole", how=how)
    with pytest.raises(Cancelled, match="after 3 of 6 steps"):
        train(tmp_path, "a", how=how, cancelled=after(5))
    head = tmp_path / "a-checkpoint" / "state.json"
    facts = {
        "plan": make_plan().to_json(),
        "settings": {k: v for k, v in how.to_json().items() if k not in ("device", "optimiser", "momentum")},
        "start": None,
        "examples": [(e.revision, e.replay) for e in (make_example(0), make_example(1))],
        "open": (),
    }
    assert json.loads(head.read_text())["key"] == hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    kept = weights.read(tmp_path / "a-checkpoint" / "state-0000003.safetensors")
    assert {name.partition("/")[0] for name in kept} == {"weights", "average", "momentum"}  # as they were then
    reports, _ = train(tmp_path, "a", how=how)
    assert min(r.done for r in reports if r.loss is not None) > 3
    assert same_weights(tmp_path, "whole", "a")


def test_from_a_damaged_checkpoint_it_goes_on_one_earlier_to_the_very_same_weights(tmp_path):
    train(tmp_path, "whole")
    with pytest.raises(Cancelled, match="after 5 of 6 steps"):
        train(tmp_path, "a", cancelled=after(7))
    folder = tmp_path / "a-checkpoint"
    (folder / "state-0000005.safetensors").write_bytes(b"")
    with pytest.raises(Cancelled):  # at once: what was damaged must not come back as the one before
        train(tmp_path, "a", cancelled=after(2))
    reports, result = train(tmp_path, "a")
    assert min(r.done for r in reports if r.loss is not None) > 4
    assert result.notes == ("The newest checkpoint is damaged: training goes on from the one before, of step 4.",)
    assert same_weights(tmp_path, "whole", "a")


def test_the_base_weights_keep_every_byte(tmp_path):
    base = base_weights(make_plan(), tmp_path / "base.safetensors")
    before = base.read_bytes()
    train(tmp_path, "a", start=base)
    assert base.read_bytes() == before
    with pytest.raises(ModelError, match="never overwritten"):
        train(tmp_path, "base", start=base)


def test_nothing_known_is_refused_before_the_first_step(tmp_path):
    with pytest.raises(ModelError, match="nothing to learn from"):
        train(tmp_path, "a", [make_example(known=0)])
    with pytest.raises(ModelError, match="nothing to learn from"):
        train(tmp_path, "b", [])
    assert not (tmp_path / "a.safetensors").exists()


def test_a_run_astray_before_its_first_checkpoint_promises_none(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_apprentice.learn.training.rate", lambda *_: 1e30)
    with pytest.raises(RunError, match=r"not a number any more at step \d.*no checkpoint yet.*lower learning rate"):
        train(tmp_path, "a")
    assert not (tmp_path / "a-checkpoint" / "state.json").exists()


def test_base_weights_that_are_no_numbers_are_refused_before_the_first_step(tmp_path):
    base = tmp_path / "broken.safetensors"
    module = build(make_plan())
    with torch.no_grad():
        next(module.parameters()).view(-1)[0] = float("nan")
    weights.save(module, base)
    with pytest.raises(ModelError, match=r"broken.safetensors are not all numbers"):
        train(tmp_path, "a", start=base)


def test_weights_of_another_network_are_refused(tmp_path):
    base = base_weights(make_plan(labels=(1, 2, 3)), tmp_path / "base.safetensors")
    with pytest.raises(ModelError, match="another network"):
        train(tmp_path, "a", start=base)
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    with pytest.raises(ModelError, match="damaged"):
        train(tmp_path, "a", start=tmp_path / "junk.safetensors")


def test_one_slice_and_thick_slices_train(tmp_path):
    flat = make_plan(patch=(1, 16, 16))
    train(tmp_path, "flat", [make_example(shape=(1, 24, 24))], plan=flat, how=settings(2))
    thick = make_plan(spacing=(4.0, 1.0, 1.0))
    train(tmp_path, "thick", [make_example(shape=(10, 24, 24), spacing=(5.0, 1, 1))], plan=thick, how=settings(2))


def test_rate_rises_then_falls():
    how = TrainSettings(steps=100, warm_up=0.1, rate=1e-3)
    values = [rate(i, how) for i in range(100)]
    assert values[0] == pytest.approx(1e-4)
    assert values[9] == values[10] == pytest.approx(1e-3)
    assert 0 < values[99] < 3e-5


def scored(tmp_path, name, plan, examples):
    predictor = Predictor(plan, tmp_path / f"{name}.safetensors", CPU)
    return np.mean([s.dice for s in scores(predictor, examples, PredictSettings(device="cpu", backend="torch"), never)])


def test_one_box_is_learned_by_heart(tmp_path):
    plan = make_plan(features=8)
    how = replace(first_model_settings(200, device="cpu"), augment=False, ema=0.9, validate_every=1000)
    example = make_example(shape=(16, 16, 16))
    train(tmp_path, "a", [example], how=how, plan=plan)
    assert scored(tmp_path, "a", plan, [example]) > 0.98


def test_a_hundred_steps_from_nothing_find_every_label(tmp_path):
    """What a person waits for first. With a momentum of 0.99 one of both is not found at all."""
    scans = [make_example(seed, noise=1.0) for seed in range(3)]
    train(tmp_path, "a", scans, how=first_model_settings(100, device="cpu"))
    unseen = [make_example(seed, noise=1.0) for seed in (10, 11)]
    predictor = Predictor(make_plan(), tmp_path / "a.safetensors", CPU)
    found = scores(predictor, unseen, PredictSettings(device="cpu", backend="torch"), never)
    assert min(s.dice for s in found) > 0.7


def partly_known(seed):
    """A box around half of each ball, and of the background beside it."""
    example = make_example(seed)
    seen = np.zeros(example.labels.shape, bool)
    for label in (1, 2):
        z, y, x = (int(v) for v in np.argwhere(example.labels == label).mean(0))
        seen[max(z - 5, 0) : z, max(y - 6, 0) : y + 6, max(x - 6, 0) : x + 6] = True
    return replace(example, status=seen.astype(np.uint8))


def test_what_boxes_say_holds_where_nobody_looked(tmp_path):
    """AdamW calls most of that a ball, although it has every box right."""
    scans = [partly_known(seed) for seed in range(3)]
    train(tmp_path, "a", scans, how=first_model_settings(120, device="cpu"), plan=make_plan(features=8))
    assert scored(tmp_path, "a", make_plan(features=8), [make_example(10), make_example(11)]) > 0.9


@pytest.mark.slow
def test_unseen_taken_for_background_ruins_what_the_mask_learns(tmp_path):
    plan = make_plan(features=8)
    how = replace(first_model_settings(250, device="cpu"), ema=0.9, validate_every=1000)
    partly = [partly_known(seed) for seed in range(3)]
    as_background = [
        replace(e, labels=np.where(e.status > 0, e.labels, 0).astype(np.uint8), status=np.ones_like(e.status))
        for e in partly
    ]
    test = [make_example(10), make_example(11)]
    train(tmp_path, "masked", partly, how=how, plan=plan)
    train(tmp_path, "naive", as_background, how=how, plan=plan)
    masked, naive = scored(tmp_path, "masked", plan, test), scored(tmp_path, "naive", plan, test)
    assert masked > 0.8
    assert naive < masked - 0.1


def test_the_next_batch_is_drawn_before_the_step_is_waited_for(tmp_path, monkeypatch):
    draw, step, done = Feed.batch, Optimiser.step, []

    def drawing(self, number):
        done.append(f"batch {number}")
        return draw(self, number)

    def stepping(self, number, rate, loss):
        done.append(f"step {number}")
        return step(self, number, rate, loss)

    monkeypatch.setattr(Feed, "batch", drawing)
    monkeypatch.setattr(Optimiser, "step", stepping)
    train(tmp_path, "a", how=settings(3))
    assert done == ["batch 0", "batch 1", "step 0", "batch 2", "step 1", "step 2"]  # each once
