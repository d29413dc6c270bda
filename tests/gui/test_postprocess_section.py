"""Steps of every label in the dock: written, suggested, taken, applied."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from models import add_model
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLineEdit

from builders import SHAPE, volume
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.postprocess import steps_of
from napari_apprentice.core.records import Prediction, Provenance
from napari_apprentice.gui.bridge import Bridge
from napari_apprentice.gui.facts import FactsReader
from napari_apprentice.gui.postprocess_section import AFTER, BEFORE, LABEL, STEPS, PostprocessSection
from napari_apprentice.gui.work import Runner
from napari_apprentice.gui.yielding import Yielding
from napari_apprentice.session import Session
from napari_apprentice.store.study import Study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Four corrected cases, two of them held out; in each prediction the liver has an island."""
    made = Study.create(tmp_path / "test.study", LabelSchema.from_names(["liver", "cyst"]))
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:5, 1:6, 1:6] = 1
    add_model(made, tmp_path)
    for n in range(4):
        case = f"c{n}"
        made.cases.add(case, f"s{n}", volume(n, f"{case}.nii.gz"))
        made.split.assign(f"s{n}", side="validation" if n > 1 else "train")
        made.revisions.save(case, labels, np.ones(SHAPE, np.uint8), Provenance("ann"))
        predicted = labels.copy()
        predicted[0, 0, 8:] = 1
        made.predictions.write(case, "v0001", Prediction(predicted, np.zeros(SHAPE, np.uint8), {1: 0.9}))
    return made


class Desk:
    """What the section is given in the window."""

    def __init__(self, qtbot: QtBot) -> None:
        self.session = Session("ann")
        self.runner = Runner("log")
        self.told: list[str] = []
        self.runner.went_wrong.connect(self.told.append)
        self.bridge = Bridge(self.session)
        self.facts = FactsReader(self.session, self.bridge, self.runner)
        self.section = PostprocessSection(self.session, self.runner, self.facts)
        qtbot.addWidget(self.section)
        self._qtbot = qtbot

    def text(self, row: int, column: int) -> str:
        item = self.section.table.item(row, column)
        return item.text() if item else ""

    def open(self, study: Study) -> None:
        self.session.open_study(study.path)
        self._qtbot.waitUntil(lambda: self.section.table.rowCount() == 2 and self.section.suggest.isEnabled())

    def close(self) -> None:
        for part in (self.runner, self.facts, self.bridge, self.session):
            part.close()


@pytest.fixture
def desk(qtbot: QtBot) -> Iterator[Desk]:
    made = Desk(qtbot)
    yield made
    made.close()


def test_steps_are_written_into_the_table_and_kept(qtbot: QtBot, desk: Desk, study: Study) -> None:
    desk.open(study)
    assert [desk.text(n, LABEL) for n in (0, 1)] == ["liver", "cyst"]
    desk.section.table.item(0, STEPS).setText("holes, largest")
    qtbot.waitUntil(lambda: desk.text(0, STEPS) == "largest, holes")  # in the order in which they are done
    assert desk.session.postprocessing().to_json() == {"1": ["largest", "holes"]}
    desk.section.table.item(0, STEPS).setText("")
    assert not desk.session.postprocessing()


def test_steps_that_somebody_else_chose_meanwhile_stay(qtbot: QtBot, desk: Desk, study: Study) -> None:
    desk.open(study)
    other = Session("bob")
    other.open_study(study.path)
    other.set_postprocessing({1: steps_of("largest")})
    desk.section.table.item(1, STEPS).setText("holes")
    assert desk.session.postprocessing().to_json() == {"1": ["largest"], "2": ["holes"]}
    qtbot.waitUntil(lambda: desk.text(0, STEPS) == "largest")  # and is seen
    other.close()


def test_steps_of_two_labels_typed_in_a_row_are_both_kept(desk: Desk, study: Study) -> None:
    desk.open(study)
    desk.section.table.item(0, STEPS).setText("holes")
    desk.section.table.item(1, STEPS).setText("largest")  # before the table has read the first one back
    assert desk.session.postprocessing().to_json() == {"1": ["holes"], "2": ["largest"]}


def test_a_threshold_stays_when_proved_steps_are_taken(qtbot: QtBot, desk: Desk, study: Study) -> None:
    desk.open(study)
    desk.section.table.item(0, STEPS).setText("threshold:0.7")
    qtbot.waitUntil(lambda: desk.text(0, STEPS) == "threshold:0.7")
    desk.section.suggest.click()
    qtbot.waitUntil(desk.section.take.isEnabled)
    desk.section.take.click()
    assert desk.session.postprocessing().to_json() == {"1": ["threshold:0.7", "largest"]}


def test_a_step_that_does_not_exist_is_told_and_not_kept(desk: Desk, study: Study) -> None:
    desk.open(study)
    desk.section.table.item(1, STEPS).setText("lagest")
    assert "no post-processing step 'lagest'" in desk.told[0]
    assert desk.text(1, STEPS) == ""
    assert not desk.session.postprocessing()


def test_a_suggestion_is_shown_with_its_figures_and_taken_when_asked(qtbot: QtBot, desk: Desk, study: Study) -> None:
    desk.open(study)
    assert not desk.section.take.isEnabled()
    desk.section.suggest.click()
    qtbot.waitUntil(lambda: desk.text(0, AFTER) == "1.000")
    assert desk.text(0, BEFORE) == "0.990"
    assert desk.text(0, STEPS) == ""  # shown, not taken
    assert "1 of 2 labels" in desk.section.told.text()
    assert "wins" in desk.section.table.item(0, AFTER).toolTip()
    qtbot.waitUntil(desk.section.take.isEnabled)
    desk.section.take.click()
    qtbot.waitUntil(lambda: desk.text(0, STEPS) == "largest")
    qtbot.waitUntil(desk.section.apply.isEnabled)
    desk.section.apply.click()
    qtbot.waitUntil(lambda: "4 stored predictions" in desk.section.told.text())
    assert study.predictions.read("c3", "v0001").labels[0, 0, 8] == 0
    assert desk.told == []


def test_without_a_study_nothing_can_be_asked_for(desk: Desk) -> None:
    section = desk.section
    assert not any(b.isEnabled() for b in (section.suggest, section.take, section.apply))
    assert section.table.rowCount() == 0


def test_steps_are_written_as_soon_as_one_types(desk: Desk, study: Study) -> None:
    Yielding(desk.section)
    desk.open(study)
    table = desk.section.table
    table.setCurrentCell(0, STEPS)
    QTest.keyClick(table, Qt.Key.Key_F)
    editor = table.findChild(QLineEdit)
    assert editor is not None
    assert editor.text() == "f"
