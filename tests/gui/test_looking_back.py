"""Looking back in a real window: the history of a case, a revision as a layer, two compared, one restored."""

import json
from pathlib import Path

import numpy as np
import pytest
from driving import Person
from models import add_model, add_prediction
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from builders import SHAPE
from napari_apprentice.core.records import Provenance
from napari_apprentice.gui.history_panel import HistoryPanel
from napari_apprentice.store.study import Study

pytestmark = pytest.mark.window

SHIFT = Qt.KeyboardModifier.ShiftModifier


def save(study: Study, author: str, parent: str | None, *painted: tuple[slice, slice, slice], label: int = 1) -> None:
    """Store a revision of c1 with boxes of one label."""
    labels = np.zeros(SHAPE, np.uint8)
    for box in painted:
        labels[box] = label
    changed = {str(label): int((labels != 0).sum())}
    made = Provenance(author, parent, None, 90.0, len(painted), changed)
    study.revisions.save("c1", labels, 2 * (labels != 0).astype(np.uint8), made)


SMALL = (slice(1, 2), slice(1, 3), slice(1, 3))
LARGE = (slice(3, 5), slice(4, 8), slice(5, 9))


@pytest.fixture
def history(person: Person, study: Study) -> HistoryPanel:
    """The history of c1, which has two revisions, beside the open case."""
    save(study, "Ada", None, SMALL)
    save(study, "Bob", "r0001", LARGE, label=2)
    person.open_study(study.path)
    person.open_case("c1")
    person.click(person.dock.correct_panel.history)
    panel = person.viewer.window.dock_widgets["History"]
    person.wait(lambda: panel.table.rowCount() == 2)
    panel.person = person
    return panel


def select(panel: HistoryPanel, *rows: int) -> None:
    panel.table.clearSelection()
    for row in rows:
        modifiers = Qt.KeyboardModifier.NoModifier if row == rows[0] else Qt.KeyboardModifier.ControlModifier
        centre = panel.table.visualItemRect(panel.table.item(row, 0)).center()
        QTest.mouseClick(panel.table.viewport(), Qt.MouseButton.LeftButton, modifiers, centre)
    panel.person.rest(0.05)


def cells(panel: HistoryPanel, row: int) -> list[str]:
    return [panel.table.item(row, column).text() for column in range(panel.table.columnCount())]


@pytest.mark.slow
def test_the_history_says_who_changed_what_and_what_learned_from_it(history: HistoryPanel) -> None:
    newest = cells(history, 0)
    assert newest[:2] == ["r0002", "Bob"]
    assert newest[3:8] == ["correction", "r0001", "", "1", "1.5"]
    assert newest[8] == "two 32"
    person = history.person
    person.press(Qt.Key.Key_1)
    person.drag()
    person.click(person.dock.correct_panel.save)
    person.wait(lambda: history.table.rowCount() == 3)
    assert cells(history, 0)[0] == "r0003"
    person.open_case("c2")
    person.wait(lambda: history.table.rowCount() == 0)
    assert "never saved" in history.guide.text()


@pytest.mark.slow
def test_the_history_knows_strokes_and_undos_a_moment_later(history: HistoryPanel) -> None:
    person = history.person
    person.press(Qt.Key.Key_1)
    person.drag()
    person.wait(lambda: history.table.rowCount() == 3)
    assert cells(history, 0)[0] == "not saved"
    assert "one" in cells(history, 0)[8]
    person.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    person.wait(lambda: cells(history, 0)[8] == "")


def test_a_revision_is_looked_at_where_it_lies_and_goes_with_the_case(history: HistoryPanel, study: Study) -> None:
    person = history.person
    select(history, 1)
    history.table.setFocus()
    QTest.keyClick(history.table, Qt.Key.Key_Return)
    person.wait(lambda: "r0001 (to look at)" in person.viewer.layers)
    person.settle()
    layer, labels = person.viewer.layers["r0001 (to look at)"], person.desk.layers.labels
    np.testing.assert_array_equal(layer.data, study.revisions.read("c1", "r0001")[0])
    for name in ("scale", "translate"):
        assert getattr(layer, name).tobytes() == getattr(labels, name).tobytes()
    assert layer.extent.world.tobytes() == labels.extent.world.tobytes()
    assert not layer.editable
    assert person.viewer.layers.selection.active is labels
    person.press(Qt.Key.Key_1)
    person.drag()
    assert person.session.case.unsaved == 1
    person.open_case("c2")
    assert [x.name for x in person.viewer.layers] == ["c2", "Status", "Corrections"]


