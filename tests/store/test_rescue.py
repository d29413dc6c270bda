"""Rescue journals: found again, never taken from a window at work, whole after a crash."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from builders import study as make_study
from faults import fail_from
from napari_apprentice.core.correction import Stroke
from napari_apprentice.errors import InputError, StorageError
from napari_apprentice.store.rescue import Rescues
from napari_apprentice.store.study import Study

STUDY = Path("/somewhere/liver.study")


def stroke(value: int) -> Stroke:
    zeros = np.zeros((1, 2, 3), np.uint8)
    return Stroke((0, 0, 0), zeros, zeros + value, zeros, zeros + 2)


def values(journal: object) -> list[int]:
    return [int(s.labels_after.max()) for s in journal.strokes]  # type: ignore[attr-defined]


@pytest.fixture
def rescues(tmp_path: Path) -> Rescues:
    return Rescues(tmp_path / "home" / "rescue")


def test_strokes_wait_under_their_study_and_case(rescues: Rescues) -> None:
    assert rescues.take(STUDY, "c1") == ()
    journal = rescues.begin(STUDY, "c1", "r0001", "v0002", "Ada", [stroke(1), stroke(2)])
    journal.append([stroke(3)])
    journal.release()
    assert rescues.cases(STUDY) == ("c1",)
    assert rescues.cases(STUDY.with_name("other.study")) == ()
    assert rescues.take(STUDY, "c2") == rescues.take(STUDY.with_name("other.study"), "c1") == ()
    (again,) = rescues.take(STUDY, "c1")
    assert (again.case_id, again.parent, again.model, again.author) == ("c1", "r0001", "v0002", "Ada")
    assert values(again) == [1, 2, 3]
    again.append([stroke(4)])
    again.release()
    (last,) = rescues.take(STUDY, "c1")
    assert values(last) == [1, 2, 3, 4]
    last.remove()
    assert rescues.cases(STUDY) == ()
    assert list(rescues.folder.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="permissions are for POSIX")
def test_no_other_account_may_read_them(rescues: Rescues) -> None:
    journal = rescues.begin(STUDY, "c1", None, None, "Ada", [stroke(1)])
    assert journal.path.stat().st_mode & 0o077 == 0
    assert rescues.folder.stat().st_mode & 0o077 == 0


def test_a_window_at_work_keeps_its_own(rescues: Rescues) -> None:
    journal = rescues.begin(STUDY, "c1", None, None, "Ada", [stroke(1)])
    assert rescues.take(STUDY, "c1") == ()
    assert Rescues(rescues.folder).take(STUDY, "c1") == ()
    journal.release()
    assert len(rescues.take(STUDY, "c1")) == 1


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from napari_apprentice.core.correction import Stroke
from napari_apprentice.store.rescue import Rescues
from napari_apprentice.store.study import Study
ones = np.ones((1, 2, 3), np.uint8)
stroke = Stroke((0, 0, 0), ones, ones, ones, ones)
kept = Rescues(Path(sys.argv[1])).begin(Path(sys.argv[2]), "c1", None, None, "Ada", [stroke])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is for POSIX")
def test_a_killed_window_leaves_it_to_the_next(rescues: Rescues) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(rescues.folder), str(STUDY)], check=False)
    assert ended.returncode < 0
    (journal,) = rescues.take(STUDY, "c1")
    assert values(journal) == [1]


@pytest.mark.parametrize("harm", ["torn", "damaged"])
def test_what_is_good_is_gone_on_with(rescues: Rescues, harm: str) -> None:
    journal = rescues.begin(STUDY, "c1", None, None, "Ada", [stroke(1), stroke(2), stroke(3)])
    journal.release()
    data = bytearray(journal.path.read_bytes())
    starts = [n for n in range(len(data)) if data[n : n + 4] == b"STRK"]
    if harm == "torn":
        del data[starts[3] + 30 :]
    else:
        data[starts[3] - 1] ^= 0xFF
    journal.path.write_bytes(data)
    (again,) = rescues.take(STUDY, "c1")
    good = [1, 2] if harm == "torn" else [1]
    assert values(again) == good
    again.append([stroke(9)])
    again.release()
    assert values(rescues.take(STUDY, "c1")[0]) == [*good, 9]
    kept = [p for p in rescues.folder.iterdir() if p.suffix == ".damaged"]
    assert [p.read_bytes() for p in kept] == ([bytes(data)] if harm == "damaged" else [])


def test_a_file_of_something_else_is_left_alone(rescues: Rescues) -> None:
    journal = rescues.begin(STUDY, "c1", None, None, "Ada", [stroke(1)])
    journal.release()
    journal.path.write_bytes(b"holiday photo")
    assert rescues.take(STUDY, "c1") == ()
    assert journal.path.read_bytes() == b"holiday photo"


def test_a_full_disk_leaves_nothing_half_done(rescues: Rescues, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        fail_from(patch, "os.fsync", 0)
        with pytest.raises(StorageError, match="disk is full"):
            rescues.begin(STUDY, "c1", None, None, "Ada", [stroke(1)])
    assert rescues.cases(STUDY) == ()
    journal = rescues.begin(STUDY, "c1", None, None, "Ada", [stroke(1)])
    with monkeypatch.context() as patch:
        fail_from(patch, "os.fsync", 0)
        fail_from(patch, "os.ftruncate", 0)  # nor can it be cut back
        with pytest.raises(StorageError, match="disk is full"):
            journal.append([stroke(2)])
    journal.append([stroke(3)])
    journal.release()
    assert values(rescues.take(STUDY, "c1")[0]) == [1, 3]


def test_a_case_that_is_no_name_is_refused(rescues: Rescues) -> None:
    with pytest.raises(InputError):
        rescues.begin(STUDY, "../c1", None, None, "Ada", [])


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path)


def begun(rescues: Rescues, study: Study) -> None:
    rescues.begin(study.path, "c1", None, None, "Ada", [stroke(1)], study.vault, study.study_id).release()


def waiting(rescues: Rescues, study: Study) -> list[list[int]]:
    cases = rescues.cases(study.path, study.vault, study.study_id)
    found = rescues.take(study.path, "c1", study.vault, study.study_id)
    for journal in found:
        journal.release()
    assert cases == (("c1",) if found else ())
    return [values(journal) for journal in found]


def test_a_study_that_was_moved_finds_them(rescues: Rescues, study: Study, tmp_path: Path) -> None:
    begun(rescues, study)
    moved = Study.open(study.path.rename(tmp_path / "elsewhere.study"))
    assert waiting(rescues, moved) == [[1]]


def test_a_copy_leaves_them_to_the_study_that_they_are_of(rescues: Rescues, study: Study, tmp_path: Path) -> None:
    begun(rescues, study)
    copy = Study.open(Path(shutil.copytree(study.path, tmp_path / "copy.study")))
    assert waiting(rescues, copy) == []
    assert waiting(rescues, study) == [[1]]


def test_another_study_at_the_same_place_does_not_get_them(rescues: Rescues, study: Study, tmp_path: Path) -> None:
    begun(rescues, study)
    shutil.rmtree(study.path)
    assert waiting(rescues, make_study(tmp_path)) == []
    assert len(list(rescues.folder.iterdir())) == 1


def test_one_of_an_earlier_version_is_found_by_its_place(rescues: Rescues, study: Study) -> None:
    rescues.begin(study.path, "c1", None, None, "Ada", [stroke(1)]).release()
    assert waiting(rescues, study) == [[1]]
