"""Strokes that a study could not take: told, kept, found again, brought over once, never over another's."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import study as make_study
from faults import disk_in_memory, fail_from
from napari_apprentice.errors import ApprenticeError, ConflictError, StorageError
from napari_apprentice.session import Session
from napari_apprentice.store.study import Study

BOX = (slice(1, 3), slice(2, 5), slice(2, 6))
OTHER = (slice(3, 5), slice(0, 2), slice(0, 3))


class Window:
    """A session with a case open, and what it said."""

    def __init__(self, path: Path, author: str = "Ada", case_id: str = "c1") -> None:
        self.session = Session(author)
        self.told: list[ApprenticeError] = []
        self.notices: list[str] = []
        self.session.events.went_wrong.connect(self.told.append)
        self.session.events.noticed.connect(self.notices.append)
        self.session.open_study(path)
        self.session.show_case(self.session.load_case(case_id))

    @property
    def labels(self) -> np.ndarray:
        return self.session.case.canvas.labels

    def paint(self, label: int, box: tuple[slice, slice, slice] = BOX) -> None:
        before = self.labels[box].copy()
        self.labels[box] = label
        self.session.record(box, before, self.labels[box].copy())
        self.session.case.settle()


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path)


def waiting(session: Session, study: Study) -> tuple[str, ...]:
    return session._rescues.cases(study.path, study.vault, study.study_id)


def broken(patch: pytest.MonkeyPatch) -> None:
    """From now on the study's journal takes nothing."""
    fail_from(patch, "napari_apprentice.store.journal.append_durably", 0)
    fail_from(patch, "napari_apprentice.store.journal.create_durably", 0)


