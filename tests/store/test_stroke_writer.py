"""Strokes on their way: at once for the caller, in order and durable a moment later, told when not."""

import errno
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from faults import fail_from
from napari_apprentice.core.correction import Stroke
from napari_apprentice.errors import ApprenticeError, ConflictError, StorageError
from napari_apprentice.store import stroke_writer
from napari_apprentice.store.journal import Journal
from napari_apprentice.store.rescue import Rescues
from napari_apprentice.store.stroke_writer import StrokeWriter

STUDY = Path("/somewhere/liver.study")


def stroke(value: int) -> Stroke:
    zeros = np.zeros((1, 2, 3), np.uint8)
    return Stroke((0, 0, 0), zeros, zeros + value, zeros, zeros + 2)


def values(strokes: tuple[Stroke, ...]) -> list[int]:
    return [int(s.labels_after.max()) for s in strokes]


class Desk:
    """A writer, its journal on "the study's disk", its rescue journals on this computer's, and what it told."""

    def __init__(self, folder: Path, *, with_rescue: bool = True) -> None:
        self.root = folder / "journal"
        self.root.mkdir(exist_ok=True)
        self.rescues = Rescues(folder / "rescue")
        self.told: list[ApprenticeError] = []
        self.back: list[int] = []
        rescue = lambda parent, strokes: self.rescues.begin(STUDY, "c1", parent, None, "Ada", strokes)  # noqa: E731
        self.writer = StrokeWriter(Journal(self.root), "c1", None, None, rescue=rescue if with_rescue else None)
        self.writer.listen(self.told.append, self.back.append)

    @property
    def stored(self) -> list[int]:
        content = Journal(self.root).read("c1")
        return values(content.strokes) if content else []

    @property
    def waiting(self) -> list[list[int]]:
        taken = self.rescues.take(STUDY, "c1")
        for journal in taken:
            journal.release()
        return [values(journal.strokes) for journal in taken]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.writer.settle()


def test_strokes_arrive_in_order(desk: Desk) -> None:
    for value in range(1, 101):
        desk.writer.put(stroke(value))
    desk.writer.flush()
    assert desk.stored == list(range(1, 101))
    assert (desk.writer.unwritten, desk.told) == (0, [])


