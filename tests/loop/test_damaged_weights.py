"""Weights that are not what was registered are found before the first step; what fails later can be resumed."""

import errno
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from balls import modelled_study, revise, trained

from napari_apprentice.core.config import TrainSettings
from napari_apprentice.errors import ModelError
from napari_apprentice.loop.choosing import choose
from napari_apprentice.loop.tuning import begin_training, resumable_training, untunable
from napari_apprentice.loop.worker import run_one
from napari_apprentice.loop.worker_train import train
from napari_apprentice.store import models
from napari_apprentice.store.study import Study

TUNE = TrainSettings(steps=1, device="cpu", validate_every=1000, interpolation=1)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return modelled_study(tmp_path)


@pytest.mark.parametrize(("which", "damage"), [("base", "flip"), ("active", "flip"), ("active", "gone")])
def test_damaged_weights_are_told_before_the_first_step(study: Study, which: str, damage: str) -> None:
    tuned = trained(study, "fine-tune", TUNE)["model"]
    study.models.activate(tuned, "by hand")
    revise(study, 1)
    name = "v0001" if which == "base" else tuned
    path = study.models.weights(name)
    assert untunable(study) == ""
    path.write_bytes(path.read_bytes()[:-40] + bytes(40)) if damage == "flip" else path.unlink()
    assert f"weights of model version {name} are" in untunable(study)
    run = begin_training(study, "fine-tune", TUNE)
    with pytest.raises(ModelError, match=f"weights of model version {name} are (damaged|missing)"):
        [p for p in train(run) if p.loss is not None and pytest.fail("it has begun")]


@pytest.mark.parametrize("damaged", ["weights.safetensors", "model.json"])
def test_a_model_is_trained_anew_beside_a_damaged_one(study: Study, damaged: str) -> None:
    path = study.models.root / "v0001" / damaged
    path.write_bytes(broken := path.read_bytes()[:-40])
    made = trained(study, "train", replace(TUNE, steps=2))
    assert made["model"] == "v0002"
    assert not made["active"]
    assert "v0001, the active model version, is damaged" in made["gate"]["reason"]
    assert any("to be activated by name" in note for note in made["notes"])
    choose(study, "v0002", "ann")
    assert study.models.active() == "v0002"
    assert path.read_bytes() == broken


def test_a_model_is_trained_anew_beside_one_that_the_disk_does_not_give(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad_sector, digest = study.models.weights("v0001"), models.file_digest

    def read(path: Path) -> str:
        if path == bad_sector:
            raise OSError(errno.EIO, "Input/output error")
        return digest(path)

    monkeypatch.setattr(models, "file_digest", read)
    made = trained(study, "train", TUNE)
    assert (made["model"], made["active"]) == ("v0002", False)
    assert "Model version v0001 cannot be read." in made["notes"][0]


def test_a_number_of_a_version_that_is_gone_is_not_given_again(study: Study) -> None:
    shutil.rmtree(study.models.root / "v0001")  # it would be the active one at once
    made = trained(study, "train", TUNE)
    assert (made["model"], made["active"], study.models.active()) == ("v0002", False, "v0001")


def test_what_fails_after_the_last_step_can_be_resumed(study: Study) -> None:
    run = begin_training(study, "fine-tune", TUNE)
    path, whole = study.models.weights("v0001"), study.models.weights("v0001").read_bytes()
    work = train(run)
    for progress in work:
        if progress.loss is not None:
            path.write_bytes(b"")  # while it ran
            break
    run_one(run, lambda _: work)
    assert "weights of model version v0001 are damaged" in run.events()[0][-1]["text"]
    assert resumable_training(study) is not None
    path.write_bytes(whole)
    again = list(train(run))
    assert not [p for p in again if p.loss is not None]
    assert study.models.names() == ("v0001", "v0002")
