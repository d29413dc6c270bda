"""Child processes: what they report, how they are stopped, and what is left when they are killed."""

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from builders import study as make_study
from faults import drain
from learn.small import make_plan
from napari_apprentice.core.config import PredictSettings, TrainSettings, first_model_settings
from napari_apprentice.core.records import ModelVersion, Provenance, now
from napari_apprentice.errors import Cancelled, InputError, ModelError, RunError
from napari_apprentice.loop.child import DISK_FAILED, started
from napari_apprentice.loop.engine import Engine
from napari_apprentice.loop.launch import follow, is_running
from napari_apprentice.loop.predicting import predict
from napari_apprentice.loop.tuning import (
    begin_training,
    follow_training,
    resumable_training,
    running_training,
    stop_training,
)
from napari_apprentice.store.check import check
from napari_apprentice.store.study import Study

TINY = {"memory_mb": 20.0, "features": 4}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Four cases of four subjects; a block of label 1 in each, all accepted."""
    made = make_study(tmp_path, cases=4)
    for i in range(1, 5):
        labels = np.zeros(made.cases.info(f"c{i}").shape, np.uint8)
        labels[2:5, 2:6, 2:7] = 1
        made.revisions.save(f"c{i}", labels, np.ones_like(labels), Provenance("ann"))
        made.split.assign(f"s{i}")
    return made


def sound(study: Study) -> bool:
    return drain(check(study.path))[0] == ()


@pytest.mark.slow
def test_train_then_predict_in_processes_of_their_own(study: Study) -> None:
    report, seen = drain(follow_training(begin_training(study, "train", first_model_settings(2), **TINY)))
    assert report.active
    assert study.models.active() == report.model == "v0001"
    assert study.models.info("v0001").held_out == ("c3/r0001",)
    assert any(p.loss is not None for p in seen)
    engine = Engine()
    try:
        cases, _ = drain(predict(study, engine, ["c1", "c2"], PredictSettings()))
        assert cases == ("c1", "c2")
        assert study.predictions.has("c1", "v0001")
        child = engine.submit(study.runs.create("predict", _nothing()))
        assert child.poll() is None
    finally:
        engine.stop()
    assert not psutil.pid_exists(child.pid)
    assert "torch" not in _modules_after_predicting(study)
    assert sound(study)


@pytest.mark.slow
def test_a_killed_training_run_resumes_from_its_checkpoint(study: Study) -> None:
    settings = replace(first_model_settings(40), validate_every=5)
    run = begin_training(study, "train", settings, **TINY)
    work = follow_training(run)
    while next(work).done < 10:
        pass
    with pytest.raises(RunError, match="still training"):
        begin_training(study, "train", first_model_settings(2), **TINY)
    _pid(run).kill()
    with pytest.raises(RunError, match="killed"):
        drain(work)
    assert not is_running(run)
    assert running_training(study) is None
    assert study.models.names() == ()
    assert sound(study)
    found = resumable_training(study)
    assert found is not None
    report, seen = drain(follow_training(found))
    assert report.steps == 40
    assert min(p.done for p in seen if p.loss is not None) > 5
    assert sound(study)


@pytest.mark.slow
def test_of_two_trainings_begun_at_once_one_is_refused(study: Study) -> None:
    first, second = (begin_training(study, "train", first_model_settings(400), **TINY) for _ in range(2))
    work = follow_training(first)
    next(work)
    with pytest.raises(RunError, match="still training"):
        next(follow_training(second))
    assert study.runs.ids() == (first.run_id,)
    with pytest.raises(Cancelled):
        drain(stop_training(first))
    assert sound(study)


def test_a_run_that_is_stopped_before_its_process_is_there_was_not_killed(study: Study) -> None:
    run = begin_training(study, "train", first_model_settings(2), **TINY)
    with pytest.raises(Cancelled, match="before its process began"):
        drain(stop_training(run))
    found = resumable_training(study)
    assert found is not None
    assert found.run_id == run.run_id


def test_a_run_that_was_killed_is_not_said_to_have_been_stopped_before_it_began(study: Study) -> None:
    run = begin_training(study, "train", first_model_settings(2), **TINY)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        run.emit(started(process.pid))
        process.kill()
    with pytest.raises(RunError, match="was killed, perhaps for want of memory"):
        drain(stop_training(run))


@pytest.mark.slow
def test_a_run_killed_before_its_first_checkpoint_can_go_on(study: Study) -> None:
    run = begin_training(study, "train", first_model_settings(2), **TINY)
    work = follow_training(run)
    next(work)
    _pid(run).kill()
    with pytest.raises(RunError, match="killed"):
        drain(work)
    found = resumable_training(study)
    assert found is not None
    assert drain(follow_training(found))[0].model == "v0001"


@pytest.mark.slow
def test_a_copied_study_keeps_to_itself(study: Study, tmp_path: Path) -> None:
    begin_training(study, "train", first_model_settings(1), **TINY)
    shutil.copytree(study.path, tmp_path / "copy.study")
    copy = Study.open(tmp_path / "copy.study")
    found = resumable_training(copy)
    assert found is not None
    drain(follow_training(found))
    assert (copy.models.names(), study.models.names()) == (("v0001",), ())


@pytest.mark.slow
def test_cancel_keeps_the_checkpoint_and_resume_goes_on_from_it(study: Study) -> None:
    run = begin_training(study, "train", first_model_settings(20), **TINY)
    work = follow_training(run)
    while next(work).loss is None:
        pass
    run.cancel()
    with pytest.raises(Cancelled):
        drain(work)
    assert (run.path / "checkpoint").is_dir()
    found = resumable_training(study)
    assert found is not None
    assert found.run_id == run.run_id
    report, seen = drain(follow_training(found))
    assert report.steps == 20
    assert min(p.done for p in seen if p.loss is not None) > 1
    assert sound(study)


@pytest.mark.slow
def test_a_run_goes_on_without_the_one_who_started_it(study: Study) -> None:
    run = begin_training(study, "train", first_model_settings(30), **TINY)
    work = follow_training(run)
    next(work)
    work.close()  # the window is closed
    found = running_training(Study.open(study.path))
    assert found is not None
    report, _ = drain(follow_training(found))  # another session watches it again
    assert report.model == "v0001"


@pytest.mark.slow
def test_what_the_child_refuses_reaches_the_person(study: Study) -> None:
    engine = Engine()
    try:
        with pytest.raises(ModelError, match="no model version"):
            drain(predict(study, engine, ["c1"], PredictSettings()))
        with pytest.raises(ModelError, match="v0009"):
            drain(predict(study, engine, ["c1"], PredictSettings(), "v0009"))
        drain(follow_training(begin_training(study, "train", first_model_settings(1), **TINY)))
        with pytest.raises(InputError, match="nowhere"):
            drain(predict(study, engine, ["nowhere"], PredictSettings()))
    finally:
        engine.stop()


def test_nothing_to_learn_from_is_said_before_a_process_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = make_study(tmp_path)
    run = begin_training(empty, "train", first_model_settings(5), **TINY)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("it was started"))
    with pytest.raises(ModelError, match="no correction to learn from yet"):
        drain(follow_training(run))
    assert empty.runs.ids() == ()


def test_a_fine_tune_after_which_nothing_was_corrected_is_not_started(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "weights"
    weights.write_bytes(b"of three, and one is held out")
    sides = ("c1/r0001", "c2/r0001", "c4/r0001"), ("c3/r0001",)
    made = ModelVersion("v0001", None, now(), make_plan(), study.schema, *sides, None, {}, 0, {}, "")
    study.models.register(made, weights)
    study.models.activate("v0001", "by hand")
    run = begin_training(study, "fine-tune", TrainSettings(steps=1))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("it was started"))
    with pytest.raises(ModelError, match="no correction to learn from since the active model version was made"):
        drain(follow_training(run))
    study.revisions.save("c1", *study.revisions.read("c1", "r0001"), Provenance("ann"))
    with pytest.raises(pytest.fail.Exception, match="it was started"):
        drain(follow_training(begin_training(study, "fine-tune", TrainSettings(steps=1))))


def test_a_child_that_cannot_write_says_the_disk(study: Study) -> None:
    run = study.runs.create("train", {})
    child = subprocess.Popen([sys.executable, "-c", f"raise SystemExit({DISK_FAILED})"])
    with pytest.raises(Exception, match="full or cannot be written"):
        drain(follow(run, child))


def _modules_after_predicting(study: Study) -> list[str]:
    """What a parent has imported after a prediction; asked in a process that no test has imported into."""
    script = (
        "import json, sys\nfrom pathlib import Path\nfrom napari_apprentice.session import Session\n"
        "session = Session('ann')\nsession.open_study(Path(sys.argv[1]))\n"
        "assert len(list(session.predict(['c1']))) > 0\nsession.close()\nprint(json.dumps(sorted(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", script, str(study.path)], capture_output=True, text=True, check=True)
    modules: list[str] = json.loads(ran.stdout)
    return modules


def _nothing() -> dict[str, object]:
    return {"model": "v0001", "cases": [], "settings": PredictSettings().to_json()}


def _pid(run) -> psutil.Process:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        starts = [e for e in run.events()[0] if e["event"] == "started"]
        if starts:
            return psutil.Process(starts[-1]["pid"])
        time.sleep(0.05)
    raise TimeoutError


@pytest.mark.slow
def test_two_processes_train_together_and_one_of_them_reports(study: Study) -> None:
    settings = replace(first_model_settings(8, device="cpu"), devices=2, validate_every=4)
    run = begin_training(study, "train", settings, **TINY)
    report, seen = drain(follow_training(run))
    assert report.active
    assert [p.done for p in seen if p.dice is not None] == [4, 8]
    assert sum(e["event"] == "done" for e in run.events()[0]) == 1
    assert sound(study)
