"""Two people at one study: who is there is seen, both saves survive, and a merge makes one of them."""

import numpy as np
import pytest
from driving import Person
from people import Visitor
from qtpy.QtCore import Qt

from faults import finish
from napari_apprentice.gui import presence_watch
from napari_apprentice.store.check import check
from napari_apprentice.store.study import Study

pytestmark = pytest.mark.window

SHIFT = Qt.KeyboardModifier.ShiftModifier


def paint(person: Person, label: int, *edges: int) -> None:
    """One stroke as a paint tool leaves it: in the layer already, then recorded."""
    box = tuple(slice(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True))
    canvas = person.session.case.canvas
    before = canvas.labels[box].copy()
    canvas.labels[box] = label
    person.session.record(box, before, canvas.labels[box].copy())


@pytest.fixture
def conflict(person: Person, study: Study) -> Person:
    """Bob saved r0002 of c1 while I worked on it since r0001; then I saved r0003."""
    person.open_study(study.path)
    person.open_case("c1")
    paint(person, 1, 0, 1, 0, 2, 0, 2)
    person.click(person.dock.correct_panel.save)
    person.settle()
    with Visitor(study.path, "Bob") as bob:
        bob.do("open c1")
        bob.do("paint 2 4 6 0 4 0 4")
        bob.do("paint 2 2 3 4 8 4 8")
        bob.do("save")
        paint(person, 1, 2, 3, 4, 8, 4, 9)
        paint(person, 1, 3, 4, 0, 2, 0, 2)
        person.click(person.dock.correct_panel.save)
        person.settle()
    return person


@pytest.mark.slow
def test_who_is_there_is_seen_without_opening_again(
    person: Person, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_watch, "BEAT_MS", 50)
    person.desk._present._timer.setInterval(50)
    person.open_study(study.path)
    person.open_case("c1")
    table, line = person.dock.study_panel.table, person.dock.correct_panel.others
    assert not line.isVisibleTo(person.dock)
    with Visitor(study.path, "Bob") as bob:
        bob.do("open c1")
        person.wait(lambda: line.isVisibleTo(person.dock))
        assert line.text().startswith("Bob has this case open on ")
        assert table.model().index(0, 2).data() == "open: Bob"
        bob.do("open c2")
        person.wait(lambda: table.model().index(1, 2).data() == "open: Bob")
        assert table.model().index(0, 2).data() != "open: Bob"
        assert not line.isVisibleTo(person.dock)
    person.wait(lambda: table.model().index(1, 2).data() != "open: Bob")
    assert person.complaints == []


def test_opening_a_case_asks_at_once(person: Person, study: Study) -> None:
    person.open_study(study.path)
    with Visitor(study.path, "Bob") as bob:
        bob.do("open c2")
        person.open_case("c2")
        person.wait(lambda: person.dock.correct_panel.others.isVisibleTo(person.dock), 5)
    assert any("Bob has this case open" in notice for notice in person.notices)


@pytest.mark.slow
def test_whoever_was_there_before_is_named_beside_the_case(person: Person, study: Study) -> None:
    with Visitor(study.path, "Bob") as bob:
        bob.do("open c2")
        person.open_study(study.path)
        assert person.desk.facts.now.row("c2").others, "the table knows it before the case is opened"
        person.open_case("c2")
        line = person.dock.correct_panel.others
        assert line.isVisibleTo(person.dock)
        assert line.text().startswith("Bob has this case open on ")
        person.open_case("c1")
        assert not line.isVisibleTo(person.dock)


def test_a_study_that_is_gone_asks_in_vain_and_in_silence(person: Person, study: Study) -> None:
    person.desk._present._timer.setInterval(30)
    person.open_study(study.path)
    aside = study.path.rename(study.path.with_name("away"))
    person.rest(0.5)
    aside.rename(study.path)
    person.rest(0.2)
    assert person.complaints == []
    assert len(person.desk.facts.now.rows) == 2


