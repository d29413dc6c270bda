"""Another fine-tune of the same study: labels that came in between, the device's turn, what is written down."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from balls import SHAPE, ball_study, revise, trained

from collected import collect
from faults import finish
from learn.small import make_example
from napari_apprentice.core.config import TrainSettings, first_model_settings
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.labels import Label, LabelSchema
from napari_apprentice.core.records import Provenance
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import Cancelled, ModelError, RunError
from napari_apprentice.learn import checkpoint
from napari_apprentice.loop import worker
from napari_apprentice.loop.tuning import already_learned, begin_training, follow_training
from napari_apprentice.loop.worker import run_one
from napari_apprentice.loop.worker_train import train
from napari_apprentice.store.device_turn import DeviceTurn
from napari_apprentice.store.runs import CHECKPOINT
from napari_apprentice.store.study import Study
from networks import add_version

TUNE = TrainSettings(steps=2, device="cpu", validate_every=2, interpolation=1)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a first model version of labels 1 and 2."""
    made = ball_study(tmp_path_factory.mktemp("first"))
    trained(made, "train", first_model_settings(2, device="cpu"))
    return made.path


@pytest.fixture
def study(first: Path, tmp_path: Path) -> Study:
    return Study.open(Path(shutil.copytree(first, tmp_path / "balls.study")))


def add_label(study: Study) -> None:
    """Label 3, and a case where it is drawn."""
    study.set_schema(LabelSchema((*study.schema.labels, Label(3, "three", "#112233"))))
    labels = make_example(1, SHAPE).labels
    labels[:3, :3] = 3
    revise(study, 1, labels)


def test_a_new_label_is_taken_up_and_the_base_keeps_every_byte(study: Study) -> None:
    base = study.models.weights("v0001").read_bytes()
    add_label(study)
    made = trained(study, "fine-tune", TUNE)
    tuned = study.models.info(made["model"])
    assert (tuned.plan.labels, tuned.parent) == ((1, 2, 3), "v0001")
    assert study.models.weights("v0001").read_bytes() == base
    assert study.models.info("v0001").plan.labels == (1, 2)
    again = study.models.info(trained(study, "fine-tune", TUNE)["model"])
    assert (again.plan.labels, again.parent) == ((1, 2, 3), "v0001")  # from the base, every time


@pytest.mark.slow
def test_a_label_that_went_is_in_no_new_model_version_and_the_gate_does_not_ask_for_it(study: Study) -> None:
    before = study.schema
    study.set_schema(LabelSchema((*before.labels, Label(3, "three", "#112233"))))
    add_version(study, "wide", replace(study.models.info("v0001").plan, labels=(1, 2, 3)), seed=1)
    study.models.activate("wide", "made by hand")
    study.set_schema(before)
    made = trained(study, "fine-tune", TUNE)
    tuned = study.models.info(made["model"])
    assert (tuned.plan.labels, tuned.parent) == ((1, 2), "wide")
    assert {row.label for row in tuned.gate.rows} == {1, 2}
    assert study.models.info("wide").plan.labels == (1, 2, 3)


def test_run_json_says_all_that_is_needed_to_repeat_it(study: Study) -> None:
    add_label(study)
    trained(study, "fine-tune", TUNE)
    made = study.runs.open(study.runs.ids()[-1]).record()["made"]
    by_name = {r["revision"]: r for r in made["revisions"]}
    assert set(by_name) == {"c1/r0002", "c2/r0001", "c3/r0001"}
    for key, told in by_name.items():
        assert told["digest"] == study.revisions.info(*key.split("/")).digest
    assert [by_name[k]["replay"] for k in sorted(by_name)] == [False, True, True]
    assert [by_name[k]["open"] for k in sorted(by_name)] == [[], [[3]], [[3]]]
    assert made["split"] == {"s1": "train", "s2": "train", "s3": "validation"}
    assert made["settings"] == TUNE.to_json()
    assert made["settled"]["settings"]["steps"] == 2
    assert made["base"] == {"name": "v0001", "weights": study.models.info("v0001").weights_digest}
    assert made["plan"]["labels"] == [1, 2, 3]
    assert {"torch", "numpy", "napari-apprentice"} <= made["libraries"].keys()


def test_without_a_correction_nothing_happens(study: Study) -> None:
    base = study.models.weights("v0001").read_bytes()
    with pytest.raises(ModelError, match="no correction to learn from since the active model version"):
        trained(study, "fine-tune", TUNE)
    assert study.models.names() == ("v0001",)
    assert study.models.active() == "v0001"
    assert study.models.weights("v0001").read_bytes() == base


def test_a_case_of_which_nothing_can_be_taught_is_named_and_not_listed(study: Study) -> None:
    truth = make_example(4, SHAPE).labels
    geometry = Geometry.from_source(SHAPE[::-1], np.diag([-1.0, -1.0, 0.25, 1.0]))  # four slices in one of the plan's
    scan = make_example(4, SHAPE).voxels
    study.split.assign("s4", side="train")
    study.cases.add("c4", "s4", Volume(scan, geometry, ("MR",), "c4.nii.gz", "0" * 64))
    status = np.zeros_like(truth)
    status[0::4] = status[3::4] = 2
    truth[0::4], truth[3::4] = 1, 2  # they contradict each other wherever the plan has a voxel
    study.revisions.save("c4", truth, status, Provenance("ann"))
    with pytest.raises(ModelError, match="no new correction says"):
        trained(study, "fine-tune", TUNE)
    revise(study, 1)
    made = trained(study, "fine-tune", TUNE)
    assert any(note.startswith("Nothing of c4/r0001 is taught") for note in made["notes"])
    assert study.models.info(made["model"]).revisions == ("c1/r0002", "c2/r0001")


