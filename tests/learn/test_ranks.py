"""Several processes that train one network: the same steps as one."""

import os
import subprocess
import sys

import pytest
import torch
from small import make_plan
from torch import distributed
from training import base_weights, half_seen, settings, train

from napari_apprentice.errors import Cancelled, InputError
from napari_apprentice.learn import ranks, weights
from napari_apprentice.learn.ranks import Ranks

TOGETHER = """
import sys
from pathlib import Path
from small import make_plan
from training import half_seen, settings, train
from napari_apprentice.learn import device
from napari_apprentice.learn.ranks import joined
device._cpu_has_bf16 = lambda: False  # which would round away what this is about
folder, ranks = Path(sys.argv[1]), joined("cpu")
assert ranks.count == 2
how = settings(5, augment=False)
plan, base = make_plan(batch=4), folder / "base.safetensors"
train(folder, "together", [half_seen(0), half_seen(1)], [half_seen(5)], how, base, plan=plan, ranks=ranks)
"""


@pytest.mark.parametrize(("size", "count", "whole"), [(4, 2, 4), (3, 2, 4), (2, 4, 4)])
def test_patches_are_shared_out_evenly(size, count, whole):
    every = [Ranks(i, count) for i in range(count)]
    assert {r.batch(size) for r in every} == {whole}
    taken = [list(range(whole))[r.share(whole)] for r in every]
    assert {len(t) for t in taken} == {whole // count}
    assert sorted(i for t in taken for i in t) == list(range(whole))


def test_what_is_told_to_all_arrives(tmp_path):
    """The real exchange, of one process with itself."""
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        both, cpu = Ranks(0, 1), torch.device("cpu")
        both.count = 2  # so that it asks the others, who are not there
        layer = torch.nn.Linear(2, 3)
        layer(torch.ones(2)).sum().backward()
        before = [p.grad.clone() for p in layer.parameters()]
        both.add_gradients(layer.parameters())
        assert all(torch.equal(p.grad, b) for p, b in zip(layer.parameters(), before, strict=True))
        assert torch.equal(both.total(torch.arange(3.0)), torch.arange(3.0))
        assert [both.any(said, cpu) for said in (True, False)] == [True, False]
        assert both.same([3.0, 0.1], cpu) == [3.0, 0.1]
        both.wait()
    finally:
        distributed.destroy_process_group()


@pytest.mark.parametrize(("rank", "node", "error"), [(0, 0, InputError), (1, 0, Cancelled), (3, 1, InputError)])
def test_more_processes_than_gpus_are_refused_in_words_by_the_first(monkeypatch, rank, node, error):
    monkeypatch.setattr(ranks, "choose_device", torch.device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    told = {"WORLD_SIZE": 4, "LOCAL_WORLD_SIZE": 2, "LOCAL_RANK": rank % 2, "RANK": rank, "GROUP_RANK": node}
    for name, value in told.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(error, match="2 devices were asked for, and 1 GPU is here: ask for fewer"):
        ranks.joined("cuda")


@pytest.mark.slow
@pytest.mark.usefixtures("float32")
def test_two_processes_take_the_steps_of_one(tmp_path):
    plan = make_plan(batch=4)
    base = base_weights(plan, tmp_path / "base.safetensors")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([*command, sys.executable, "-c", TOGETHER, str(tmp_path)], env=env, check=True, timeout=250)
    how = settings(5, augment=False)
    train(tmp_path, "alone", [half_seen(0), half_seen(1)], [half_seen(5)], how, base, plan=plan)
    one, two = (weights.read(tmp_path / f"{n}.safetensors") for n in ("alone", "together"))
    moved = max((one[n] - weights.read(base)[n]).abs().max() for n in one)
    assert max((one[n] - two[n]).abs().max() for n in one) < 1e-3 * moved
