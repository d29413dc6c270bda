"""Bad input, full disks, many cases: one plain sentence, nothing lost, and the work goes on."""

import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from driving import Person
from models import add_model, add_prediction
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QColor, QDropEvent, QPalette
from qtpy.QtWidgets import QApplication

from builders import SHAPE
from builders import study as make_study
from napari_apprentice.core.labels import Label, LabelSchema
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import Provenance
from napari_apprentice.errors import Cancelled
from napari_apprentice.gui.facts import Facts, read_facts
from napari_apprentice.gui.status_line import StatusLine
from napari_apprentice.session import Session
from napari_apprentice.store.study import Study

pytestmark = pytest.mark.window

WORDS, GROUND = QPalette.ColorRole.WindowText, QPalette.ColorRole.Window


@pytest.fixture
def opened(person: Person, study: Study) -> Person:
    """With case c1 open, and the brush in hand."""
    person.open_study(study.path)
    person.open_case("c1")
    person.press(Qt.Key.Key_1)
    return person


def drop(person: Person, *paths: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(p)) for p in paths])
    button, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    person.dock.study_panel.dropEvent(QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, button, keys))
    person.settle()


def disk_is_full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def never() -> Iterator[Progress]:
    """A training run that is cancelled at once."""
    raise Cancelled
    yield


def is_plain(sentence: str) -> bool:
    return not any(word in sentence for word in ("Traceback", "Error", "Exception", "errno", "<", "/tmp"))


