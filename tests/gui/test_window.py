"""What a person does in one dock, in a real window with real clicks, keys and mouse strokes."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driving import Person
from models import add_model, add_prediction
from napari.layers._layer_actions import _duplicate_layer
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from builders import study as study_of
from builders import volume, write_nifti
from faults import fail_from
from napari_apprentice.core.labels import Label, LabelSchema
from napari_apprentice.core.volume import Volume
from napari_apprentice.gui.status_line import StatusLine
from napari_apprentice.store.study import Study

pytestmark = pytest.mark.window

CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def opened(person: Person, study: Study) -> Person:
    """With case c1 of a study without a model version open, and the brush in hand."""
    person.open_study(study.path)
    person.open_case("c1")
    person.press(Qt.Key.Key_1)
    return person


def edited(person: Person) -> int:
    return int((person.session.case.canvas.status == 2).sum())


def test_a_study_is_created_filled_and_a_case_opened(person: Person, tmp_path: Path) -> None:
    panel = person.dock.study_panel
    assert "No study is open" in panel.guide.text()
    assert not panel.table.isVisible()
    panel._create(tmp_path / "new.study", LabelSchema.from_names(["heart"]))
    person.settle()
    assert "no cases yet" in panel.guide.text()
    scans = [write_nifti(tmp_path / f"p{i}.nii.gz", volume(i).voxels[0].T) for i in (1, 2)]
    (tmp_path / "notes.nii.gz").write_text("this is no scan")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(p)) for p in (*scans, tmp_path / "notes.nii.gz")])
    panel.dropEvent(
        QDropEvent(
            QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        )
    )
    person.wait(lambda: len(person.desk.facts.now.rows) == 2)
    person.settle()
    assert len(person.complaints) == 1
    assert "notes.nii.gz was not added" in person.complaints[0]
    panel.table.select("p2")
    person.click(panel.open_case)
    person.wait(lambda: person.desk.layers.labels is not None)
    assert person.session.case.info.case_id == "p2"
    assert person.desk.layers.labels.data is person.session.case.canvas.labels
    assert [str(u) for u in person.desk.layers.labels.units] == ["millimeter"] * 3


def test_corrections_saved_as_a_file_tell_what_of_them_is_only_proposed(
    person: Person, study: Study, tmp_path: Path
) -> None:
    add_model(study, tmp_path)
    add_prediction(study, "c1", 2)
    person.open_study(study.path)
    person.open_case("c1")
    canvas, layer = person.session.case.canvas, person.desk.layers.labels
    told = f"out.nii.gz: {canvas.labels.size:,} voxels are only proposed, by v0001: nobody accepted or edited these"
    assert said_while_saving(layer, tmp_path) == [f"{told} labels."]
    assert said_while_saving(person.viewer.add_labels(canvas.labels.copy()), tmp_path) == []  # nobody knows of others
    person.desk.cases.accept_scan()
    assert said_while_saving(layer, tmp_path) == []


def said_while_saving(layer: Any, folder: Path) -> list[str]:
    """What napari says while a layer is saved as a scan file."""
    notification_manager.records.clear()
    assert layer.save(str(folder / "out.nii.gz"), plugin="napari-apprentice")
    return [str(n.message) for n in notification_manager.records if "proposed" in str(n.message)]


def test_open_layers_become_cases(person: Person, study: Study) -> None:
    person.open_study(study.path)
    person.viewer.add_image(np.random.default_rng(0).random((4, 5, 6)), name="my scan", scale=(2, 1, 1))
    person.click(person.dock.study_panel.add_layers)
    person.wait(lambda: len(person.desk.facts.now.rows) == 3)
    assert person.session.study.cases.info("my-scan").spacing == (2.0, 1.0, 1.0)


def test_strokes_with_brush_and_polygon_are_kept_undone_and_redone(opened: Person) -> None:
    opened.drag()
    painted = edited(opened)
    assert painted > 0
    assert opened.session.case.unsaved == 1
    assert "1 unsaved stroke," in opened.dock.correct_panel.strokes.text()
    opened.press(Qt.Key.Key_Z, CONTROL)
    assert edited(opened) == 0
    assert not opened.desk.layers.labels.data.any()
    opened.press(Qt.Key.Key_Z, CONTROL | SHIFT)
    assert edited(opened) == painted
    opened.click(opened.dock.correct_panel.undo)
    assert edited(opened) == 0
    opened.settle()
    assert opened.desk.facts.now.row("c1").state == "in correction"
    before = opened.session.case.unsaved
    opened.desk.layers.labels.mode = "polygon"
    for corner in ((0.4, 0.4), (0.6, 0.4), (0.6, 0.6)):
        opened.click_at(*corner)
    opened.press(Qt.Key.Key_Return)
    labels = opened.session.case.canvas.labels.copy()
    assert labels.any()
    assert opened.session.case.unsaved == before + 1
    assert edited(opened) == np.count_nonzero(labels)
    opened.press(Qt.Key.Key_Z, CONTROL)
    assert not opened.session.case.canvas.labels.any()
    opened.press(Qt.Key.Key_Z, CONTROL | SHIFT)
    np.testing.assert_array_equal(opened.session.case.canvas.labels, labels)
    layers = opened.viewer.layers  # and heard with the scan selected, not with a layer of one's own
    layers.selection.active = opened.viewer.add_points(np.zeros((1, 3)))
    opened.press(Qt.Key.Key_Z, CONTROL)
    np.testing.assert_array_equal(opened.session.case.canvas.labels, labels)
    layers.selection.active = opened.desk.layers.images[0]
    opened.press(Qt.Key.Key_Z, CONTROL)
    assert not opened.session.case.canvas.labels.any()
    opened.press(Qt.Key.Key_Z, CONTROL | SHIFT)
    np.testing.assert_array_equal(opened.session.case.canvas.labels, labels)


def test_undo_and_redo_say_where_when_that_is_not_on_the_screen(opened: Person) -> None:
    opened.drag()
    z = opened.desk.layers.z_shown()
    opened.viewer.dims.set_current_step(0, z - 1)
    opened.press(Qt.Key.Key_Z, CONTROL)
    assert opened.said[-1] == f"Undone in slice {z} along z, not on the screen."
    opened.press(Qt.Key.Key_Z, CONTROL)
    assert opened.said[-1] == "There is nothing to undo in this case."
    opened.viewer.dims.set_current_step(0, z)
    opened.press(Qt.Key.Key_Z, CONTROL | SHIFT)
    assert opened.said[-1] == "Redone."


def test_the_brush_goes_along_to_the_next_case_and_corners_of_a_polygon_do_not(opened: Person) -> None:
    opened.desk.layers.labels.mode = "polygon"
    for corner in ((0.4, 0.4), (0.6, 0.4), (0.6, 0.6)):
        opened.click_at(*corner)
    opened.open_case("c2")
    opened.press(Qt.Key.Key_Return)
    assert not opened.session.case.canvas.labels.any()
    status, layer = opened.desk.layers.status, opened.desk.layers.labels
    status.visible = True
    opened.viewer.layers.selection.active = status
    status.mode = "paint"
    opened.drag()
    assert not opened.session.case.canvas.status.any()  # nobody paints on it in any case
    status.visible = False
    opened.viewer.layers.selection.active = layer
    layer.mode = "paint"
    opened.press(Qt.Key.Key_2)
    opened.open_case("c1")
    assert (layer.mode, layer.selected_label) == ("paint", 2)
    opened.drag()
    assert opened.session.case.unsaved == 1
    opened.open_case("c2")
    assert layer.mode == "paint"


def corners(person: Person, *places: tuple[float, float]) -> None:
    """Click corners of a polygon."""
    for place in places:
        person.click_at(*place)


def finish(person: Person, x: float, y: float) -> None:
    """Double click the last corner of a polygon."""
    point = QPoint(int(x * person.canvas.width()), int(y * person.canvas.height()))
    QTest.mouseDClick(person.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, point)
    person.rest(0.1)


def test_a_polygon_is_painted_in_the_slice_on_the_screen(opened: Person) -> None:
    layer, canvas = opened.desk.layers.labels, opened.session.case.canvas
    layer.mode = "polygon"
    here = opened.desk.layers.z_shown()
    corners(opened, (0.4, 0.4), (0.6, 0.4), (0.6, 0.6))
    opened.viewer.dims.set_current_step(0, here + 1)
    finish(opened, 0.45, 0.6)
    assert np.unique(np.nonzero(canvas.status)[0]).tolist() == [here + 1]
    drawn = canvas.status.copy()
    corners(opened, (0.4, 0.4), (0.6, 0.4), (0.6, 0.6))
    opened.viewer.dims.order = (2, 0, 1)  # another plane, where these corners mean nothing
    finish(opened, 0.45, 0.6)
    np.testing.assert_array_equal(canvas.status, drawn)
    corners(opened, (0.4, 0.4), (0.6, 0.4), (0.6, 0.6))
    finish(opened, 0.45, 0.6)
    assert np.unique(np.nonzero(canvas.status != drawn)[2]).tolist() == [opened.desk.layers.slice_shown()[1]]


def test_undo_takes_back_corners_of_a_polygon_being_drawn_before_it_takes_a_stroke(opened: Person) -> None:
    opened.drag()
    painted = edited(opened)
    layer = opened.desk.layers.labels
    layer.mode = "polygon"
    corners(opened, (0.4, 0.4), (0.6, 0.4), (0.9, 0.9))
    opened.press(Qt.Key.Key_Z, CONTROL)
    drawn = layer._overlays["polygon"].points
    assert (len(drawn), edited(opened)) == (3, painted)  # two corners, and the mouse
    opened.press(Qt.Key.Key_Z, CONTROL)
    assert layer._overlays["polygon"].points == [drawn[0], drawn[2]]
    opened.click(opened.dock.correct_panel.undo)
    assert (layer._overlays["polygon"].points, edited(opened)) == ([], painted)
    corners(opened, (0.4, 0.4), (0.6, 0.4))
    layer.mode = "paint"  # which hides what was begun of a polygon
    opened.press(Qt.Key.Key_Z, CONTROL)
    assert edited(opened) == 0


def test_a_label_chosen_with_the_picker_in_hand_is_painted_with(opened: Person) -> None:
    opened.desk.layers.labels.mode = "pick"
    opened.press(Qt.Key.Key_2)
    opened.drag()
    assert 2 in opened.session.case.canvas.labels
    assert opened.desk.layers.labels.selected_label == 2


def test_the_key_of_a_label_that_the_study_does_not_have_takes_up_no_other_tool(opened: Person) -> None:
    layer = opened.desk.layers.labels
    for key in (Qt.Key.Key_3, Qt.Key.Key_7, Qt.Key.Key_9):
        opened.press(key)
        assert (layer.mode, layer.selected_label) == ("paint", 1)
        assert "is no label" in opened.said[-1]


def test_a_stroke_that_a_right_click_began_is_told_when_something_waits_for_it(opened: Person) -> None:
    opened.click_at(0.4, 0.4, Qt.MouseButton.RightButton)
    assert opened.desk.layers.mid_stroke
    for wait in (opened.desk.cases.save, opened.desk.cases.accept_scan):
        opened.said.clear()
        wait()
        assert "Escape" in opened.said[0]
    opened.press(Qt.Key.Key_Escape)
    opened.wait(lambda: opened.session.study.revisions.names("c1") == ("r0001",))


def test_the_next_case_opens_when_the_one_before_is_saved(opened: Person) -> None:
    opened.drag()
    opened.desk.cases.save()
    opened.desk.cases.next_case()  # before the window has heard that it is stored
    opened.wait(lambda: opened.session.case.info.case_id == "c2")
    opened.settle()
    assert opened.session.study.revisions.names("c1") == ("r0001",)
    assert opened.complaints == []


def test_painting_on_a_copy_of_the_corrections_is_told_once(opened: Person) -> None:
    opened.drag()
    _duplicate_layer(opened.viewer.layers)
    copy = opened.viewer.layers.selection.active
    assert copy.name == "Corrections copy"
    copy.mode = "paint"
    opened.drag((0.4, 0.4))
    opened.drag((0.3, 0.4))
    (told,) = opened.notices
    assert "Corrections copy" in told
    assert opened.session.case.unsaved == 1


def test_number_keys_choose_labels_by_position(opened: Person) -> None:
    layer, chooser = opened.desk.layers.labels, opened.dock.correct_panel.labels
    opened.press(Qt.Key.Key_2)
    assert (layer.selected_label, layer.mode) == (2, "paint")
    assert "two" in chooser.currentItem().text()
    opened.press(Qt.Key.Key_0)
    assert layer.selected_label == 0
    opened.press(Qt.Key.Key_M)  # napari's "new label" would leave the schema
    assert layer.selected_label == 0
    layer.selected_label = 9
    assert layer.selected_label == 2
    opened.click(opened.dock.correct_panel.accept_slice)  # the keys do not depend on the focus being elsewhere
    chooser.chosen.emit(1)
    assert layer.selected_label == 1


def test_minus_and_equal_go_from_label_to_label_where_their_ids_have_gaps(person: Person, study: Study) -> None:
    study.set_schema(LabelSchema(tuple(Label(i, f"l{i}", "#ff0000") for i in (1, 3, 255))), study.schema)
    person.open_study(study.path)
    person.open_case("c1")
    layer, seen = person.desk.layers.labels, []
    for key in [Qt.Key.Key_Equal] * 2 + [Qt.Key.Key_Minus] * 3:
        person.press(key)
        seen.append(int(layer.selected_label))
    assert seen == [3, 255, 3, 1, 0]
    layer.selected_label = 250
    assert layer.selected_label == 255


def test_ctrl_s_and_the_button_save_what_was_done_without_napari_asking(opened: Person) -> None:
    opened.press(Qt.Key.Key_S, CONTROL)
    opened.settle()
    assert "press Accept scan first" in opened.said[-1]
    assert opened.session.study.revisions.names("c1") == ()
    assert "c1" in {item.case_id for item in opened.session.queue()}
    opened.drag()
    opened.press(Qt.Key.Key_S, CONTROL)
    opened.wait(lambda: opened.session.study.revisions.names("c1") == ("r0001",))
    opened.settle()
    assert QApplication.activeModalWidget() is None
    assert opened.session.case.unsaved == 0
    assert opened.desk.layers.labels.editable
    assert opened.desk.layers.labels.mode == "paint"
    opened.press(Qt.Key.Key_S, CONTROL)  # by habit
    opened.settle()
    assert "nothing to save" in opened.said[-1]
    assert opened.session.study.revisions.names("c1") == ("r0001",)
    opened.press(Qt.Key.Key_2)
    opened.drag((0.4, 0.4))
    opened.click(opened.dock.correct_panel.save)
    opened.wait(lambda: opened.session.study.revisions.names("c1") == ("r0001", "r0002"))
    opened.settle()
    labels, status = opened.session.study.revisions.read("c1", "r0002")
    np.testing.assert_array_equal(labels, opened.desk.layers.labels.data)
    assert (status == 2).any()


def test_unsaved_strokes_are_there_when_the_window_opens_again(
    opened: Person, study: Study, another_person: Callable[[], Person]
) -> None:
    opened.drag()
    labels = opened.session.case.canvas.labels.copy()
    opened.viewer.close()
    opened.rest(0.1)
    assert not opened.desk.open
    assert opened.notices == []
    again = another_person()
    again.open_study(study.path)
    again.open_case("c1")
    np.testing.assert_array_equal(again.desk.layers.labels.data, labels)
    assert again.session.case.unsaved == 1
    again.viewer.close()


def test_accept_slice_and_scan_and_in_3d_a_word_why_not(opened: Person) -> None:
    opened.viewer.dims.ndisplay = 3
    opened.click(opened.dock.correct_panel.accept_slice)
    assert len(opened.complaints) == 1
    assert "3D view" in opened.complaints[0]
    lines = [line.text.text() for line in opened.dock.findChildren(StatusLine)]
    assert lines == opened.complaints
    opened.viewer.dims.ndisplay = 2
    opened.viewer.dims.set_current_step(0, 2)
    opened.click(opened.dock.correct_panel.accept_slice)
    status = opened.session.case.canvas.status
    assert (status[2] == 1).all()
    assert int((status == 1).sum()) == status[2].size
    opened.viewer.dims.order = (2, 0, 1)  # now slices run across x
    opened.viewer.dims.set_current_step(2, 1)
    opened.click(opened.dock.correct_panel.accept_slice)
    assert (status[:, :, 1] == 1).all()
    opened.click(opened.dock.correct_panel.accept_scan)
    assert (status == 1).all()
    opened.rest(0.4)
    opened.settle()
    assert "accepted 100.0 %" in opened.dock.correct_panel.counts.text()


def test_revert_to_prediction_and_to_a_revision(person: Person, study: Study, tmp_path: Path) -> None:
    add_model(study, tmp_path)
    add_prediction(study, "c1", 2)
    person.open_study(study.path)
    person.open_case("c1")
    person.press(Qt.Key.Key_1)
    person.drag()
    person.click(person.dock.correct_panel.save)
    person.settle()
    mine = person.session.case.canvas.labels.copy()
    menu = person.dock.correct_panel.revert_menu
    person.dock.correct_panel._list_reverts()
    person.wait(lambda: len(menu.actions()) == 2)
    texts = [a.text() for a in menu.actions()]
    assert texts == ["Prediction by v0001", "Revision r0001"]
    menu.actions()[0].trigger()
    assert (person.desk.layers.labels.data == 2).all()
    menu.actions()[1].trigger()
    np.testing.assert_array_equal(person.desk.layers.labels.data, mine)


def test_next_case_by_button_and_by_key(person: Person, tmp_path: Path) -> None:
    made = study_of(tmp_path, cases=3)
    person.open_study(made.path)
    queue = person.dock.queue_panel
    assert "c1" in queue.reason.text()
    assert "in order of name" in queue.reason.text()
    person.click(queue.next)
    person.wait(lambda: person.desk.layers.labels is not None)
    person.settle()
    assert person.session.case.info.case_id == "c1"
    first = person.desk.layers.labels
    person.press(Qt.Key.Key_N)
    person.settle()
    assert person.session.case.info.case_id == "c2"
    assert person.desk.layers.labels is first  # exchanged, not made anew
    assert first.data is person.session.case.canvas.labels
    person.press(Qt.Key.Key_1)
    person.drag()
    assert person.session.case.unsaved == 1


def test_next_case_goes_on_to_the_third_and_past_one_that_cannot_be_opened(person: Person, tmp_path: Path) -> None:
    made = study_of(tmp_path, cases=3)
    for file in (made.cases.folder("c1") / "image" / "0" / "c").rglob("*"):
        if file.is_file():
            file.write_bytes(b"not what was stored")
    person.open_study(made.path)
    person.click(person.dock.queue_panel.next)
    person.wait(lambda: bool(person.complaints))
    person.complaints.clear()
    for expected in ("c2", "c3"):
        person.click(person.dock.queue_panel.next)
        person.wait(lambda e=expected: person.session.case is not None and person.session.case.info.case_id == e)
        person.settle()


def test_a_late_answer_is_dropped(person: Person, study: Study) -> None:
    person.open_study(study.path)
    person.desk.cases.open_case("c1")
    person.desk.cases.open_case("c2")
    person.wait(lambda: person.desk.layers.labels is not None)
    person.settle()
    assert person.session.case.info.case_id == "c2"
    assert person.desk.layers.labels.data is person.session.case.canvas.labels


@pytest.mark.parametrize("goes", ["window", "viewer", "panel", "study"])
def test_a_half_drawn_stroke_is_kept_when_what_it_is_drawn_in_goes(opened: Person, tmp_path: Path, goes: str) -> None:
    (tmp_path / "other").mkdir()
    other, journal = study_of(tmp_path / "other"), opened.session.study.journal
    middle = QPoint(opened.canvas.width() // 2, opened.canvas.height() // 2)
    QTest.mouseMove(opened.canvas, middle)
    QTest.mousePress(opened.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, middle)
    opened.rest(0.05)
    assert opened.desk.layers.mid_stroke
    if goes == "window":
        assert opened.desk.cases.may_close()  # as it asks before it does
        opened.session.flush()
    elif goes == "viewer":
        opened.viewer.close()
    elif goes == "panel":
        opened.viewer.window.remove_dock_widget("all")
    else:
        opened.dock.study_panel.open_requested.emit(other.path)
    opened.rest(0.1)
    kept = [stroke.tool for stroke in journal.read("c1").strokes]
    if goes != "viewer":
        QTest.mouseRelease(opened.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, middle)
    assert kept == ["paint"]


def test_deleting_the_layer_loses_nothing(opened: Person) -> None:
    opened.drag()
    labels = opened.session.case.canvas.labels.copy()
    opened.viewer.layers.remove(opened.desk.layers.labels)
    opened.wait(lambda: opened.notices)
    assert "no work is lost" in opened.notices[0]
    assert opened.dock.correct_panel.show_layers.isVisibleTo(opened.dock.correct_panel)
    opened.click(opened.dock.correct_panel.show_layers)
    opened.wait(lambda: opened.desk.layers.labels is not None)
    opened.settle()
    np.testing.assert_array_equal(opened.desk.layers.labels.data, labels)
    opened.press(Qt.Key.Key_2)
    opened.drag((0.4, 0.4))
    assert opened.session.case.unsaved == 2


def test_a_new_prediction_never_overwrites_painted_voxels(person: Person, study: Study, tmp_path: Path) -> None:
    add_model(study, tmp_path)
    person.open_study(study.path)
    person.open_case("c1")
    request = person.session.begin_prediction(("c1",))
    add_prediction(study, "c1", 2)
    person.desk.arriving.end(request, ("c1",))
    person.settle()
    assert (person.desk.layers.labels.data == 2).all()  # nothing was painted: it shows at once
    person.press(Qt.Key.Key_1)
    person.drag()
    mine = person.session.case.canvas.labels == 1
    add_prediction(study, "c1", 0)
    person.desk.arriving.end(request, ("c1",))
    person.settle()
    person.wait(lambda: (person.desk.layers.labels.data[~mine] == 0).all())  # what nobody has looked at shows it
    assert (person.desk.layers.labels.data[mine] == 1).all()
    assert person.session.case.unsaved == 1
    assert np.shares_memory(person.desk.layers.labels.data, person.session.case.canvas.labels)
    person.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not person.desk.layers.labels.data.any()  # beneath the stroke is the new one too


def test_a_scan_that_is_on_the_screen_is_not_read_again_for_a_new_prediction(
    person: Person, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_apprentice.gui.pictures.LARGE", 10)
    add_model(study, tmp_path)
    person.open_study(study.path)
    person.open_case("c1")
    image = person.desk.layers.images[0]
    data = image.data
    image.contrast_limits = (3, 7)
    add_prediction(study, "c1", 2)
    person.desk.arriving.end(person.session.begin_prediction(("c1",)), ("c1",))
    person.settle()
    assert (person.desk.layers.labels.data == 2).all()
    assert image.data is data
    assert tuple(image.contrast_limits) == (3, 7)
    (tmp_path / "other").mkdir()
    other = study_of(tmp_path / "other", cases=1)  # its case has the same name, its scan is another
    person.open_study(other.path)
    person.open_case("c1")
    assert person.desk.layers.images[0].data is not data


def test_a_full_disk_is_said_once_and_the_stroke_stays(opened: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        fail_from(patch, "os.fsync", 0)
        opened.drag()
        opened.wait(lambda: opened.complaints)
        opened.drag((0.4, 0.4))
        opened.settle()
    assert len(opened.complaints) == 1
    assert opened.complaints[0].startswith("The disk is full")
    assert "in memory only" in opened.complaints[0]
    assert edited(opened) > 0
    opened.desk.cases.open_case("c2")
    opened.settle()
    assert opened.session.case.info.case_id == "c1"  # what is only in memory is not left behind
    opened.click(opened.dock.correct_panel.save)
    opened.settle()
    assert opened.session.study.revisions.names("c1") == ("r0001",)


def test_a_study_that_takes_nothing_leaves_the_strokes_on_this_computer(
    opened: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fail_from(patch, "napari_apprentice.store.journal.create_durably", 0, errno.EROFS)
        opened.drag()
        opened.wait(lambda: opened.complaints)
        assert opened.complaints[0].startswith("The study's folder cannot be written to")
        assert "kept on this computer" in opened.complaints[0]
        mine = opened.session.case.canvas.labels.copy()
        opened.open_case("c2")
        opened.open_case("c1")
        assert "were brought back" in " ".join(opened.notices)
    np.testing.assert_array_equal(opened.session.case.canvas.labels, mine)
    opened.press(Qt.Key.Key_1)
    opened.drag((0.4, 0.4))
    opened.session.flush()
    opened.settle()
    assert "can be written again" in opened.notices[-1]
    assert len(opened.session.study.journal.read("c1").strokes) == 2


def test_every_button_has_a_tooltip_and_fits_the_dock(person: Person) -> None:
    from qtpy.QtWidgets import QAbstractButton, QAbstractItemView, QComboBox, QHeaderView

    person.rest(0.2)
    controls = [
        w
        for kind in (QAbstractButton, QComboBox, QAbstractItemView)
        for w in person.dock.findChildren(kind)
        if w.isVisible() and not isinstance(w, QHeaderView)
    ]
    assert [w for w in controls if not w.toolTip() and not (w.parent() and w.parent().toolTip())] == []
    inside = person.dock.area.widget()
    assert inside.minimumSizeHint().width() <= person.dock.area.viewport().width() <= 430


def test_everything_is_within_reach_where_the_window_leaves_the_dock_little_room(person: Person, study: Study) -> None:
    person.open_study(study.path)
    person.open_case("c1")
    person.viewer.window._qt_window.resize(850, 600)  # a screen of 1280x800 at 150 %
    person.rest(0.3)
    area, button = person.dock.area, person.dock.study_panel.add_layers
    assert area.viewport().width() < area.widget().width()
    assert area.horizontalScrollBar().isVisible()
    area.ensureWidgetVisible(button)
    assert button.visibleRegion().boundingRect().width() == button.width()


def test_a_long_name_of_a_channel_leaves_the_dock_as_wide_as_it_is(person: Person, study: Study) -> None:
    scan, name = volume(3), "T1 weighted, fat suppressed, with contrast, late phase"
    study.cases.add("c3", "s3", Volume(scan.voxels, scan.geometry, (name,), "c3.nii.gz", "0" * 64))
    person.open_study(study.path)
    person.open_case("c1")
    person.rest(0.1)
    inside, channel = person.dock.area.widget(), person.dock.correct_panel.window_preset.channel
    wide = inside.minimumSizeHint().width()
    person.open_case("c3")
    person.rest(0.1)
    assert inside.minimumSizeHint().width() <= wide
    assert channel.text().startswith("Window of T1")
    assert name in channel.toolTip()


def test_panels_opened_alone_share_the_session(viewer: Any) -> None:
    _, queue = viewer.window.add_plugin_dock_widget("napari-apprentice", "Next case")
    _, correct = viewer.window.add_plugin_dock_widget("napari-apprentice", "Correct")
    assert queue.desk is correct.desk
    desk = queue.desk
    viewer.window.remove_dock_widget(queue)
    assert desk.open
    viewer.window.remove_dock_widget(correct)
    assert not desk.open


def test_sample_scans_open_as_layers(viewer: Any) -> None:
    layers = viewer.open_sample("napari-apprentice", "scans")
    assert len(layers) == 2
    assert all(layer.data.ndim == 3 for layer in layers)


def test_the_length_is_steps_or_a_time_and_follows_the_steps_as_they_follow_it(person: Person) -> None:
    panel = person.dock.tune_panel
    panel.preset.setCurrentText("standard (2000 steps)")
    assert panel.form.get("steps") == 2000
    panel.form.set("steps", 77)
    assert panel.preset.currentIndex() == -1
    assert panel.preset.placeholderText() == "as in Advanced settings"
    panel.form.set("steps", 250)
    assert panel.preset.currentText() == "quick (250 steps)"
    found = []
    for text in ("2 minutes", "quick (250 steps)", "auto (100 steps per case)"):
        panel.preset.setCurrentText(text)
        found.append((panel.form.value().steps, panel.form.value().minutes, panel.preset.currentText()))
    assert found == [
        (0, 2.0, "2 minutes"), (250, 0.0, "quick (250 steps)"),
        (0, 0.0, "auto (100 steps per case)"),
    ]  # fmt: skip