def test_a_rescued_case_opens_as_it_was_left_and_comes_over(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Window(study.path)
    one.paint(1)
    with monkeypatch.context() as patch:
        broken(patch)
        one.paint(2)
        one.paint(1, OTHER)
        assert str(one.told[0]).startswith("The disk is full")
        assert "kept on this computer" in str(one.told[0])
        assert len(one.told) == 1
        one.session.close()
        two = Window(study.path)
        assert "c1 are on this computer only" in two.notices[0]
        assert "2 strokes of c1" in two.notices[1]
        assert (two.labels[BOX] == 2).all()
        assert (two.labels[OTHER] == 1).all()
        assert two.session.case.unsaved == 3
        two.session.undo()
        two.session.case.settle()
        assert (two.session.case.unwritten, two.session.case.rescued) == (0, 3)
        two.session.close()
    three = Window(study.path)
    three.session.flush()
    assert len(study.journal.read("c1").strokes) == 4
    assert waiting(three.session, study) == ()
    assert not three.labels[OTHER].any()
    three.session.close()
    assert Window(study.path).notices == []


def test_saving_brings_everything_over(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Window(study.path)
    with monkeypatch.context() as patch:
        broken(patch)
        one.paint(2)
        one.session.save()  # revisions can be written, only the journal cannot
    assert waiting(one.session, study) == ()
    assert (study.revisions.read("c1", "r0001")[0][BOX] == 2).all()
    one.session.close()
    two = Window(study.path)
    assert (two.notices, two.session.case.unsaved) == ([], 0)


def test_what_the_study_has_is_not_applied_twice(study: Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one = Window(study.path)
    with monkeypatch.context() as patch:
        broken(patch)
        one.paint(1)
        one.paint(2)
    (file,) = one.session._rescues.folder.iterdir()
    shutil.copy(file, tmp_path / "kept")
    one.session.flush()
    one.session.close()
    shutil.copy(tmp_path / "kept", file)  # as if a crash had come before it was removed
    two = Window(study.path)
    assert two.session.case.unsaved == 2
    assert not file.exists()
    two.session.save()
    two.session.close()
    shutil.copy(tmp_path / "kept", file)  # and now everything is in a revision
    three = Window(study.path)
    assert three.session.case.unsaved == 0
    assert study.revisions.names("c1") == ("r0001",)
    assert not file.exists()


def test_a_crash_between_revision_and_journal_asks_for_no_second_revision(study: Study) -> None:
    one = Window(study.path)
    one.paint(1)
    one.session.flush()
    journal = study.journal.root / "c1" / "strokes.bin"
    kept = journal.read_bytes()
    one.session.save()
    one.session.close()
    journal.parent.mkdir(exist_ok=True)
    journal.write_bytes(kept)
    two = Window(study.path)
    assert (two.session.case.unsaved, two.session.case.parent) == (0, "r0001")
    two.paint(2)
    assert two.session.save().provenance.parent == "r0001"
    assert two.notices == []


def test_a_crash_after_a_save_with_rescued_strokes_asks_for_no_second_revision(
    study: Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    one = Window(study.path)
    one.paint(1)
    one.session.flush()
    journal = study.journal.root / "c1" / "strokes.bin"
    with monkeypatch.context() as patch:
        broken(patch)
        one.paint(2)
    (rescued,) = one.session._rescues.folder.iterdir()
    shutil.copy(rescued, tmp_path / "kept")
    begun = journal.read_bytes()  # the first stroke
    with monkeypatch.context() as patch:
        broken(patch)
        one.session.save()
        one.session.close()
    journal.parent.mkdir(exist_ok=True)
    journal.write_bytes(begun)
    shutil.copy(tmp_path / "kept", rescued)  # as if the program had been killed before both were ended
    two = Window(study.path)
    assert (two.session.case.unsaved, two.session.case.parent) == (0, "r0001")
    assert not any("brought back" in notice or "revision" in notice for notice in two.notices)
    assert not rescued.exists()
    assert study.journal.read("c1") is None
    two.paint(1, OTHER)
    assert two.session.save().provenance.parent == "r0001"
    for _ in range(3):
        two.session.undo()
    assert not two.labels.any(), "undo reaches behind the save"


def test_two_windows_at_one_case_keep_their_strokes_apart(study: Study) -> None:
    ada, bob = Window(study.path), Window(study.path, "Bob")
    ada.paint(1)
    bob.paint(2, OTHER)
    assert isinstance(bob.told[0], ConflictError)
    assert (bob.session.case.unwritten, bob.session.case.rescued) == (0, 1)
    assert len(study.journal.read("c1").strokes) == 1
    bob.session.save()
    assert len(study.journal.read("c1").strokes) == 1, "Ada's strokes are still there"
    ada.paint(2)
    ada.session.save()
    assert "Bob saved r0001 of this case in the meantime" in ada.notices[-1]
    assert (study.revisions.read("c1", "r0001")[0][OTHER] == 2).all()
    assert (study.revisions.read("c1", "r0002")[0][BOX] == 2).all()
    assert waiting(ada.session, study) == ()


def test_rescued_strokes_that_fit_nothing_become_a_revision(study: Study) -> None:
    ada, bob = Window(study.path), Window(study.path, "Bob")
    ada.paint(1)
    bob.paint(2, OTHER)
    bob.session.close()
    ada.session.save()
    ada.session.close()
    again = Window(study.path, "Bob")
    assert "stored as revision r0002, because Ada saved r0001 in the meantime" in again.notices[-1]
    info = study.revisions.info("c1", "r0002").provenance
    assert (info.author, info.parent, info.origin, info.strokes) == ("Bob", None, "rescue", 1)
    assert (study.revisions.read("c1", "r0002")[0][OTHER] == 2).all()
    assert waiting(again.session, study) == ()


def test_a_share_that_is_gone_for_a_while(study: Study, tmp_path: Path) -> None:
    one = Window(study.path)
    one.paint(1)
    study.path.rename(tmp_path / "elsewhere")
    one.paint(2)
    assert "cannot be reached" in str(one.told[0])
    with pytest.raises(ApprenticeError):
        one.session.save()
    assert not study.path.exists(), "nothing is laid down where the share was"
    (tmp_path / "elsewhere").rename(study.path)
    one.paint(1, OTHER)
    one.session.flush()
    assert "brought over" in one.notices[-1]
    assert len(study.journal.read("c1").strokes) == 3
    assert waiting(one.session, study) == ()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB of its own."""
    with disk_in_memory(tmp_path / "disk", 2) as folder:
        yield folder


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    study = make_study(small_disk)
    one = Window(study.path)
    one.paint(1)
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    rng = np.random.default_rng(0)
    for _ in range(3):
        before = one.labels.copy()
        one.labels[:] = rng.integers(0, 3, one.labels.shape)
        one.session.record(tuple(slice(0, n) for n in before.shape), before, one.labels.copy())
        for _ in range(40):  # until the last free block of the file is full as well
            one.session.undo()
            one.session.redo()
        one.session.case.settle()
    assert "The disk is full" in str(one.told[0])
    assert one.session.case.rescued > 0
    assert one.session.case.unwritten == 0
    with pytest.raises(StorageError, match="disk is full"):
        one.session.save()
    mine = one.labels.copy()
    ballast.unlink()
    assert one.session.save().name == "r0001"
    np.testing.assert_array_equal(study.revisions.read("c1", "r0001")[0], mine)
    assert waiting(one.session, study) == ()


def test_a_study_that_can_only_be_read(small_disk: Path) -> None:
    study = make_study(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    one = Window(study.path)
    assert one.told == []
    one.paint(1)
    assert str(one.told[0]).startswith("The study's folder cannot be written to")
    assert "kept on this computer" in str(one.told[0])
    with pytest.raises(StorageError, match="cannot be written to"):
        one.session.save()
    one.session.close()
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    two = Window(study.path)
    two.session.flush()
    assert len(study.journal.read("c1").strokes) == 1


STEPS = st.lists(st.sampled_from(["paint", "paint", "undo", "redo", "break", "mend", "leave", "save"]), max_size=25)


@given(steps=STEPS, seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_the_label_map_is_what_was_drawn(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], seed: int
) -> None:
    folder, rng = tmp_path_factory.mktemp("study"), np.random.default_rng(seed)
    study = make_study(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APPRENTICE_HOME", str(folder / "home"))
        one = Window(study.path)
        for step in steps:
            if step == "paint":
                one.paint(int(rng.integers(0, 3)), BOX if rng.random() < 0.5 else OTHER)
            elif step == "break":
                broken(patch)
            elif step == "mend":
                patch.undo()
                patch.setenv("APPRENTICE_HOME", str(folder / "home"))
            elif step == "leave":
                drawn = one.labels.copy()
                one.session.close()
                one = Window(study.path)
                np.testing.assert_array_equal(one.labels, drawn)
            else:
                getattr(one.session, step)()
        drawn, unsaved = one.labels.copy(), one.session.case.unsaved
        one.session.close()
        patch.undo()
        patch.setenv("APPRENTICE_HOME", str(folder / "home"))
        last = Window(study.path)
        last.session.flush()
        np.testing.assert_array_equal(last.labels, drawn)
        assert last.session.case.unsaved == unsaved
        content = study.journal.read("c1")
        assert len(content.strokes if content else ()) == unsaved
        assert waiting(last.session, study) == ()
        last.session.close()


def test_who_opens_a_case_that_somebody_has_open_is_told_and_begins_apart(study: Study) -> None:
    ada = Window(study.path)
    ada.paint(1)
    ada.session.flush()
    end = time.monotonic() + 10
    while not list(study.journal.root.glob("c1/open-*.json")) and time.monotonic() < end:
        time.sleep(0.01)
    bob = Window(study.path, "Bob")
    assert bob.notices[-1].startswith("Ada has this case open on ")
    (row,) = bob.session.case_rows()
    assert [present.author for present in row.others] == ["Ada"]
    assert not bob.labels.any(), "Ada's strokes are not saved, and hers"
    bob.paint(2, OTHER)
    assert bob.session.case.unwritten == 0
    ada.session.save()
    ada.session.close()
    bob.session.save()
    assert "Ada saved r0001 of this case in the meantime" in bob.notices[-1]
    bob.session.close()
    (row,) = Window(study.path, "Carl").session.case_rows()
    assert (row.others, row.revisions) == ((), 2)


def test_a_case_that_is_opened_again_while_the_study_lacks_strokes_shows_them(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Window(study.path)
    with monkeypatch.context() as patch:
        broken(patch)
        one.paint(1)
        one.session.show_case(one.session.load_case("c1"))
        assert (one.labels[BOX] == 1).all()
        one.session.undo()
        assert not one.labels.any()
    one.session.flush()
    assert len(study.journal.read("c1").strokes) == 2
    one.session.close()


def test_a_study_that_was_moved_gets_its_rescued_strokes(
    study: Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    one = Window(study.path)
    with monkeypatch.context() as patch:
        broken(patch)
        one.paint(1)
        one.session.close()
    two = Window(study.path.rename(tmp_path / "moved.study"))
    assert "c1 are on this computer only" in two.notices[0]
    assert (two.labels[BOX] == 1).all()
    two.session.flush()
    two.session.close()


def test_the_same_stroke_drawn_by_two_is_two_strokes(study: Study) -> None:
    ada, bob = Window(study.path), Window(study.path, "Bob")
    for window in (ada, bob):
        window.session.accept_scan()
        window.session.case.settle()
    ada.session.undo()
    ada.session.close()
    bob.session.close()
    three = Window(study.path)
    assert three.session.case.unsaved == 2, "Ada took hers back"
    (revision,) = study.revisions.names("c1")
    assert (study.revisions.read("c1", revision)[1] == 1).all(), "Bob did not"
    assert study.revisions.info("c1", revision).provenance.author == "Bob"
    three.session.close()