def test_the_second_who_saves_is_told_at_once_and_merges(conflict: Person, study: Study) -> None:
    person, panel = conflict, conflict.dock.correct_panel
    assert study.revisions.names("c1") == ("r0001", "r0002", "r0003")
    assert any("Bob saved r0002 of this case in the meantime. Both are kept" in n for n in person.notices)
    assert person.said[-1] == "Saved. Bob saved r0002 meanwhile: both are kept, Merge shows where you differ."
    assert panel.merge.isVisibleTo(person.dock)
    assert panel.merge.text() == "Merge with r0002 ..."
    person.click(panel.merge)
    person.wait(lambda: "Merge" in person.viewer.window.dock_widgets)
    person.settle()
    merge = person.viewer.window.dock_widgets["Merge"]
    assert "Bob saved r0002 since r0001, which both began with" in merge.guide.text()
    for text in ("only I did: <b>8</b>", "only Bob did: <b>32</b>", "both did, otherwise: <b>16</b>"):
        assert text in merge.legend.text()
    assert merge.save.text() == "Save merge (1 conflict undecided)"
    assert "Place 1 of 4: 32 voxels, only Bob did; now mine" in merge.places.text.text()
    canvas = person.session.case.canvas
    for purpose in ("differences", "revision"):
        layer = person.desk._extras.get(purpose)
        assert layer.extent.world.tobytes() == person.desk.layers.labels.extent.world.tobytes()

    person.press(Qt.Key.Key_T, SHIFT)
    assert (canvas.labels[4:6, 0:4, 0:4] == 2).all()
    assert "Place 2 of 4: 16 voxels, both did, otherwise; now mine" in merge.places.text.text()
    person.click(merge.theirs)
    assert (canvas.labels[2, 4:8, 4:8] == 2).all()
    assert merge.save.text() == "Save merge"
    person.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert (canvas.labels[2, 4:8, 4:8] == 1).all()
    person.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | SHIFT)
    assert (canvas.labels[2, 4:8, 4:8] == 2).all()
    person.click(merge.save)
    person.settle()
    merged = study.revisions.newest("c1")
    made = merged.provenance
    assert (merged.name, made.origin, made.parent, made.merged) == ("r0004", "merge", "r0003", ("r0002",))
    np.testing.assert_array_equal(study.revisions.read("c1", "r0004")[0], canvas.labels)
    assert (canvas.labels[3, 0:2, 0:2] == 1).all(), "what only I did stays"
    assert "Merge" not in person.viewer.window.dock_widgets
    assert not panel.merge.isVisibleTo(person.dock)
    assert [x.name for x in person.viewer.layers] == ["c1", "Status", "Corrections"]
    assert finish(check(study.path)) == ()
    assert person.complaints == []


@pytest.mark.slow
def test_all_at_once_and_leaving(conflict: Person) -> None:
    person, panel = conflict, conflict.dock.correct_panel
    mine = person.session.case.canvas.labels.copy()
    person.click(panel.merge)
    person.wait(lambda: "Merge" in person.viewer.window.dock_widgets)
    person.settle()
    merge = person.viewer.window.dock_widgets["Merge"]
    labels = person.session.case.canvas.labels
    person.click(merge.untouched)
    assert (labels[4:6, 0:4, 0:4] == 2).all()
    np.testing.assert_array_equal(labels[:4], mine[:4])
    assert merge.save.text() == "Save merge (1 conflict undecided)"
    person.click(merge.all_theirs)
    assert (labels[2, 4:8, 4:8] == 2).all()
    assert not labels[3, 0:2, 0:2].any()
    person.click(merge.all_mine)
    np.testing.assert_array_equal(labels, mine)
    person.click(merge.end)
    person.rest(0.1)
    assert "Merge" not in person.viewer.window.dock_widgets
    assert panel.merge.isVisibleTo(person.dock), "it can be begun again"
    person.open_case("c2")
    assert not panel.merge.isVisibleTo(person.dock)
    assert person.complaints == []


@pytest.mark.slow
def test_any_revision_can_be_merged_from_the_history(conflict: Person) -> None:
    person, panel = conflict, conflict.dock.correct_panel
    person.click(panel.history)
    history = person.viewer.window.dock_widgets["History"]
    person.wait(lambda: history.table.rowCount() == 3)
    history.table.selectRow(2)
    person.click(history.merge)
    person.wait(lambda: person.complaints)
    assert "Everything in r0001 is a part of what is open already" in person.complaints[0]
    history.table.selectRow(1)
    person.click(history.merge)
    person.wait(lambda: "Merge" in person.viewer.window.dock_widgets)
    person.settle()
    assert person.desk.merges.merging is not None
    history.table.selectRow(2)
    person.click(history.compare)
    person.wait(lambda: person.desk.back.comparison is not None)
    person.settle()
    assert person.desk.merges.merging is None, "one thing is compared at a time"
    assert "Merge" not in person.viewer.window.dock_widgets
    assert person.desk._extras.get("differences").name.startswith("Differences r0001")
