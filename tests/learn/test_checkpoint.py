"""What is left to go on from after a crash, a full disk or a power cut."""

import errno

import pytest
import torch

from napari_apprentice.errors import StorageError
from napari_apprentice.learn import checkpoint, weights
from napari_apprentice.learn.checkpoint import Checkpoint, Settled


def keep(folder, step, key="this run"):
    tensors = {"weights": {"w": torch.full((50,), float(step))}}
    checkpoint.write(folder, Checkpoint(key, step, 1.0, 1.0, ((step, 0.5, None),), tensors, Settled()))


def step_of(folder, key="this run"):
    """The step that is gone on from, the number in its weights, and what is told."""
    state, told = checkpoint.read(folder, key)
    return state and (state.step, float(state.tensors["weights"]["w"][0])), told


def test_the_newest_is_taken_and_of_older_ones_only_the_one_before_is_kept(tmp_path):
    assert step_of(tmp_path / "none") == (None, "")
    for step in (10, 20, 30, 30):
        keep(tmp_path, step)
    assert step_of(tmp_path) == ((30, 30.0), "")
    assert sorted(p.name for p in tmp_path.glob("*.safetensors")) == [f"state-00000{n}.safetensors" for n in (20, 30)]


@pytest.mark.parametrize("damage", ["empty", "cut", "gone", "head"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before_and_then_to_the_beginning(tmp_path, damage):
    for step in (10, 20):
        keep(tmp_path, step)
    for name, head in (("state-0000020", "state"), ("state-0000010", "before")):
        path = tmp_path / (f"{head}.json" if damage == "head" else f"{name}.safetensors")
        whole = path.read_bytes()
        path.write_bytes(b"" if damage != "cut" else whole[: len(whole) // 2])
        if damage == "gone":
            path.unlink()
        if head == "state":
            found, told = step_of(tmp_path)
            assert found == (10, 10.0)
            assert "goes on from the one before, of step 10" in told
    assert step_of(tmp_path) == (None, "The checkpoint is damaged, so training begins anew.")


def test_a_checkpoint_of_another_run_is_told_and_not_taken(tmp_path):
    keep(tmp_path, 10)
    found, told = step_of(tmp_path, "another run")
    assert found is None
    assert "checkpoint of step 10 was made from other revisions" in told


def test_what_did_not_reach_the_disk_takes_no_place(tmp_path, monkeypatch):
    keep(tmp_path, 10)

    def lost(_):
        raise OSError(errno.EIO, "power cut")

    for module in (weights, checkpoint):
        with monkeypatch.context() as patch:
            patch.setattr(module, "sync", lost)
            with pytest.raises((StorageError, OSError)):
                keep(tmp_path, 20)
        assert step_of(tmp_path) == ((10, 10.0), "")