def test_two_revisions_are_compared_gone_through_by_keyboard_and_written_as_an_audit(
    history: HistoryPanel, tmp_path: Path
) -> None:
    person = history.person
    assert not history.compare.isEnabled()
    select(history, 0, 1)
    assert history.compare.text() == "Compare both"
    person.click(history.compare)
    person.wait(lambda: history.differences.isVisible())
    person.settle()
    text = history.labels.text()
    assert text.startswith("r0001 and r0002: 36 voxels differ")
    assert "background to two 32; one to background 4" in text
    assert "only in r0002: <b>32</b>" in history.legend.text()
    assert "Place 1 of 2: 32 voxels, only in r0002" in history.places.text.text()
    layer, labels = person.desk._extras.get("differences"), person.desk.layers.labels
    assert layer.extent.world.tobytes() == labels.extent.world.tobytes()
    assert (layer.data[SMALL] == 1).all()
    assert (layer.data[LARGE] == 2).all()
    assert person.desk.layers.slice_shown()[1] in (3, 4)
    outline = person.desk._extras.get("place")
    np.testing.assert_allclose(outline.data_to_world((1, 1, 1)), labels.data_to_world((3, 4, 5)), atol=1e-9)
    person.press(Qt.Key.Key_J)
    assert person.desk._extras.get("place") is outline, "napari takes long to remove a layer"
    np.testing.assert_allclose(outline.data_to_world((1, 1, 1)), labels.data_to_world((1, 1, 1)), atol=1e-9)
    assert "Place 2 of 2: 4 voxels, only in r0001" in history.places.text.text()
    assert person.desk.layers.slice_shown()[1] == 1
    person.press(Qt.Key.Key_J, SHIFT)
    assert "Place 1 of 2" in history.places.text.text()
    person.click(history.end)
    assert not history.differences.isVisible()
    assert [x.name for x in person.viewer.layers] == ["c1", "Status", "Corrections"]
    history.audit_requested.emit(tmp_path / "audit.json")
    history.audit_requested.emit(tmp_path / "audit.csv")
    person.settle()
    rows = json.loads((tmp_path / "audit.json").read_text())["rows"]
    assert [row["author"] for row in rows] == ["Ada", "Bob"]
    assert "r0002" in (tmp_path / "audit.csv").read_text()


@pytest.mark.slow
def test_one_revision_is_compared_with_what_is_on_the_screen(history: HistoryPanel) -> None:
    person = history.person
    select(history, 0)
    assert history.compare.text() == "Compare with screen"
    person.click(history.compare)
    person.wait(lambda: history.differences.isVisible())
    assert "No label differs" in history.labels.text()
    person.press(Qt.Key.Key_1)
    person.drag()
    assert "You painted since" in history.labels.text()
    person.click(history.compare)
    person.wait(lambda: "two to one" in history.labels.text() or "background to one" in history.labels.text())
    person.viewer.layers.remove(person.desk._extras.get("differences"))
    person.rest(0.05)
    assert not history.differences.isVisible()
    assert person.complaints == []


def test_a_revision_is_restored_in_front_of_the_person(history: HistoryPanel, study: Study) -> None:
    person = history.person
    person.press(Qt.Key.Key_1)
    person.drag()
    select(history, 1)
    person.click(history.restore)
    person.wait(lambda: person.complaints)
    assert "strokes that are in no revision yet; save them first" in person.complaints[0]
    person.settle()
    assert study.revisions.names("c1") == ("r0001", "r0002")
    person.click(person.dock.correct_panel.save)
    person.settle()
    person.wait(lambda: history.table.rowCount() == 3)
    select(history, 2)
    assert history.table.selected() == ("r0001",)
    person.click(history.restore)
    person.wait(lambda: history.table.rowCount() == 4)
    person.settle()
    assert cells(history, 0)[3:5] == ["restore", "r0001"]
    labels = person.desk.layers.labels
    assert labels.data is person.session.case.canvas.labels
    np.testing.assert_array_equal(labels.data, study.revisions.read("c1", "r0001")[0])
    assert labels.editable
    person.drag((0.4, 0.4))
    assert person.session.case.unsaved == 1


