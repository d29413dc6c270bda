"""Slabs that appear in a real window while a process of its own predicts, and a person who works meanwhile."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from driving import Person
from models import add_model
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QEnterEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from slab_engine import PROGRAM, Gate

from builders import SHAPE
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.records import Prediction
from napari_apprentice.core.slabs import PredictedSlab
from napari_apprentice.gui.status_line import job_text
from napari_apprentice.loop.engine import Engine
from napari_apprentice.store.study import Study

pytestmark = pytest.mark.window


class KeptEngine(Engine):
    """A real engine that stays from one window to the next: its process starts once."""

    def stop(self) -> None:
        """Nothing: the next test goes on with it."""

    def end(self) -> None:
        """End its process."""
        super().stop()


@pytest.fixture(scope="module")
def engine() -> Iterator[KeptEngine]:
    made = KeptEngine(program=("-c", PROGRAM))
    yield made
    made.end()


@pytest.fixture
def unstarted(engine: KeptEngine) -> Engine:
    """An engine whose process is not there when the case opens: one that is would be warmed then."""
    engine.end()
    return engine


@pytest.fixture
def gate(study: Study, person: Person, tmp_path: Path, engine: KeptEngine) -> Iterator[Gate]:
    """Case c1 open in a window whose prediction process stops where it is told."""
    add_model(study, tmp_path)
    person.session._engines._engines["auto"] = engine
    person.open_study(study.path)
    person.open_case("c1")
    made = Gate(study.path)
    yield made
    made.open()


def labels(person: Person) -> np.ndarray:
    return person.session.case.canvas.labels


def predicted(person: Person) -> list[int]:
    return [z for z in range(SHAPE[0]) if (labels(person)[z] == 2).any()]


def look_at(person: Person, z: int) -> None:
    person.viewer.dims.set_current_step(person.viewer.dims.ndim - 3, z)
    person.wait(lambda: person.desk.layers.z_shown() == z)


def test_the_slice_on_the_screen_comes_first_and_the_next_one_follows_the_eye(person: Person, gate: Gate) -> None:
    look_at(person, 4)
    gate.stop_at(SHAPE[0] - 1)
    person.click(person.dock.predict_panel.this_case)
    person.wait(lambda: predicted(person) == [4])
    shown = person.desk.layers.labels._slice.image.raw  # what napari draws
    person.wait(lambda: (np.asarray(person.desk.layers.labels._slice.image.raw) == 2).any())
    assert np.asarray(shown).shape
    assert not person.session.study.predictions.has("c1", "v0001")  # not before it is whole
    look_at(person, 1)
    person.rest(0.4)
    gate.stop_at(SHAPE[0] - 2)
    person.wait(lambda: predicted(person) == [1, 4])
    gate.open()
    person.wait(lambda: person.desk.models.prediction is None)
    person.settle()
    assert (labels(person) == 2).all()
    assert not person.session.case.canvas.status.any()
    assert np.shares_memory(person.desk.layers.labels.data, labels(person))
    assert (person.desk.layers.uncertainty.data == 2).all()
    assert person.session.case.model == "v0001"
    assert person.desk.facts.now.row("c1").quality == 0.5
    assert person.complaints == []


def test_strokes_drawn_while_slabs_arrive_survive_them(person: Person, gate: Gate, study: Study) -> None:
    look_at(person, 3)
    gate.stop_at(4)
    person.click(person.dock.predict_panel.this_case)
    person.wait(lambda: len(predicted(person)) == 2)
    look_at(person, 0)  # not predicted yet
    assert predicted(person) == [2, 3]
    person.press(Qt.Key.Key_1)
    person.drag()
    mine = labels(person) == 1
    assert mine.any()
    gate.open()
    person.wait(lambda: person.desk.models.prediction is None)
    person.settle()
    person.wait(lambda: (labels(person)[~mine] == 2).all())
    assert (labels(person)[mine] == 1).all()
    assert (person.session.case.canvas.status[mine] == 2).all()
    assert person.session.case.unsaved == 1
    person.wait(lambda: "started from prediction by v0001" in person.dock.correct_panel.case.text(), 5)
    person.wait(lambda: person.desk.layers.uncertainty is not None)
    person.session.flush()
    strokes = study.journal.read("c1").strokes
    assert len(strokes) == 1
    person.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert (labels(person) == 2).all()
    person.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert (labels(person)[mine] == 1).all()
    assert person.complaints == []


def test_a_prediction_with_a_label_that_is_newer_than_the_open_case_opens_it_again(
    person: Person, study: Study, tmp_path: Path
) -> None:
    add_model(study, tmp_path)
    person.open_study(study.path)
    person.open_case("c1")
    person.press(Qt.Key.Key_1)
    person.drag()
    mine = labels(person) == 1
    assert mine.any()
    other = Study.open(study.path)  # another program
    other.set_schema(LabelSchema((*other.schema.labels, replace(other.schema.labels[0], id=300, name="wide"))))
    wide = np.full(SHAPE, 300, np.uint16)
    other.predictions.write("c1", "v0001", Prediction(wide, np.zeros(SHAPE, np.uint8), {300: 0.5}))
    request = person.session.begin_prediction(["c1"])
    person.desk.arriving._arrived.append((request, "c1", PredictedSlab(0, 1, wide[:1], wide[:1].astype(np.uint8))))
    person.desk.arriving.begin(request)
    person.wait(lambda: not person.desk.arriving._arrived)
    assert set(np.unique(labels(person))) <= {0, 1}  # there is no room for it
    person.desk.arriving.over(request)
    person.desk.arriving.end(request, ("c1",))
    person.wait(lambda: (labels(person)[~mine] == 300).all())
    assert (labels(person)[mine] == 1).all()
    assert np.shares_memory(person.desk.layers.labels.data, labels(person))
    assert person.complaints == []


@pytest.mark.slow
def test_another_model_version_made_active_meanwhile_is_no_fault_of_the_prediction(
    person: Person, gate: Gate, study: Study, tmp_path: Path
) -> None:
    gate.stop_at(4)
    person.click(person.dock.predict_panel.this_case)
    person.wait(lambda: len(predicted(person)) == 2)
    person.press(Qt.Key.Key_1)
    person.drag()
    mine = labels(person) == 1
    assert mine.any()
    add_model(study, tmp_path, "v0002")
    person.session.activate("v0002")
    person.wait(lambda: person.desk.facts.now.active == "v0002")
    gate.open()
    person.wait(lambda: person.desk.models.prediction is None)
    person.settle()
    person.wait(lambda: (labels(person)[~mine] == 2).all())
    assert (labels(person)[mine] == 1).all()
    assert person.complaints == []
    assert "That was v0001; v0002 is active now" in person.said[-1]


def test_a_slab_waits_for_the_end_of_a_stroke(person: Person, gate: Gate) -> None:
    look_at(person, 3)
    gate.stop_at(SHAPE[0])
    person.click(person.dock.predict_panel.this_case)
    person.wait(lambda: person.desk.models.prediction.last is not None)
    person.press(Qt.Key.Key_1)
    canvas = person.canvas
    at = QPoint(canvas.width() // 2, canvas.height() // 2)
    QTest.mouseMove(canvas, at)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)
    person.rest(0.05)
    QTest.mouseMove(canvas, at + QPoint(30, 10))
    person.wait(lambda: person.desk.layers.mid_stroke)
    drawn = (labels(person) == 1).copy()
    assert drawn.any()
    gate.open()  # every slab arrives now
    person.wait(lambda: len(person.desk.arriving._arrived) == SHAPE[0])
    person.rest(0.1)
    assert predicted(person) == []
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at + QPoint(30, 10))
    person.wait(lambda: predicted(person) == list(range(SHAPE[0])))
    assert (labels(person)[drawn] == 1).all()
    assert person.session.case.unsaved == 1
    person.settle()
    assert person.complaints == []


@pytest.mark.slow
def test_a_prediction_pressed_again_takes_the_place_of_the_first_quietly(person: Person, gate: Gate) -> None:
    gate.stop_at(4)
    person.click(person.dock.predict_panel.this_case)
    person.wait(lambda: len(predicted(person)) == 2)
    first = person.desk.models.prediction
    person.click(person.dock.predict_panel.this_case)
    assert person.desk.models.prediction is not first
    gate.open()
    person.wait(lambda: person.desk.models.prediction is None)
    person.settle()
    assert (labels(person) == 2).all()
    assert person.complaints == []
    events = [person.session.study.runs.open(r).events()[0][-1]["event"] for r in person.session.study.runs.ids()]
    assert sorted(events) == ["cancelled", "done"]


def test_a_cancelled_prediction_leaves_no_half_behind(person: Person, gate: Gate, study: Study) -> None:
    gate.stop_at(3)
    person.click(person.dock.predict_panel.this_case)
    person.wait(lambda: len(predicted(person)) == 3)
    person.desk.models.prediction.cancel()
    person.wait(lambda: person.desk.models.prediction is None, 2)
    person.settle()
    assert not study.predictions.has("c1", "v0001")
    assert list((study.cases.folder("c1") / "predictions").glob(".*")) == []
    person.wait(lambda: not labels(person).any())  # nobody worked on it: as it was
    assert person.complaints == []


def test_the_case_on_the_screen_is_predicted_while_others_wait(person: Person, gate: Gate, study: Study) -> None:
    gate.stop_at(3)
    person.open_case("c2")
    person.click(person.dock.predict_panel.all_open)
    person.wait(lambda: person.desk.models.prediction.last is not None)
    assert not person.dock.predict_panel.all_open.isEnabled()
    assert person.dock.predict_panel.this_case.isEnabled()
    gate.stop_at(2)
    person.click(person.dock.predict_panel.this_case)
    gate.open()
    person.wait(lambda: person.desk.models.prediction is None)
    person.settle()
    assert all(study.predictions.has(c, "v0001") for c in ("c1", "c2"))
    assert (labels(person) == 2).all()
    assert person.complaints == []


@pytest.mark.usefixtures("gate")
def test_a_case_that_is_refused_half_way_is_told_and_the_others_are_kept(person: Person, study: Study) -> None:
    (study.path / "refuse c1").touch()
    others = [case_id for case_id in study.cases.ids() if case_id != "c1"]
    person.click(person.dock.predict_panel.all_open)
    person.wait(lambda: person.complaints)
    assert person.complaints == [
        f"1 of {len(others) + 1} cases could not be predicted; the others are.\nc1: it is damaged"
    ]
    assert [case_id for case_id in study.cases.ids() if study.predictions.has(case_id, "v0001")] == others
    person.wait(lambda: any(s.startswith("Predicted ") for s in person.said))
    person.wait(lambda: person.session.case is not None and not labels(person).any())  # what had come of it is gone


@pytest.mark.slow
@pytest.mark.usefixtures("gate")
def test_a_prediction_that_found_nothing_says_so(person: Person, study: Study) -> None:
    person.click(person.dock.predict_panel.this_case)
    person.wait(lambda: any(s.startswith("Predicted c1 on ") for s in person.said))
    assert "No label" not in person.said[-1]
    (study.path / "empty").touch()
    person.settle()
    person.click(person.dock.predict_panel.this_case)
    person.wait(lambda: any(s.endswith("No label was found.") for s in person.said))


@pytest.mark.slow
@pytest.mark.usefixtures("unstarted", "gate")
def test_the_process_starts_when_the_mouse_comes_near_and_stays_for_the_press(
    person: Person, unstarted: Engine
) -> None:
    engine = unstarted
    assert engine._process is None
    here = QPointF(5, 5)
    QApplication.sendEvent(person.dock.predict_panel, QEnterEvent(here, here, here))
    person.wait(lambda: engine._process is not None)
    process = engine._process
    person.click(person.dock.predict_panel.this_case)
    assert "loaded first" in job_text(person.desk.models.prediction)
    person.wait(lambda: person.desk.models.prediction is None)
    person.settle()
    person.click(person.dock.predict_panel.this_case)
    assert job_text(person.desk.models.prediction) == "Predicting ..."
    person.wait(lambda: person.desk.models.prediction is None)
    person.settle()
    assert engine._process is process
    assert (labels(person) == 2).all()
    assert person.complaints == []


@pytest.mark.slow
@pytest.mark.usefixtures("gate")
def test_the_mouse_near_the_buttons_begins_a_case_that_is_not_predicted_yet(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[str, int | None]] = []
    monkeypatch.setattr(person.session, "warm_up", lambda _settings, case: begun.append(case))

    def come_near() -> None:
        here = QPointF(5, 5)
        QApplication.sendEvent(person.dock.predict_panel, QEnterEvent(here, here, here))
        person.settle()

    look_at(person, 4)
    come_near()
    come_near()  # on the way back
    assert begun == [("c1", 4)]
    person.open_case("c2")
    come_near()
    assert [case for case, _ in begun] == ["c1", "c2"]
    person.click(person.dock.predict_panel.this_case)
    person.wait(lambda: person.desk.models.prediction is None)
    person.settle()
    look_at(person, 2)
    come_near()
    assert begun[2:] == [("", None)]


@pytest.mark.usefixtures("unstarted", "gate")
def test_a_process_that_is_there_begins_a_case_that_is_opened(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[str, int | None]] = []
    monkeypatch.setattr(person.session, "warm_up", lambda _settings, case: begun.append(case))
    person.rest(1.0)
    assert begun == []  # there is no process yet
    person.click(person.dock.predict_panel.this_case)
    person.wait(lambda: person.desk.models.prediction is None)
    person.open_case("c2")
    person.wait(lambda: begun == [("c2", person.desk.layers.z_shown())], 5)
    person.open_case("c1")
    person.rest(1.0)
    assert len(begun) == 1  # c1 is predicted already


@pytest.mark.slow
@pytest.mark.usefixtures("gate")
def test_model_versions_that_are_chosen_predict_together(person: Person, study: Study, tmp_path: Path) -> None:
    panel = person.dock.predict_panel
    assert not panel.ensemble.isVisibleTo(panel)
    add_model(study, tmp_path, "v0002")
    person.session.events.models_changed.emit()
    person.wait(lambda: person.desk.facts.now.active == "v0002")
    panel.ensemble.actions_of["v0001"].trigger()
    assert panel.ensemble.button.text() == "v0001"
    person.click(panel.this_case)
    person.wait(lambda: study.predictions.has("c1", "v0002"))
    assert study.predictions.made("c1", "v0002")["settings"]["ensemble"] == "v0001"
    person.wait(lambda: person.desk.models.prediction is None)
    person.settle()
    assert person.complaints == []
