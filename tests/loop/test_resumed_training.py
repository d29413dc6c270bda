"""A resumed training run goes by what it began with, whatever was done in the study meanwhile."""

import json
from pathlib import Path

import pytest
from balls import ball_study, revise, trained

from learn.small import make_plan
from napari_apprentice.core.config import TrainSettings
from napari_apprentice.core.labels import Label, LabelSchema
from napari_apprentice.core.progress import Progress
from napari_apprentice.errors import Cancelled
from napari_apprentice.loop.tuning import begin_training, resumable_training
from napari_apprentice.loop.worker import run_one
from napari_apprentice.loop.worker_train import train
from napari_apprentice.store.files import remove_quietly
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study
from networks import add_version

TUNE = TrainSettings(steps=12, device="cpu", validate_every=1000, interpolation=1)
MISSED = (
    "2 corrections (c2/r0002, c4/r0002) were saved after this run began and are not in it; the next run takes them."
)


def tunable(folder: Path) -> Study:
    """Four corrected cases, the third subject held out, and an active model version."""
    folder.mkdir(exist_ok=True)
    made = ball_study(folder, 4)
    add_version(made, "v0001", make_plan(), seed=1)
    made.models.activate("v0001", "made by hand")
    return made


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return tunable(tmp_path / "a")


def stopped(study: Study) -> RunFolder:
    """A run that was cancelled halfway."""
    run = begin_training(study, "fine-tune", TUNE)
    work = train(run)
    for progress in work:
        if progress.loss is not None and progress.done >= 10:
            break
    run.cancel()
    with pytest.raises(Cancelled):
        list(work)
    run.withdraw_cancel()
    return run


def change(study: Study) -> None:
    """What a person does to a study while nothing trains."""
    revise(study, 2)
    revise(study, 4)
    study.split.move("s1", "validation", "a better judge", "Ada")
    study.set_schema(LabelSchema((*study.schema.labels, Label(3, "three", "#112233"))))


def texts(reports: list[Progress]) -> list[str]:
    return list(dict.fromkeys(p.text for p in reports))


@pytest.mark.slow
def test_it_goes_on_with_the_same_corrections_sides_and_labels_to_the_very_same_weights(
    study: Study, tmp_path: Path
) -> None:
    run = stopped(study)
    change(study)
    reports = list(train(run))
    assert min(p.done for p in reports if p.loss is not None) > 10
    assert texts(reports).index(MISSED) < texts(reports).index("Training")
    version = study.models.info("v0002")
    assert version.revisions == ("c1/r0001", "c2/r0001", "c4/r0001")
    assert version.plan.labels == (1, 2)
    whole = tunable(tmp_path / "b")
    trained(whole, "fine-tune", TUNE)
    assert study.models.weights("v0002").read_bytes() == whole.models.weights("v0002").read_bytes()


def test_what_was_missed_is_in_the_result_and_a_run_that_ended_in_the_gate_takes_no_step_again(study: Study) -> None:
    run = begin_training(study, "fine-tune", TUNE)
    work = train(run)
    for progress in work:
        if progress.text.startswith("Comparing"):
            break
    work.close()
    change(study)
    run_one(run, train)
    events = run.events()[0]
    assert MISSED in [e.get("text") for e in events]
    assert [e for e in events if e.get("loss") is not None] == []
    assert events[-1]["result"]["notes"] == [MISSED]


@pytest.mark.slow
def test_a_run_of_which_a_revision_is_gone_begins_anew_and_says_so(study: Study) -> None:
    run = stopped(study)
    remove_quietly(study.cases.folder("c2") / "image" / "labels" / "r0001")
    reports = list(train(run))
    said = texts(reports)
    first = next(i for i, t in enumerate(said) if t.startswith("This run cannot go on as it began."))
    second = next(i for i, t in enumerate(said) if t.endswith("so training begins anew."))
    assert first < second < said.index("Training")
    assert "c2" in said[first]
    assert min(p.done for p in reports if p.loss is not None) <= 10


def test_a_held_out_scan_that_breaks_between_two_starts_costs_no_step(study: Study) -> None:
    run = stopped(study)
    scan = next(p for p in (study.cases.folder("c3") / "image" / "0" / "c").rglob("*") if p.is_file())
    scan.write_bytes(scan.read_bytes()[:-40] + bytes(40))
    reports = list(train(run))
    assert any(text.startswith("Not in this run: c3/r0001") for text in texts(reports))
    assert min(p.done for p in reports if p.loss is not None) > 10


def test_a_run_goes_on_although_its_checkpoint_is_damaged(study: Study) -> None:
    run = stopped(study)
    run.emit({"event": "cancelled"})
    for path in (run.path / "checkpoint").glob("state-*.safetensors"):
        path.write_bytes(b"")
    assert resumable_training(study) is not None
    run_one(run, train)
    assert run.events()[0][-1]["result"]["notes"] == ["The checkpoint is damaged, so training begins anew."]


def test_it_says_that_torch_is_another_one_and_keeps_to_its_labels_however_often_it_is_resumed(study: Study) -> None:
    run = stopped(study)
    change(study)
    document = run.record()
    document["made"]["libraries"]["torch"] = "1.0"
    (run.path / "run.json").write_text(json.dumps(document))
    for _ in range(2):
        work = train(run)
        said = [next(work).text for _ in range(8)]
        work.close()
        assert any(t.startswith("This run began with torch 1.0 and goes on with") for t in said)
    assert [label["id"] for label in run.record()["made"]["schema"]] == [1, 2]


def test_a_run_of_an_earlier_version_goes_on_with_what_the_study_has(study: Study) -> None:
    run = stopped(study)
    document = run.record()
    del document["made"]["left_out"], document["made"]["retired"]
    (run.path / "run.json").write_text(json.dumps(document))
    assert min(p.done for p in train(run) if p.loss is not None) > 10
