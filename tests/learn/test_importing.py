"""Files of weights from elsewhere: nothing of them is run, and what does not fit is said."""

import os
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from nnunet_models import Stored

from napari_apprentice.core.nnunet_plans import doubt_of_orientation, read_plans
from napari_apprentice.errors import InputError, ModelError
from napari_apprentice.learn.importing import from_nnunet, read_checkpoint


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


class EvilCall:
    """Unpickled, it runs a command."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"\"{sys.executable}\" -c \"open(r'{self.path}', 'w')\"",)


class EvilState:
    """Unpickled as torch's own tensor rebuilding with a function of its choice."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return eval, (f"open(r'{self.path}', 'w').close()",)


@pytest.mark.parametrize("evil", [Evil, EvilCall, EvilState])
@pytest.mark.parametrize("old", [False, True])
def test_a_malicious_checkpoint_runs_nothing(tmp_path, evil, old):
    mark = tmp_path / "mark"
    path = tmp_path / "checkpoint_final.pth"
    told = {"network_weights": {"a": torch.zeros(1)}, "more": evil(mark)}
    torch.save(told, path, _use_new_zipfile_serialization=not old)
    with pytest.raises(ModelError, match=r"could run code of its own.*nothing of it was run"):
        read_checkpoint(path)
    assert not mark.exists()
    torch.load(path, weights_only=False)  # the same file does run where it is let
    assert mark.exists()


def test_a_bare_pickle_runs_nothing(tmp_path):
    mark, path = tmp_path / "mark", tmp_path / "model.pt"
    path.write_bytes(pickle.dumps({"state_dict": Evil(mark)}))
    with pytest.raises(ModelError, match=r"model\.pt"):
        read_checkpoint(path)
    assert not mark.exists()


def test_a_program_is_not_taken_for_weights(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.ts", "w") as file:
        file.writestr("model/code/__torch__.py", "print(1)")
        file.writestr("model/data.pkl", b"")
    with pytest.raises(ModelError, match=r"a program .TorchScript., which is never run"):
        read_checkpoint(tmp_path / "model.ts")


@pytest.mark.parametrize("content", [b"", b"nonsense" * 9, b"PK\x03\x04 cut off", b"\x80\x02."])
def test_damaged_files_are_told(tmp_path, content):
    path = tmp_path / "checkpoint_final.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"checkpoint_final\.pth"):
        read_checkpoint(path)


def test_numbers_of_numpy_are_read_of_both_ages(tmp_path):
    path = tmp_path / "c.pth"
    torch.save({"best": np.float64(0.5), "curve": [np.float32(0.25), np.int64(3)]}, path)
    assert read_checkpoint(path) == {"best": 0.5, "curve": [0.25, 3]}
    older = tmp_path / "older.pth"
    with zipfile.ZipFile(path) as file, zipfile.ZipFile(older, "w") as out:
        for info in file.infolist():  # as NumPy 1 called it
            data = file.read(info).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            out.writestr(info.filename, data)
    assert read_checkpoint(older) == {"best": 0.5, "curve": [0.25, 3]}


def changed(tmp_path, change, name="plain3d"):
    stored = Stored(name)
    told = stored.checkpoint()
    change(told)
    path = tmp_path / "checkpoint_final.pth"
    torch.save(told, path)
    plan = read_plans(stored.plans, stored.dataset, stored.configuration).plan
    return from_nnunet(plan, path, stored.configuration, "")


def test_what_does_not_fit_the_plans_is_said(tmp_path):
    head = "decoder.seg_layers.0.weight"

    def dropped(told):
        del told["network_weights"][head]

    def renamed(told):
        told["network_weights"]["decoder.other"] = told["network_weights"].pop(head)

    def grown(told):
        told["network_weights"][head] = torch.zeros(7, 8, 1, 1, 1)

    with pytest.raises(ModelError, match=f"does not fit.*lacks {head}"):
        changed(tmp_path, dropped)
    with pytest.raises(ModelError, match="does not fit"):
        changed(tmp_path, renamed)
    with pytest.raises(ModelError, match=r"shape \(7, 8, 1, 1, 1\), not \(3, 6, 1, 1, 1\)"):
        changed(tmp_path, grown)
    with pytest.raises(ModelError, match="no network_weights"):
        changed(tmp_path, lambda told: told.pop("network_weights"))
    with pytest.raises(ModelError, match="trained as 2d, not as 3d_fullres"):
        changed(tmp_path, lambda told: told["init_args"].update(configuration="2d"))


def test_prefixes_of_wrappers_are_taken_off(tmp_path):
    def wrapped(told):
        told["network_weights"] = {f"module._orig_mod.{k}": v for k, v in told["network_weights"].items()}

    plain, found = changed(tmp_path, lambda _: None), changed(tmp_path, wrapped)
    assert plain.weights.keys() == found.weights.keys()


def test_orientation_is_asked_for_where_sides_were_taught(tmp_path):
    stored = Stored("plain3d")
    folder = stored.write(tmp_path, mirror=(0, 1))
    checkpoint = folder / "fold_0" / "checkpoint_final.pth"
    doubt = doubt_of_orientation(stored.plans, "")
    assert "SimpleITKIO" in doubt
    assert doubt_of_orientation(stored.plans, "RAS") == ""
    assert doubt_of_orientation(Stored("batchnorm3d").plans, "") == ""
    plan = read_plans(stored.plans, stored.dataset, stored.configuration).plan
    with pytest.raises(InputError, match="Say with orientation"):
        from_nnunet(plan, checkpoint, stored.configuration, doubt)
    assert from_nnunet(plan, checkpoint, stored.configuration, "").plan.mirror_axes == (0, 1)
    stored.write(tmp_path)  # mirrored along all axes: of no consequence
    from_nnunet(plan, checkpoint, stored.configuration, doubt)