def test_a_run_waits_for_that_of_another_study_and_can_be_cancelled(study: Study) -> None:
    other = DeviceTurn("cpu")
    list(other.wait(lambda: False))
    revise(study, 1)
    run = begin_training(study, "fine-tune", TUNE)
    work = train(run)
    told = next(work).text
    assert told.startswith("Waiting for CPU")
    assert f"process {os.getpid()}" in told
    run.cancel()
    with pytest.raises(Cancelled, match="waited for its turn"):
        list(work)
    run.withdraw_cancel()
    other.end()
    work = train(run)
    assert "Reading corrections" in [p.text for p in work]
    list(other.wait(lambda: False))  # and it has let go of the device
    other.end()


def test_corrections_are_counted_while_they_are_read_and_reading_can_be_cancelled(study: Study) -> None:
    revise(study, 1)
    run = begin_training(study, "fine-tune", TUNE)
    work = train(run)
    said = [next(work).text for _ in range(3)]
    assert said == ["Reading corrections", "Reading correction 1 of 3", "Reading correction 2 of 3"]
    run.cancel()
    with pytest.raises(Cancelled, match="before its first step"):
        next(work)


def test_a_held_out_subject_that_was_moved_is_learned_from(study: Study) -> None:
    """Not only replayed: the base was measured on it and has learned nothing of it."""
    assert study.models.info("v0001").held_out == ("c3/r0001",)
    study.split.move("s3", "train", "there are too few to learn from")
    version = study.models.info(trained(study, "fine-tune", replace(TUNE, steps=1))["model"])
    assert "c3/r0001" in version.revisions


def test_label_maps_that_memory_has_no_room_for_are_not_read(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    revise(study, 1)
    monkeypatch.setattr("napari_apprentice.learn.memory.free_memory", lambda _: 5.0 * np.prod(SHAPE))
    monkeypatch.setattr(study.revisions, "read", None)
    with pytest.raises(RunError, match=r"The corrections take about 0\.0 GB of memory, and 0\.0 GB are free"):
        collect(study, frozenset())


def test_a_run_that_is_done_keeps_no_weights_beside_those_of_its_model_version(study: Study) -> None:
    revise(study, 1)
    run = begin_training(study, "fine-tune", TUNE)
    (run.path / CHECKPOINT).mkdir()
    checkpoint.put_aside(run.path / CHECKPOINT)
    assert worker.main([str(run.path)]) == 0
    report = finish(follow_training(run))
    assert (study.models.root / report.model / "weights.safetensors").is_file()
    assert [p.name for p in run.path.rglob("*.safetensors")] == []
    assert not list(run.path.glob("checkpoint*"))
    assert (run.path / "run.json").is_file()


@pytest.mark.slow
def test_a_run_that_died_before_its_version_was_active_goes_on_with_that_one(study: Study) -> None:
    revise(study, 1)
    revise(study, 3)
    run = begin_training(study, "fine-tune", TUNE)
    ledger = study.models.ledger.path
    before = ledger.read_bytes()
    first = finish(train(run))
    made = study.models.info("v0002")
    ledger.write_bytes(before)  # as a kill leaves it between the two
    assert {**finish(train(run)), "seconds": first["seconds"]} == first
    assert study.models.names() == ("v0001", "v0002")
    assert study.models.info("v0002") == made
    assert study.models.active() == ("v0002" if first["active"] else "v0001")


def test_another_run_that_would_learn_the_same_again_is_told_before_it_begins(study: Study) -> None:
    revise(study, 1)
    run = begin_training(study, "fine-tune", TUNE)
    assert already_learned(study, "fine-tune") == ""
    run_one(run, train)
    told = already_learned(study, "fine-tune")
    assert told.startswith("v0002 has learned from all saved corrections already. Another run with the same settings")
    document = run.path / "run.json"
    now = document.read_text()
    document.write_text(now.replace('"momentum": 0.9,', ""))  # as before: the recipe has become another
    assert already_learned(study, "fine-tune") == ""
    document.write_text(now)
    study.split.move("s2", "validation", "a better judge")
    assert already_learned(study, "fine-tune") == ""
    study.split.move("s2", "train", "too few")
    assert already_learned(study, "fine-tune") == told
    revise(study, 2)
    assert already_learned(study, "fine-tune") == ""


def test_after_a_first_candidate_nobody_is_told_that_training_anew_is_of_no_use(tmp_path: Path) -> None:
    study = ball_study(tmp_path, validation=())
    settings = replace(first_model_settings(1, device="cpu"), minutes=0.005)
    run = begin_training(study, "train", settings, memory_mb=20.0, features=4)
    run_one(run, train)  # which leaves no time for the fewest steps
    assert (study.models.names(), study.models.active()) == (("v0001",), None)
    assert already_learned(study, "train") == ""
    study.models.activate("v0001", "all the same")
    assert already_learned(study, "train").startswith("v0001 has learned from all")


def test_a_run_that_left_a_scan_out_has_not_learned_from_all_corrections(study: Study) -> None:
    revise(study, 1)
    run = begin_training(study, "fine-tune", TUNE)
    run_one(run, train)
    assert already_learned(study, "fine-tune")
    run.note({**run.record()["made"], "left_out": {"c9/r0001": "its scan is damaged"}})
    assert already_learned(study, "fine-tune") == ""


def test_curves_for_tensorboard_where_asked_for(study: Study) -> None:
    revise(study, 1)
    trained(study, "fine-tune", replace(TUNE, tensorboard=True))
    (path,) = (study.runs.open(study.runs.ids()[-1]).path / "tensorboard").iterdir()
    assert b"train/loss" in path.read_bytes()
    assert b"held out/Dice" in path.read_bytes()