@pytest.mark.slow
def test_the_history_opens_once_and_again_after_it_was_closed(history: HistoryPanel) -> None:
    person = history.person
    button = person.dock.correct_panel.history
    person.click(button)
    assert person.viewer.window.dock_widgets["History"] is history
    person.viewer.window.remove_dock_widget(history)
    person.click(button)
    person.rest(0.1)
    again = person.viewer.window.dock_widgets["History"]
    assert again is not history
    person.wait(lambda: again.table.rowCount() == 2)


@pytest.mark.slow
def test_the_prediction_is_shown_under_what_was_corrected(person: Person, study: Study, tmp_path: Path) -> None:
    for name, label in (("v0001", 1), ("v0002", 2)):
        add_model(study, tmp_path, name)
        add_prediction(study, "c1", label, name)
    person.open_study(study.path)
    person.open_case("c1")
    box, model = person.dock.correct_panel.prediction, person.dock.correct_panel.overlays.model
    person.press(Qt.Key.Key_1)
    person.drag()
    person.wait(box.isEnabled)
    box.click()
    person.wait(lambda: "Prediction by v0002" in person.viewer.layers)
    layer = person.viewer.layers["Prediction by v0002"]
    assert (layer.data == 2).all()
    assert not layer.editable
    assert layer.extent.world.tobytes() == person.desk.layers.labels.extent.world.tobytes()
    assert (person.session.case.canvas.labels == 1).any()
    assert [model.itemText(i) for i in range(model.count())] == ["Prediction by v0002", "Prediction by v0001"]
    assert model.isVisibleTo(person.dock)
    model.setCurrentIndex(1)
    model.activated.emit(1)
    person.wait(lambda: "Prediction by v0001" in person.viewer.layers)
    assert "Prediction by v0002" not in person.viewer.layers
    person.open_case("c2")
    assert not box.isEnabled(), "nobody predicted it"
    assert "Prediction by v0001" not in person.viewer.layers
    person.open_case("c1")
    person.wait(lambda: "Prediction by v0002" in person.viewer.layers)
    person.viewer.layers.remove("Prediction by v0002")
    person.rest(0.05)
    assert not box.isChecked(), "deleting the layer is a way of not wanting it"


def test_a_box_is_accepted_by_drawing_a_rectangle(person: Person, study: Study) -> None:
    person.open_study(study.path)
    person.open_case("c1")
    person.viewer.dims.set_current_step(0, 2)
    panel = person.dock.correct_panel
    panel.accept.slices.setValue(3)
    person.click(panel.accept_box)
    assert panel.accept_box.isChecked()
    person.drag((0.45, 0.45), (80, 60))
    person.wait(lambda: not panel.accept_box.isChecked())
    person.rest(0.05)
    status = person.session.case.canvas.status
    planes = [int(n) for n in (status == 1).sum(axis=(1, 2))]
    assert planes[1] == planes[2] == planes[3] > 0
    assert planes[0] == planes[4] == planes[5] == 0
    assert (status == 1).sum() < status.size / 2
    assert person.session.case.unsaved == 1
    assert [x.name for x in person.viewer.layers] == ["c1", "Status", "Corrections"]
    assert person.viewer.layers.selection.active is person.desk.layers.labels
    person.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not status.any()
    person.click(panel.accept_box)
    person.press(Qt.Key.Key_Escape)
    person.rest(0.05)
    assert not panel.accept_box.isChecked()
    person.viewer.dims.ndisplay = 3
    person.click(panel.accept_box)
    assert "leave the 3D view" in person.complaints[0]
    assert not panel.accept_box.isChecked()
    person.viewer.dims.ndisplay = 2
