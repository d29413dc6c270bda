"""The disk is full, closed or gone: told in the window at once, nothing lost, and saving works when it is back."""

import errno
from pathlib import Path

import numpy as np
import pytest
from driving import Person
from qtpy.QtCore import Qt

from faults import Disk
from napari_apprentice.store.study import Study

pytestmark = pytest.mark.window

# Two for strokes, two for saving: tests/store/test_files.py has all of them.
STROKES = {errno.ENOSPC: "The disk is full", errno.ESTALE: "The study's folder cannot be reached"}
SAVING = {
    errno.EROFS: "The study's folder cannot be written to",
    errno.EACCES: "This account may not read or change the study's folder",
}


@pytest.fixture
def opened(person: Person, study: Study) -> Person:
    """With case c1 open, and the brush in hand."""
    person.open_study(study.path)
    person.open_case("c1")
    person.press(Qt.Key.Key_1)
    return person


@pytest.mark.slow
def test_a_share_that_is_gone_is_called_that_and_nothing_is_lost(opened: Person, study: Study) -> None:
    away = study.path.rename(study.path.with_name("away"))
    opened.drag()
    opened.wait(lambda: opened.complaints)
    mine = opened.session.case.canvas.labels.copy()
    assert opened.complaints[0].startswith("The study's folder cannot be reached")
    opened.click(opened.dock.correct_panel.save)
    opened.settle()
    opened.desk.cases.open_case("c2")
    opened.settle()
    opened.drag((0.4, 0.4))
    opened.settle()
    assert all(c.startswith("The study's folder cannot be reached") for c in opened.complaints), opened.complaints
    assert len(opened.complaints) <= 5, "a sentence per thing that was asked for"
    assert not study.path.exists(), "nothing is laid down where a share is to come back"
    assert len(opened.desk.facts.now.rows) == 2, "the table stays"
    assert opened.session.case.unsaved == 2
    away.rename(study.path)
    opened.click(opened.dock.correct_panel.save)
    opened.wait(lambda: study.revisions.names("c1") == ("r0001",))
    opened.settle()
    np.testing.assert_array_equal(study.revisions.read("c1", "r0001")[0][mine != 0], mine[mine != 0])
    assert opened.session.case.unsaved == 0


def test_a_stroke_that_the_study_cannot_take_is_told_at_once(
    opened: Person, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, (code, sentence) in enumerate(STROKES.items(), 1):
        opened.complaints.clear()
        with monkeypatch.context() as patch:
            Disk(patch, study.path, code).fail(1)
            opened.press(Qt.Key.Key_1 if number % 2 else Qt.Key.Key_2)  # so that it changes something
            opened.drag()
            opened.wait(lambda: opened.complaints, 2.0)
        assert opened.complaints[0].startswith(sentence)
        assert "kept on this computer" in opened.complaints[0]
        shown = opened.dock.findChildren(type(opened.dock.correct_panel.strokes))
        assert any(label.isVisible() and label.text() == opened.complaints[0] for label in shown)
        opened.click(opened.dock.correct_panel.save)
        opened.settle()
        assert len(study.revisions.names("c1")) == number
        assert len(opened.complaints) == 1


def test_a_save_that_the_study_cannot_take_is_told_and_goes_through_later(
    opened: Person, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.drag()
    opened.session.flush()
    for code, sentence in SAVING.items():
        opened.complaints.clear()
        with monkeypatch.context() as patch:
            Disk(patch, study.path, code).fail(1)
            opened.click(opened.dock.correct_panel.save)
            opened.wait(lambda: opened.complaints, 5.0)
            opened.settle()
        assert len(opened.complaints) == 1
        assert opened.complaints[0].startswith(sentence)
        assert (opened.session.case.unsaved, study.revisions.names("c1")) == (1, ())
    opened.click(opened.dock.correct_panel.save)
    opened.settle()
    assert study.revisions.names("c1") == ("r0001",)


def test_a_study_that_cannot_be_reached_is_not_taken_for_an_empty_one(person: Person, study: Study) -> None:
    person.open_study(study.path)
    away = study.path.rename(study.path.with_name("away"))
    person.desk.facts.refresh()
    person.wait(lambda: person.complaints)
    person.desk.facts.refresh()
    person.settle()
    assert len(person.complaints) == 1
    assert person.complaints[0].startswith("The study's folder cannot be reached")
    assert len(person.desk.facts.now.rows) == 2
    away.rename(study.path)


@pytest.mark.slow
def test_a_folder_without_permission_is_told_by_the_real_system(opened: Person, study: Study, tmp_path: Path) -> None:
    journal = study.path / "journal"
    probe = tmp_path / "probe"
    probe.mkdir(mode=0o500)
    try:
        (probe / "x").write_text("")
    except PermissionError:
        pass
    else:
        pytest.skip("this account may write everywhere")
    journal.chmod(0o500)
    try:
        opened.drag()
        opened.wait(lambda: opened.complaints, 2.0)
    finally:
        journal.chmod(0o700)
    assert opened.complaints[0].startswith("This account may not read or change the study's folder")
