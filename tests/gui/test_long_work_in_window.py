"""Cancel, resume, find again, close: what happens to work that takes long."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from driving import Person
from engines import last_step, slow_process
from models import add_model
from qtpy.QtCore import Qt

from napari_apprentice.core.config import TrainSettings, first_model_settings
from napari_apprentice.core.gate import GateReport
from napari_apprentice.core.records import Provenance
from napari_apprentice.gui.status_line import StatusLine
from napari_apprentice.loop.engine import Engine
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study

pytestmark = pytest.mark.window

Processes = list["subprocess.Popen[str]"]


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    """Slow stand-ins for the processes that train and predict; none outlives the test."""
    started: Processes = []

    def start(run) -> "subprocess.Popen[str]":
        started.append(slow_process(run.path))
        return started[-1]

    monkeypatch.setattr("napari_apprentice.loop.tuning.start_training", start)
    monkeypatch.setattr(Engine, "submit", lambda _, run, *_stops: start(run))
    yield started
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def ready(person: Person, study: Study, tmp_path: Path) -> Person:
    """A study with a model version and a correction to learn from."""
    add_model(study, tmp_path)
    shape = study.cases.info("c1").shape
    study.revisions.save("c1", np.ones(shape, np.uint8), np.ones(shape, np.uint8), Provenance("me"))
    person.open_study(study.path)
    return person


def said(person: Person) -> str:
    (line,) = person.dock.findChildren(StatusLine)
    return str(line.text.text())


def cancel_in_status_line(person: Person) -> None:
    (line,) = person.dock.findChildren(StatusLine)
    person.click(line.cancel)


def begin_fine_tuning(person: Person) -> None:
    person.click(person.dock.tune_panel.fine_tune)
    person.wait(lambda: person.desk.models.training is not None and person.desk.models.training.last is not None)
    person.rest(0.4)


def test_a_first_model_is_trained_from_nothing(person: Person, study: Study, processes: Processes) -> None:
    panel = person.dock.tune_panel
    person.open_study(study.path)
    assert not panel.train_first.isEnabled()
    assert "nothing to learn from yet" in panel.step.text()
    shape = study.cases.info("c1").shape
    study.revisions.save("c1", np.ones(shape, np.uint8), np.ones(shape, np.uint8), Provenance("me"))
    person.desk.facts.refresh()
    person.wait(lambda: panel.train_first.isEnabled())
    assert not panel.fine_tune.isEnabled()
    person.click(panel.train_first)
    person.wait(lambda: person.desk.models.training is not None and person.desk.models.training.last is not None)
    run = person.desk.facts.now.running or study.runs.open(study.runs.ids()[-1])
    assert run.kind == "train"
    assert run.request["settings"]["rate"] == first_model_settings(0).rate != TrainSettings().rate
    assert len(processes) == 1


def test_training_is_cancelled_and_resumed(ready: Person, processes: Processes) -> None:
    panel = ready.dock.tune_panel
    begin_fine_tuning(ready)
    assert panel.cancel.isVisibleTo(panel)
    assert not panel.fine_tune.isEnabled()
    assert panel.curves.points[0] > 0
    assert "Step" in panel.step.text()
    ready.click(panel.cancel)
    ready.wait(lambda: ready.desk.models.training is None)
    ready.settle()
    assert said(ready) == "Training was cancelled; its checkpoint is kept."
    assert ready.complaints == []
    assert panel.resume.isVisibleTo(panel)
    ready.rest(0.3)
    assert ready.desk.models.training is None  # nobody took it up again by itself
    assert len(processes) == 1
    ready.click(panel.resume)
    ready.wait(lambda: ready.desk.models.training is not None and ready.desk.models.training.last is not None)
    assert len(processes) == 2
    assert processes[1].poll() is None


def test_a_run_that_is_done_is_told_once_and_that_another_would_make_the_same_again(
    ready: Person, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = ready.dock.tune_panel
    why = "no corrected scan is held out yet, so nothing proves that it is better"
    gate = GateReport((), passed=False, reason=why).to_json()
    result = {"model": "v0002", "active": False, "gate": gate, "steps": 1, "seconds": 1.0}
    started: list[subprocess.Popen[bytes]] = []

    def start(run: RunFolder) -> "subprocess.Popen[bytes]":
        version = study.models.info("v0001")
        study.models.register(replace(version, name="v0002", parent="v0001"), tmp_path / "w.safetensors")
        run.note({
            "plan": version.plan.to_json(), "revisions": [{"revision": "c1/r0001", "side": "train"}], "left_out": {},
            "schema": study.schema.to_json(), "retired": [], "libraries": {"torch": "2"},
        })  # fmt: skip
        word = json.dumps({"event": "done", "result": result})
        late = "import sys, time; time.sleep(0.5); open(sys.argv[1], 'a').write(sys.argv[2] + chr(10))"
        started.append(subprocess.Popen([sys.executable, "-c", late, str(run.path / "events.jsonl"), word]))
        return started[0]

    monkeypatch.setattr("napari_apprentice.loop.tuning.start_training", start)
    assert not panel.step.isVisibleTo(panel)
    ready.click(panel.fine_tune)
    ready.wait(lambda: panel.verdict.isVisibleTo(panel) and panel.fine_tune.isEnabled())
    assert why in panel.verdict.text()
    assert said(ready) == "Training is done: v0002 is kept as a candidate, not active."
    ready.wait(lambda: panel.step.text() == "v0002 has learned from all saved corrections already.")
    assert "choose other settings" in panel.step.toolTip()
    assert panel.step.isVisibleTo(panel)
    assert ready.complaints == []
    assert started[0].wait() == 0


def test_training_on_another_computer_is_watched_and_let_be_when_it_is_silent(ready: Person, study: Study) -> None:
    panel, settings = ready.dock.tune_panel, TrainSettings(steps=9).to_json()
    run = study.runs.create("fine-tune", {"base": "v0001", "settings": settings})
    run.emit({"event": "started", "pid": 1, "born": 0.0, "host": "ws3", "place": "0" * 16})
    run.emit({"event": "progress", "done": 1, "total": 9, "text": "Training", "loss": 1.0})
    ready.desk.facts.refresh()
    ready.wait(lambda: "Running on ws3. Training" in panel.step.text())
    assert panel.cancel.isVisibleTo(panel)
    os.utime(run.path / "events.jsonl", (1.0, 1.0))
    ready.wait(lambda: "no sign of life" in panel.step.text())
    assert "--resume --take-over" in panel.step.text()
    assert not panel.resume.isVisibleTo(panel)
    assert panel.fine_tune.isEnabled()
    assert ["no sign of life" in text for text in ready.complaints] == [True]


def test_training_goes_on_when_the_window_closes_and_is_found_again(
    ready: Person, processes: Processes, another_person: Callable[[], Person]
) -> None:
    begin_fine_tuning(ready)
    (run,) = ready.session.study.runs.ids()
    folder, study = ready.session.study.runs.root / run, ready.session.study.path
    ready.viewer.close()
    ready.rest(0.2)
    before = last_step(folder)
    ready.rest(0.5)
    assert processes[0].poll() is None
    assert last_step(folder) > before
    again = another_person()
    again.session.open_study(study)
    again.wait(lambda: again.desk.models.training is not None and again.desk.models.training.last is not None)
    again.rest(0.4)
    assert len(processes) == 1  # watched, not started anew
    assert again.dock.tune_panel.curves.points[0] >= before  # from the run's beginning
    again.click(again.dock.tune_panel.cancel)
    again.wait(lambda: again.desk.models.training is None)
    again.settle()
    assert processes[0].wait(10) == 0
    assert again.complaints == []
    again.viewer.close()


def test_a_prediction_is_cancelled_and_says_so(ready: Person, processes: Processes) -> None:
    ready.click(ready.dock.predict_panel.all_open)
    ready.wait(lambda: ready.desk.models.prediction.last is not None)
    assert not ready.dock.predict_panel.all_open.isEnabled()
    cancel_in_status_line(ready)
    ready.wait(lambda: ready.desk.models.prediction is None)
    ready.settle()
    assert said(ready) == "Prediction was cancelled; finished cases are kept."
    assert ready.dock.predict_panel.all_open.isEnabled()
    assert processes[0].wait(10) == 0
    assert ready.complaints == []


def test_another_study_leaves_training_alone_and_its_cancel_out_of_reach(
    ready: Person, processes: Processes, tmp_path: Path
) -> None:
    from builders import study as make_study

    begin_fine_tuning(ready)
    (tmp_path / "other").mkdir()
    ready.open_study(make_study(tmp_path / "other").path)
    ready.rest(0.3)
    assert ready.desk.models.training is None
    assert ready.desk.runner.shown is None
    assert processes[0].poll() is None
    assert ready.complaints == []


def test_a_model_version_is_activated_and_one_click_goes_back(ready: Person, tmp_path: Path) -> None:
    add_model(ready.session.study, tmp_path, "v0002")
    ready.desk.facts.refresh()
    models = ready.dock.tune_panel.models
    ready.wait(lambda: models.list.count() == 2)
    assert ready.desk.facts.now.active == "v0002"
    models.list.setCurrentRow(1)
    ready.click(models.activate)
    ready.wait(lambda: ready.desk.facts.now.active == "v0001")
    assert models.back.text() == "Back to v0002"
    ready.click(models.back)
    ready.wait(lambda: ready.desk.facts.now.active == "v0002")
    ready.press(Qt.Key.Key_N)
    ready.settle()
    assert ready.complaints == []
