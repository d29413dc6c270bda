"""Two people save the same case: what each sees, and one revision of both."""

from pathlib import Path

import numpy as np
import pytest

from builders import SHAPE
from builders import study as make_study
from faults import finish
from napari_apprentice.core.correction import Box
from napari_apprentice.core.merging import CONFLICT, ONLY_MINE, ONLY_THEIRS
from napari_apprentice.core.records import Revision
from napari_apprentice.errors import InputError
from napari_apprentice.loop.merging import common_ancestor
from napari_apprentice.session import Session
from napari_apprentice.store.check import check
from napari_apprentice.store.recent import RecentStudies

MINE: Box = (slice(0, 1), slice(0, 4), slice(0, 4))
THEIRS: Box = (slice(4, 6), slice(4, 8), slice(0, 4))
BOTH: Box = (slice(2, 3), slice(0, 3), slice(5, 8))


def paint(session: Session, box: Box, label: int) -> None:
    before = session.case.canvas.labels[box].copy()
    session.record(box, before, np.full_like(before, label))


@pytest.fixture
def two(tmp_path: Path) -> tuple[Session, Session]:
    """Ada and Bob with the same case open since r0001; Bob has saved r0002, Ada then r0003."""
    path = make_study(tmp_path).path
    ada, bob = (Session(name, RecentStudies(tmp_path / name)) for name in ("Ada", "Bob"))
    for session in (ada, bob):
        session.open_study(path)
    ada.show_case(ada.load_case("c1"))
    paint(ada, (slice(5, 6), slice(0, 2), slice(8, 10)), 1)
    ada.save()
    for session in (ada, bob):
        session.show_case(session.load_case("c1"))
    paint(bob, THEIRS, 2)
    paint(bob, BOTH, 2)
    bob.save()
    paint(ada, MINE, 1)
    paint(ada, BOTH, 1)
    yield ada, bob
    for session in (ada, bob):
        session.close()


def test_the_second_is_told_at_once_and_both_survive(two: tuple[Session, Session]) -> None:
    ada, _ = two
    told: list[Revision] = []
    notices: list[str] = []
    ada.events.conflicted.connect(told.append)
    ada.events.noticed.connect(notices.append)
    assert ada.save().name == "r0003"
    assert [(r.name, r.provenance.author) for r in told] == [("r0002", "Bob")]
    assert "Bob saved r0002" in notices[0]
    assert ada.study.revisions.names("c1") == ("r0001", "r0002", "r0003")
    paint(ada, MINE, 2)
    ada.save()
    assert len(told) == 1, "only once"


def test_a_merge_shows_who_did_what_and_becomes_a_revision_of_both(two: tuple[Session, Session]) -> None:
    ada, _ = two
    ada.save()
    found = ada.begin_merge("r0002")
    assert (found.mine, found.theirs.name, found.base) == ("r0003", "r0002", "r0001")
    assert found.merge.counts == {ONLY_MINE: 16, ONLY_THEIRS: 32, CONFLICT: 9}
    assert [p.voxels for p in found.places.found] == [32, 16, 9]
    ada.take_all(found, "untouched")
    assert (ada.case.canvas.labels[THEIRS] == 2).all()
    assert (ada.case.canvas.labels[BOTH] == 1).all()
    conflict = found.places.found[2]
    ada.take_place(found, conflict, "theirs")
    assert (ada.case.canvas.labels[BOTH] == 2).all()
    ada.undo()
    assert (ada.case.canvas.labels[BOTH] == 1).all()
    ada.redo()
    assert ada.case.unsaved == 4
    merged = ada.save_merge(found)
    made = merged.provenance
    assert (made.origin, made.parent, made.merged) == ("merge", "r0003", ("r0002",))
    labels, status = ada.study.revisions.read("c1", merged.name)
    assert (labels[MINE] == 1).all()
    assert (labels[THEIRS] == 2).all()
    assert (labels[BOTH] == 2).all()
    assert (status[THEIRS] == 2).all()
    with pytest.raises(InputError, match="nothing to merge"):
        ada.begin_merge("r0002")
    assert common_ancestor(ada.study, "c1", "r0002", merged.name) == "r0002"
    assert finish(check(ada.study.path)) == ()
    assert [row.origin for row in ada.case_history("c1")] == ["correction"] * 3 + ["merge"]


def test_a_merge_that_was_interrupted_is_known_from_its_strokes(two: tuple[Session, Session], tmp_path: Path) -> None:
    ada, bob = two
    ada.save()
    ada.take_all(ada.begin_merge("r0002"), "theirs")
    ada.close()
    bob.close()  # while somebody has the case open, the strokes in the journal count as theirs
    again = Session("Ada", RecentStudies(tmp_path / "Ada"))
    again.open_study(tmp_path / "test.study")
    again.show_case(again.load_case("c1"))
    assert (again.case.canvas.labels[THEIRS] == 2).all()
    made = again.save().provenance
    assert (made.origin, made.merged) == ("merge", ("r0002",))
    again.close()


def test_keeping_all_of_mine_settles_it_too(two: tuple[Session, Session]) -> None:
    ada, _ = two
    ada.save()
    found = ada.begin_merge("r0002")
    ada.take_all(found, "theirs")
    ada.take_all(found, "mine")
    assert (ada.case.canvas.labels[MINE] == 1).all()
    assert not ada.case.canvas.labels[THEIRS].any()
    assert ada.save_merge(found).provenance.merged == ("r0002",)
    with pytest.raises(InputError, match="nothing to merge"):
        ada.begin_merge("r0002")


def test_a_merge_belongs_to_its_case(two: tuple[Session, Session]) -> None:
    ada, _ = two
    ada.save()
    found = ada.begin_merge("r0002")
    ada.show_case(None)
    with pytest.raises(InputError, match="No case is open"):
        ada.take_all(found, "theirs")
    with pytest.raises(InputError, match="No case is open"):
        ada.save_merge(found)


def test_a_revision_beside_what_is_on_the_screen(two: tuple[Session, Session]) -> None:
    ada, _ = two
    found = ada.compare_with_shown("r0001")
    assert (found.pairs, found.second) == ({(0, 1): 25}, "what is on the screen")
    np.testing.assert_array_equal(found.kinds != 0, found.differs)
    assert ada.revision_labels("c1", "r0002").shape == SHAPE


def test_a_box_is_accepted_as_far_as_it_lies_in_the_scan(two: tuple[Session, Session]) -> None:
    ada, _ = two
    ada.accept_box((slice(-3, 2), slice(2, 99), slice(1, 3)))
    status = ada.case.canvas.status
    assert (status[0:2, 2:, 1:3] != 0).all()
    assert (status[0, 2:4, 1:3] == 2).all(), "what was edited stays edited"
    assert int((status == 1).sum()) == 2 * 6 * 2 - 4
    ada.undo()
    assert not (ada.case.canvas.status == 1).any()
    with pytest.raises(InputError, match="beside the scan"):
        ada.accept_box((slice(0, 1), slice(8, 9), slice(0, 1)))