@pytest.mark.slow
def test_what_is_no_scan_is_named_in_one_sentence_each(opened: Person, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("shopping")
    (tmp_path / "scan.nii.gz").write_text("<!DOCTYPE html><html>Sign in</html>")
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "0001.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 40)
    for name in ("notes.txt", "scan.nii.gz", "series"):
        before = len(opened.complaints)
        drop(opened, tmp_path / name)
        assert len(opened.complaints) == before + 1
        assert name in opened.complaints[-1]
        assert is_plain(opened.complaints[-1])
    assert "web page" in opened.complaints[1]
    assert "DICOM" in opened.complaints[2]
    assert len(opened.desk.facts.now.rows) == 2


def test_a_folder_that_is_no_study_and_a_disk_that_is_full_while_saving_lose_nothing(
    opened: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    opened.dock.study_panel.open_requested.emit(tmp_path / "empty")
    opened.settle()
    assert opened.complaints == ["empty is no study: it has no study.json. Create one, or open another."]
    assert opened.session.case.info.case_id == "c1"
    assert opened.desk.layers.labels is not None
    opened.complaints.clear()
    opened.drag()
    labels = opened.session.case.canvas.labels.copy()
    with monkeypatch.context() as patch:
        patch.setattr("napari_apprentice.store.revisions.create_array", disk_is_full)
        opened.click(opened.dock.correct_panel.save)
        opened.settle()
    assert len(opened.complaints) == 1
    assert opened.complaints[0].startswith("The disk is full")
    assert is_plain(opened.complaints[0])
    assert opened.session.case.unsaved == 1
    assert opened.session.study.revisions.names("c1") == ()
    opened.drag((0.4, 0.4))  # the brush is still in hand
    assert opened.session.case.unsaved == 2
    opened.click(opened.dock.correct_panel.save)
    opened.settle()
    stored, status = opened.session.study.revisions.read("c1", "r0001")
    assert (stored[labels != 0] == labels[labels != 0]).all()
    assert (status == 2).any()


@pytest.mark.slow
def test_strokes_in_memory_only_hold_up_another_study_and_once_the_close(
    opened: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    other = make_study(tmp_path / "other")
    monkeypatch.setattr("os.fsync", disk_is_full)
    opened.drag()
    opened.wait(lambda: opened.complaints)
    assert opened.session.case.unwritten == 1
    assert opened.complaints[-1].startswith("The disk is full")
    assert is_plain(opened.complaints[-1])
    opened.dock.study_panel.open_requested.emit(other.path)
    opened.settle()
    assert "free some space and save" in opened.complaints[-1]
    assert opened.session.case.info.case_id == "c1"
    window = opened.viewer.window._qt_window
    assert not window.close()
    assert window.isVisible()
    assert "close again to lose them" in opened.complaints[-1]
    opened.viewer.close()
    opened.rest(0.1)
    assert not opened.desk.open


@pytest.mark.slow
def test_changing_cases_leaves_nothing_behind(person: Person, tmp_path: Path) -> None:
    made = make_study(tmp_path, cases=3)
    person.open_study(made.path)
    person.open_case("c1")
    widgets, layers = len(QApplication.allWidgets()), [layer.name for layer in person.viewer.layers]
    for turn in range(1, 8):
        person.desk.cases.open_case(f"c{turn % 3 + 1}")
        person.settle()
    assert len(QApplication.allWidgets()) <= widgets
    assert [layer.name for layer in person.viewer.layers][1:] == layers[1:] == ["Status", "Corrections"]
    person.wait(lambda: not person.desk.runner.busy, 10)  # voxels are counted a moment after the case is shown


@pytest.mark.slow
def test_a_large_scan_is_read_from_disk_and_painted_on(
    person: Person, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_apprentice.gui.pictures.LARGE", 10)
    person.open_study(study.path)
    person.open_case("c1")
    person.open_case("c2")
    assert [layer.name for layer in person.viewer.layers] == ["c2", "Status", "Corrections"]
    shown = person.viewer.layers["c2"]
    np.testing.assert_array_equal(
        np.asarray(shown.data[0] if shown.multiscale else shown.data), study.cases.voxels("c2")[0]
    )
    person.press(Qt.Key.Key_1)
    person.drag()
    assert person.session.case.unsaved == 1


@pytest.mark.parametrize("mishap", ["other weights", "no weights", "no document"])
def test_what_is_offered_beside_a_damaged_model_version_is_what_can_work(
    person: Person, study: Study, tmp_path: Path, mishap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_model(study, tmp_path)
    labels = np.ones(SHAPE, np.uint8)
    study.revisions.save("c1", labels, labels, Provenance("ann"))
    person.open_study(study.path)
    panel, weights = person.dock.tune_panel, study.models.weights("v0001")
    assert panel.fine_tune.isEnabled()
    if mishap == "other weights":
        weights.write_bytes(b"nine")
        os.utime(weights, ns=(1, 1))  # as long as before
    elif mishap == "no weights":
        weights.unlink()
    else:
        (weights.parent / "model.json").write_text("{")
    person.desk.facts.refresh()
    person.settle()
    assert not panel.fine_tune.isEnabled()
    assert (panel.train_first.text(), panel.train_first.isEnabled()) == ("Train anew", True)
    told = panel.step.text()
    assert told.startswith("v0001 cannot be fine-tuned. ")
    assert told.endswith(". Train anew, or activate another model version.")
    assert "from a copy" in panel.step.toolTip() or mishap == "no weights"
    began: list[str] = []
    monkeypatch.setattr(person.session, "follow_training", lambda run: began.append(run.kind) or never())
    person.click(panel.train_first)
    person.wait(lambda: began == ["train"])
    person.settle()


@pytest.mark.parametrize("mishap", ["damaged", "gone"])
def test_a_study_whose_active_model_version_is_no_more_is_shown_and_another_can_be_chosen(
    person: Person, study: Study, tmp_path: Path, mishap: str
) -> None:
    for name in ("v0001", "v0002"):
        add_model(study, tmp_path, name)
    folder = study.models.root / "v0002"
    (folder / "model.json").write_text("{")
    if mishap == "gone":
        folder.rename(tmp_path / "v0002")
    person.open_study(study.path)
    person.wait(lambda: len(person.desk.facts.now.rows) == len(study.cases.ids()))
    listed = person.dock.tune_panel.models
    assert listed.list.item(0).text().split()[:2] == ["v0002", "active"]
    listed.list.setCurrentRow(1)
    person.click(listed.activate)
    person.wait(lambda: person.desk.facts.now.active == "v0001")
    assert person.complaints == []


def test_layers_that_became_cases_are_put_aside(person: Person, study: Study) -> None:
    person.open_study(study.path)
    layer = person.viewer.add_image(np.random.default_rng(0).random((4, 5, 6)), name="my scan")
    person.click(person.dock.study_panel.add_layers)
    person.wait(lambda: len(person.desk.facts.now.rows) == 3)
    person.settle()
    assert not layer.visible
    assert {str(u) for u in layer.units} == {"millimeter"}
    person.click(person.dock.study_panel.add_layers)
    person.settle()
    assert "no image layer to add" in person.complaints[-1]


def test_another_windows_label_gets_its_name_and_colour(opened: Person) -> None:
    other = Study.open(opened.session.study.path)
    other.set_schema(LabelSchema((*other.schema.labels, Label(3, "vessel", "#112233"))))
    opened.click(opened.dock.correct_panel.accept_slice)  # what the panels show is read anew after the first stroke
    opened.wait(lambda: "vessel" in opened.dock.correct_panel.labels.item(2).text())
    layer = opened.desk.layers.labels
    np.testing.assert_allclose(layer.get_color(3)[:3], np.array([0x11, 0x22, 0x33]) / 255, atol=0.01)
    opened.press(Qt.Key.Key_3)
    assert layer.selected_label == 3
    assert opened.session.case.unsaved == 1


def change_labels(person: Person, *labels: Label) -> None:
    person.dock.study_panel.labels_changed.emit(LabelSchema(labels), person.session.study.schema)
    person.settle()
    person.rest(0.1)
    person.settle()


@pytest.mark.slow
def test_labels_of_a_study_are_renamed_added_and_kept_while_in_use(opened: Person) -> None:
    one, two = opened.session.study.schema.labels
    opened.drag()
    mine = opened.session.case.canvas.labels.copy()
    change_labels(opened, Label(1, "liver", "#112233"), two, Label(3, "spleen", "#445566"))
    assert "liver" in opened.dock.correct_panel.labels.item(0).text()
    assert "spleen" in opened.dock.correct_panel.labels.item(2).text()
    np.testing.assert_allclose(
        opened.desk.layers.labels.get_color(1)[:3], np.array([0x11, 0x22, 0x33]) / 255, atol=0.01
    )
    np.testing.assert_array_equal(opened.desk.layers.labels.data, mine)
    assert opened.session.case.unsaved == 1
    change_labels(opened, two)
    assert opened.complaints == ["Label liver stays: unsaved strokes of case c1 use it."]
    assert Study.open(opened.session.study.path).schema.ids == (1, 2, 3)
    change_labels(opened, one, two)
    assert opened.session.study.schema.ids == (1, 2)
    opened.click(opened.dock.correct_panel.save)
    opened.settle()
    change_labels(opened, two)
    assert opened.complaints[-1] == "Label one stays: revision r0001 of case c1 uses it."


@pytest.mark.slow
def test_a_label_that_no_model_version_knows_is_learned_by_fine_tuning(opened: Person, tmp_path: Path) -> None:
    add_model(opened.session.study, tmp_path)
    one, two = opened.session.study.schema.labels
    opened.drag()
    opened.click(opened.dock.correct_panel.save)
    opened.settle()
    panel = opened.dock.tune_panel
    change_labels(opened, one, two, Label(3, "spleen", "#445566"))
    opened.wait(lambda: opened.desk.facts.now.schema.ids == (1, 2, 3))
    assert not panel.train_first.isVisibleTo(panel)
    assert panel.fine_tune.isEnabled()
    change_labels(opened, two)
    assert opened.complaints == ["Label one stays: revision r0001 of case c1 uses it."]


def test_a_label_that_is_only_predicted_goes_and_is_shown_no_more(opened: Person, tmp_path: Path) -> None:
    add_model(opened.session.study, tmp_path)
    add_prediction(opened.session.study, "c1", 2)
    opened.open_case("c1")
    assert (opened.desk.layers.labels.data == 2).all()
    change_labels(opened, opened.session.study.schema.labels[0])
    assert opened.complaints == []
    assert opened.session.study.schema.ids == (1,)
    assert not opened.desk.layers.labels.data.any()
    assert opened.dock.correct_panel.labels.count() == 2


@pytest.mark.slow
def test_a_case_whose_labels_are_damaged_leaves_the_one_before_on_the_screen(person: Person, study: Study) -> None:
    person.open_study(study.path)
    person.open_case("c1")
    person.press(Qt.Key.Key_1)
    person.drag()
    study.revisions.save("c2", *(np.ones(SHAPE, np.uint8),) * 2, Provenance("me"))
    next((study.path / "cases.zarr/c2/image/labels").rglob("c/0/0/0")).unlink()
    person.desk.cases.open_case("c2")
    person.wait(lambda: person.complaints)
    person.settle()
    assert "damaged" in person.complaints[0]
    assert [layer.name for layer in person.viewer.layers] == ["c1", "Status", "Corrections"]
    person.press(Qt.Key.Key_2)
    person.drag((0.4, 0.4))
    assert (person.session.case.info.case_id, person.session.case.unsaved) == ("c1", 2)


def test_nothing_changes_while_the_scan_shown_is_not_the_open_case(
    person: Person, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.open_study(study.path)
    person.open_case("c1")
    gate = threading.Event()
    load = Session.load_case
    monkeypatch.setattr(Session, "load_case", lambda *a: gate.wait(30) and load(*a))
    person.press(Qt.Key.Key_1)
    person.desk.cases.open_case("c2")
    person.wait(lambda: person.viewer.layers[0].name == "c2")
    person.drag()
    person.desk.cases.accept_scan()
    person.desk.cases.save()
    gate.set()
    person.settle()
    assert (study.revisions.newest("c1"), study.revisions.newest("c2")) == (None, None)
    assert (person.session.case.info.case_id, person.session.case.unsaved) == ("c2", 0)
    assert not study.journal.read("c1")
    person.press(Qt.Key.Key_1)
    person.drag()
    assert person.session.case.unsaved == 1


@pytest.mark.slow
def test_what_can_be_reverted_to_is_asked_in_vain_where_the_study_is_gone(opened: Person, study: Study) -> None:
    menu = opened.dock.correct_panel.revert_menu
    aside = study.path.rename(study.path.with_name("away"))
    menu.aboutToShow.emit()
    opened.wait(lambda: opened.complaints)
    aside.rename(study.path)
    assert "The study's folder cannot be reached" in opened.complaints[0]
    menu.aboutToShow.emit()
    opened.wait(lambda: [a.text() for a in menu.actions()] == ["Prediction"])


def test_strokes_quicker_than_the_table_is_read_still_show_in_it(
    opened: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, most = [], []

    def read_slowly(session: Session) -> Facts:
        reading.append(1)
        most.append(len(reading))
        time.sleep(0.4)
        found = read_facts(session)
        reading.pop()
        return found

    monkeypatch.setattr("napari_apprentice.gui.facts.read_facts", read_slowly)
    end = time.monotonic() + 10
    while opened.desk.facts.now.row("c1").state != "in correction" and time.monotonic() < end:
        opened.desk.cases.undo() if opened.session.case.unsaved % 2 else opened.desk.cases.accept_scan()
        opened.rest(0.05)
    assert opened.desk.facts.now.row("c1").state == "in correction"
    opened.settle()
    assert max(most) == 1


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_what_went_wrong_can_be_read_on_either_theme(person: Person, theme: str) -> None:
    before, person.viewer.theme = person.viewer.theme, theme
    try:
        person.desk.runner.attempt(lambda: person.session.open_case("nobody"))
        person.rest()
        line = person.dock.findChild(StatusLine)
        assert person.complaints == [line.text.text()]
        words, ground = (line.text.palette().color(role) for role in (WORDS, GROUND))
        assert contrast(words, ground) >= 4.5
        assert words.red() > 2 * max(words.green(), words.blue())
    finally:
        person.viewer.theme = before
        person.complaints.clear()


def contrast(one: QColor, other: QColor) -> float:
    """Of WCAG 2.2: from 1 to 21."""
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: QColor) -> float:
    linear = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in colour.getRgbF()[:3])
    return float(np.dot(tuple(linear), (0.2126, 0.7152, 0.0722)))
