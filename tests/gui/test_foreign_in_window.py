"""Another plugin writes into the Corrections layer, in place as napari's documentation shows it, or anew."""

from pathlib import Path
from threading import Event

import numpy as np
import pytest
from driving import Person
from models import add_model, add_prediction
from qtpy.QtCore import Qt

from napari_apprentice.store import revisions
from napari_apprentice.store.study import Study

pytestmark = pytest.mark.window

HERE = (slice(2, 4), slice(1, 5), slice(3, 8))


@pytest.fixture
def opened(person: Person, study: Study, tmp_path: Path) -> Person:
    """With case c1 open, which shows a prediction."""
    add_model(study, tmp_path)
    add_prediction(study, "c1", 1)
    person.open_study(study.path)
    person.open_case("c1")
    return person


def write(person: Person, label: int = 2) -> None:
    layer = person.desk.layers.labels
    layer.data[HERE] = label
    layer.refresh()
    person.rest(0.05)


def there(person: Person) -> bool:
    canvas = person.session.case.canvas
    return bool((canvas.labels[HERE] == 2).all() and (canvas.status[HERE] == 2).all())


def test_it_is_kept_when_the_next_case_is_opened(opened: Person) -> None:
    write(opened)
    opened.click(opened.dock.queue_panel.next)
    opened.wait(lambda: opened.session.case.info.case_id == "c2")
    opened.settle()
    assert "Another program changed the labels of c1 in 40 voxels" in opened.notices[-1]
    opened.open_case("c1")
    assert there(opened)


def test_it_is_saved_as_edited_and_undone_by_undo(opened: Person) -> None:
    write(opened)
    opened.click(opened.dock.correct_panel.save)
    opened.settle()
    labels, status = opened.session.study.revisions.read("c1", "r0001")
    assert (labels[HERE] == 2).all()
    assert (status[HERE] == 2).all()
    write(opened, 0)
    opened.click(opened.dock.correct_panel.undo)
    assert there(opened)


def test_it_is_kept_when_the_window_closes(opened: Person, study: Study) -> None:
    write(opened)
    opened.viewer.close()
    opened.rest(0.1)
    assert len(study.journal.read("c1").strokes) == 1


def test_it_is_kept_when_a_new_prediction_is_shown(opened: Person) -> None:
    write(opened)
    opened.desk.cases.reopen()
    opened.settle()
    assert there(opened)
    assert np.unique(opened.session.case.canvas.labels).tolist() == [1, 2]


def test_an_array_put_in_place_of_the_labels_is_a_stroke_and_the_tool_stays_in_hand(opened: Person) -> None:
    opened.press(Qt.Key.Key_2)
    layer = opened.desk.layers.labels
    new = layer.data.astype(np.int32)
    new[HERE] = 2
    layer.data = new
    opened.rest(0.05)
    assert layer.data is opened.session.case.canvas.labels
    assert there(opened)
    assert "in 40 voxels; that is kept as a stroke" in opened.notices[-1]
    assert layer.mode == "paint"
    opened.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not there(opened)
    assert (opened.session.case.canvas.labels == 1).all()


def test_an_array_of_another_shape_is_kept_as_a_layer(opened: Person) -> None:
    corrections = opened.desk.layers.labels
    corrections.data = np.full((3, 4, 5), 2, np.uint8)
    opened.rest(0.05)
    assert "have another shape (3 x 4 x 5) than the scan" in opened.notices[-1]
    assert "in layer Not taken over" in opened.notices[-1]
    assert (opened.viewer.layers["Not taken over"].data == 2).all()
    assert corrections.data is opened.session.case.canvas.labels
    assert (opened.session.case.unsaved, opened.viewer.layers.selection.active) == (0, corrections)


def test_an_array_that_is_assigned_while_a_revision_is_saved_leaves_the_layer_locked(
    opened: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stroke drawn then would be in neither the revision nor the new journal."""
    opened.press(Qt.Key.Key_2)
    opened.drag()
    writable, create = Event(), revisions.create_array
    monkeypatch.setattr(revisions, "create_array", lambda *given, **more: writable.wait(60) and create(*given, **more))
    opened.click(opened.dock.correct_panel.save)
    layer, canvas = opened.desk.layers.labels, opened.session.case.canvas.labels
    before = canvas.copy()
    layer.data = np.full_like(canvas, 2)
    opened.rest(0.05)
    assert opened.desk.cases.saving
    layer.mode = "paint"
    opened.drag((0.4, 0.4))
    assert (canvas == before).all()
    assert (layer.editable, opened.session.case.unsaved) == (False, 1)
    writable.set()
    opened.settle()
    assert (layer.editable, layer.mode) == (True, "paint")


def test_what_is_put_aside_does_not_change_with_the_labels_and_is_kept_once(opened: Person) -> None:
    corrections = opened.desk.layers.labels
    for _ in range(2):
        corrections.data = corrections.data[:3]
        opened.rest(0.05)
    corrections.data[:] = 2
    assert (opened.viewer.layers["Not taken over"].data == 1).all()
    assert sum(x.name.startswith("Not taken over") for x in opened.viewer.layers) == 1
    corrections.data = corrections.data[:3]
    opened.rest(0.05)
    assert (opened.viewer.layers["Not taken over"].data == 1).all()
    assert (opened.viewer.layers["Not taken over [1]"].data == 2).all()


def test_an_array_meant_for_a_case_that_was_just_left_does_not_go_into_the_next(opened: Person) -> None:
    corrections = opened.desk.layers.labels
    opened.session.show_case(opened.session.load_case("c2"))
    corrections.data = np.full_like(corrections.data, 2)
    opened.settle()
    assert "came too late for c1" in opened.notices[-1]
    assert (opened.viewer.layers["Not taken over"].data == 2).all()
    assert (opened.session.case.info.case_id, opened.session.case.unsaved) == ("c2", 0)


def test_a_plugin_that_puts_its_array_back_does_not_get_its_way(opened: Person) -> None:
    corrections = opened.desk.layers.labels
    its_own = np.full_like(corrections.data, 2)

    def insist() -> None:
        if corrections.data is not its_own:
            corrections.data = its_own

    corrections.events.data.connect(insist)
    corrections.data = its_own
    opened.rest(0.1)
    corrections.events.data.disconnect(insist)
    assert corrections.data is opened.session.case.canvas.labels
    assert (corrections.data == 2).all()
    assert opened.session.case.unsaved == 1