def test_the_caller_does_not_wait_and_what_queues_up_is_written_together(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, appended, append = threading.Event(), [], Journal.append

    def slow(journal: Journal, case_id: str, *strokes: Stroke) -> None:
        gate.wait(30)
        appended.append(len(strokes))
        append(journal, case_id, *strokes)

    desk.writer.put(stroke(1))
    desk.writer.flush()
    monkeypatch.setattr(Journal, "append", slow)
    desk.writer.put(stroke(2))
    time.sleep(0.05)  # the thread is at the gate with the second
    before = time.perf_counter()
    for value in range(3, 13):
        desk.writer.put(stroke(value))
    assert time.perf_counter() - before < 0.5
    assert desk.writer.unwritten == 11
    assert not desk.writer.settle(0.01)
    gate.set()
    desk.writer.flush()
    assert appended == [1, 10]
    assert desk.stored == list(range(1, 13))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_what_the_study_cannot_take_is_rescued_and_comes_over_with_the_next_stroke(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    desk.writer.put(stroke(1))
    desk.writer.flush()
    with monkeypatch.context() as patch:
        fail_from(patch, "napari_apprentice.store.journal.append_durably", 0, code)
        for value in (2, 3):
            desk.writer.put(stroke(value))
            with pytest.raises(StorageError, match="kept on this computer"):
                desk.writer.flush()
    assert len(desk.told) == 1, "the same trouble is told once"
    assert (desk.writer.unwritten, desk.writer.rescued) == (0, 2)
    assert desk.stored == [1]
    assert desk.waiting == [], "it is locked while the window lives"
    assert desk.rescues.cases(STUDY) == ("c1",)
    desk.writer.put(stroke(4))
    desk.writer.flush()
    assert desk.stored == [1, 2, 3, 4]
    assert desk.rescues.cases(STUDY) == ()
    assert desk.back == [3]
    assert desk.writer.rescued == 0


def test_leaving_keeps_the_rescue_journal_for_the_next_time(desk: Desk) -> None:
    desk.root.rename(desk.root.with_name("share"))  # the network share is gone
    desk.writer.put(stroke(1))
    with pytest.raises(StorageError, match="cannot be reached"):
        desk.writer.flush()
    assert not desk.root.exists(), "nothing is laid down where the share was"
    desk.writer.put(stroke(2))
    desk.writer.leave()
    assert desk.waiting == [[1, 2]]


def test_with_both_disks_full_strokes_stay_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(tmp_path)
    with monkeypatch.context() as patch:
        fail_from(patch, "os.fsync", 0)
        desk.writer.put(stroke(1))
        with pytest.raises(StorageError, match="in memory only"):
            desk.writer.flush()
        assert desk.writer.unwritten == 1
        with pytest.raises(StorageError, match="free some space and save"):
            desk.writer.leave()
    desk.writer.flush()
    assert desk.stored == [1]
    desk.writer.leave()


def test_strokes_of_another_writer_are_never_mixed_with_ours(desk: Desk) -> None:
    desk.writer.put(stroke(1))
    desk.writer.flush()
    Journal(desk.root).append("c1", stroke(77))
    for value in (2, 3):
        desk.writer.put(stroke(value))
        with pytest.raises(ConflictError, match="Somebody else"):
            desk.writer.flush()
    assert desk.stored == [1, 77]
    assert desk.writer.unwritten == 0
    desk.writer.restart("r0001")  # saved
    assert desk.stored == [1, 77], "the journal is theirs by now"
    assert desk.rescues.cases(STUDY) == ()


def test_a_saved_case_begins_a_new_journal(desk: Desk) -> None:
    desk.writer.put(stroke(1))
    desk.writer.restart("r0001")
    assert Journal(desk.root).read("c1") is None
    desk.writer.put(stroke(2))
    desk.writer.flush()
    content = Journal(desk.root).read("c1")
    assert content is not None
    assert (content.parent, values(content.strokes)) == ("r0001", [2])


def refuse(*_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, "injected")


def test_a_journal_that_could_not_be_removed_is_written_over(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.writer.put(stroke(1))
    desk.writer.flush()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        desk.writer.restart("r0001")
    assert desk.stored == [1]
    desk.writer.put(stroke(2))
    desk.writer.flush()
    assert desk.stored == [2]


def test_a_journal_that_could_not_be_written_anew_is_ended_all_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.writer.put(stroke(1))
    desk.writer.flush()
    with monkeypatch.context() as patch:
        fail_from(patch, "napari_apprentice.store.journal.append_durably", 0)
        desk.writer.put(stroke(2))
        with pytest.raises(StorageError, match="kept on this computer"):
            desk.writer.flush()
        fail_from(patch, "os.replace", 0)
        desk.writer.restart("r0001")  # the revision took the last room
    assert (desk.stored, desk.waiting) == ([], [])
    desk.writer.put(stroke(3))
    desk.writer.flush()
    assert (desk.stored, len(desk.told)) == ([3], 1)


def test_a_torn_record_of_ones_own_does_not_keep_a_saved_journal(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.writer.put(stroke(1))
    desk.writer.flush()
    with monkeypatch.context() as patch:
        fail_from(patch, "os.fsync", 0, errno.EIO)
        fail_from(patch, "os.ftruncate", 0, errno.EIO)  # the record stays, though it was not acknowledged
        desk.writer.put(stroke(2))
        with pytest.raises(StorageError):
            desk.writer.flush()
    desk.writer.restart("r0001")
    assert (desk.stored, desk.waiting) == ([], [])
    desk.writer.put(stroke(3))
    desk.writer.flush()
    assert desk.stored == [3]


def test_a_study_that_hangs_is_told_and_its_strokes_are_rescued_meanwhile(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, append = threading.Event(), Journal.append
    desk.writer.put(stroke(1))
    desk.writer.flush()
    monkeypatch.setattr(stroke_writer, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(Journal, "append", lambda *a: gate.wait(30) and append(*a))
    desk.writer.put(stroke(2))
    end = time.monotonic() + 10
    while not desk.told and time.monotonic() < end:
        time.sleep(0.01)
    assert "does not answer" in str(desk.told[0])
    assert (desk.writer.unwritten, desk.writer.rescued) == (0, 1)
    gate.set()
    desk.writer.flush()
    assert desk.stored == [1, 2]
    assert desk.back == [1]
    assert desk.rescues.cases(STUDY) == ()


ENDS = """
import sys
from pathlib import Path
import numpy as np
from napari_apprentice.core.correction import Stroke
from napari_apprentice.store.journal import Journal
from napari_apprentice.store.stroke_writer import StrokeWriter
zeros, writer = np.zeros((20, 50, 50), np.uint8), StrokeWriter(Journal(Path(sys.argv[1])), "c1", None, None)
for n in range(20):
    writer.put(Stroke((0, 0, 0), zeros, zeros + n, zeros, zeros + 2))
"""


def test_a_script_that_just_ends_waits_for_its_strokes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", ENDS, str(tmp_path)], check=True)
    content = Journal(tmp_path).read("c1")
    assert content is not None
    assert values(content.strokes) == list(range(20))
