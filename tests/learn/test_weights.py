import errno
from types import SimpleNamespace

import pytest
import torch
from safetensors import SafetensorError
from small import make_plan

from napari_apprentice.core.plan import Plan
from napari_apprentice.errors import StorageError
from napari_apprentice.learn import weights
from napari_apprentice.learn.network import build


def test_there_and_back(tmp_path):
    one, two = build(make_plan()), build(make_plan())
    weights.save(one, tmp_path / "w.safetensors")
    weights.load(two, tmp_path / "w.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_half_is_half_the_size(tmp_path):
    weights.save(build(make_plan()), tmp_path / "w.safetensors")
    weights.save(build(make_plan()), tmp_path / "h.safetensors", half=True)
    whole, half = ((tmp_path / f"{n}.safetensors").stat().st_size for n in "wh")
    assert half < 0.75 * whole
    weights.load(build(make_plan()), tmp_path / "h.safetensors")


def test_maps_while_training_and_one_map_else():
    plan = make_plan(patch=(8, 16, 16), labels=(3, 7, 9))
    net = build(plan)
    voxels = torch.randn(2, 1, 8, 16, 16)
    assert [tuple(m.shape) for m in net(voxels)] == [(2, 4, 8, 16, 16), (2, 4, 4, 8, 8)]
    assert [tuple(m.shape) for m in net.eval()(voxels)] == [(2, 4, 8, 16, 16)]


def test_a_plan_read_back_builds_the_same_network():
    plan = make_plan()
    assert Plan.from_json(plan.to_json()) == plan


def test_a_full_disk_is_told_as_one(tmp_path, monkeypatch):
    def full(_, path):
        path.write_bytes(b"half")
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    path = tmp_path / "w.safetensors"
    weights.save(build(make_plan()), path)
    before = path.read_bytes()
    monkeypatch.setattr(weights, "save_file", full)
    with pytest.raises(
        StorageError, match=r"^The disk is full; w\.safetensors could not be written.* Make room, then try"
    ):
        weights.save(build(make_plan()), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


_WROTE = "Error while serializing: I/O error: {} (os error {})"


@pytest.mark.parametrize(
    ("system", "error", "says"),
    [
        ("nt", SafetensorError(_WROTE.format("Espace insuffisant.", 112)), "The disk is full; "),
        ("nt", SafetensorError(_WROTE.format("Access is denied.", 5)), "I/O error: Access is denied. (os error 5); "),
        ("nt", SafetensorError(_WROTE.format("The printer is out of paper.", 28)), "out of paper. (os error 28); "),
        ("posix", SafetensorError(_WROTE.format("Disk quota exceeded", errno.EDQUOT)), "The disk is full; "),
        ("posix", SafetensorError(_WROTE.format("File too large", errno.EFBIG)), "File too large (os error 27); "),
        ("posix", OSError(errno.EFBIG, "File too large", "w.safetensors.part"), "File too large; "),
    ],
)
def test_why_weights_could_not_be_written_is_told_as_the_system_says_it(tmp_path, monkeypatch, system, error, says):
    def fails(*_):
        raise error

    module, path = build(make_plan()), tmp_path / "w.safetensors"
    monkeypatch.setattr(weights, "save_file", fails)
    monkeypatch.setattr(weights, "os", SimpleNamespace(name=system))
    with pytest.raises(StorageError) as told:
        weights.save(module, path)
    assert says in str(told.value)
    assert ("Make room" in str(told.value)) == (says == "The disk is full; ")
