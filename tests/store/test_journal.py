import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import SHAPE, study
from faults import fail_from, finish
from napari_apprentice.core.correction import Canvas, Stroke
from napari_apprentice.core.records import Provenance
from napari_apprentice.errors import ConflictError, InputError, StorageError, StudyError
from napari_apprentice.store.check import check
from napari_apprentice.store.journal import FILE, Journal


def _stroke(value: int, dtype=np.uint8) -> Stroke:
    shape = (2, 3, value)
    return Stroke(
        (1, 2, 3),
        np.zeros(shape, dtype),
        np.full(shape, value, dtype),
        np.zeros(shape, np.uint8),
        np.full(shape, 2, np.uint8),
        "paint",
        0.25 * value,
    )


def _values(content) -> list[int]:
    return [int(s.labels_after.max()) for s in content.strokes]


def _filled(journal: Journal, count: int = 3):
    journal.start("c1", "r0001", "v0002")
    for n in range(1, count + 1):
        journal.append("c1", _stroke(n))
    return journal.root / "c1" / FILE


def test_strokes_come_back_in_order(tmp_path):
    journal = Journal(tmp_path)
    assert journal.read("c1") is None
    assert not journal.started("c1")
    journal.start("c1", "r0001", None)
    assert not journal.started("c1")
    stroke = _stroke(300, np.uint16)
    journal.append("c1", stroke)
    content = Journal(tmp_path).read("c1")
    assert (content.parent, content.model, content.damaged) == ("r0001", None, False)
    (again,) = content.strokes
    assert (again.start, again.tool, again.seconds) == (stroke.start, stroke.tool, stroke.seconds)
    for name in ("labels_before", "labels_after", "status_before", "status_after"):
        np.testing.assert_array_equal(getattr(again, name), getattr(stroke, name))
        assert getattr(again, name).dtype == getattr(stroke, name).dtype
    assert journal.started("c1")


def test_replaying_gives_the_canvas_back(tmp_path):
    journal, zeros = Journal(tmp_path), np.zeros(SHAPE, np.uint8)
    canvas, random = Canvas(zeros.copy(), zeros.copy()), np.random.default_rng(0)
    journal.start("c1", None, None)
    for _ in range(20):
        box = (slice(1, 4), slice(2, 5), slice(0, 7))
        stroke = canvas.paint(box, random.integers(0, 3, (3, 3, 7)).astype(np.uint8))
        journal.append("c1", stroke)
    replayed = Canvas(zeros.copy(), zeros.copy())
    for stroke in journal.read("c1").strokes:
        replayed.apply(stroke)
    np.testing.assert_array_equal(replayed.labels, canvas.labels)
    np.testing.assert_array_equal(replayed.status, canvas.status)


def test_closing_removes_it(tmp_path):
    journal = Journal(tmp_path)
    _filled(journal)
    journal.close("c1")
    assert journal.read("c1") is None
    assert list(tmp_path.iterdir()) == []
    journal.close("c1")


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_torn_end_costs_at_most_the_last_stroke(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("journal")
    path = _filled(Journal(root))
    whole = path.read_bytes()
    Journal(root).close("c1")
    starts = [n for n in range(len(whole)) if whole[n : n + 4] == b"STRK"]
    cut = data.draw(st.integers(starts[1], len(whole)))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(whole[:cut] + bytes(data.draw(st.sampled_from([0, 1, 512]))))
    complete = sum(1 for start in [*starts[2:], len(whole)] if start <= cut)
    content = Journal(root).read("c1")
    assert (_values(content), content.damaged) == ([1, 2, 3][:complete], False)
    again = Journal(root)
    again.append("c1", _stroke(9))
    assert _values(again.read("c1")) == [*[1, 2, 3][:complete], 9]


def test_damage_in_the_middle_keeps_what_is_before_it(tmp_path):
    journal = Journal(tmp_path)
    path = _filled(journal, 4)
    data = bytearray(path.read_bytes())
    third = [n for n in range(len(data)) if data[n : n + 4] == b"STRK"][3]
    for offset in (third + 5, third + 40):
        harmed = data.copy()
        harmed[offset] ^= 0xFF
        path.write_bytes(harmed)
        content = journal.read("c1")
        assert (_values(content), content.damaged) == ([1, 2], True)
    fresh = Journal(tmp_path)
    fresh.append("c1", _stroke(9))
    assert _values(fresh.read("c1")) == [1, 2, 9]
    assert [p for p in path.parent.iterdir() if p.suffix == ".damaged"], "the damaged bytes are kept"


def test_a_damaged_beginning_is_told_and_kept(tmp_path):
    journal = Journal(tmp_path)
    path = _filled(journal)
    path.write_bytes(b"\xff" + path.read_bytes()[1:])
    with pytest.raises(StudyError, match="beginning"):
        journal.read("c1")
    with pytest.raises(StudyError, match="beginning"):
        Journal(tmp_path).append("c1", _stroke(4))
    journal.start("c1", None, None)
    assert [p for p in path.parent.iterdir() if p.suffix == ".damaged"]


def test_starting_never_discards_strokes(tmp_path):
    journal = Journal(tmp_path)
    _filled(journal)
    with pytest.raises(ConflictError, match="no revision"):
        Journal(tmp_path).start("c1", None, None)
    assert _values(journal.read("c1")) == [1, 2, 3]


def test_a_second_window_is_told(tmp_path):
    one, two = Journal(tmp_path), Journal(tmp_path)
    _filled(one, 1)
    two.append("c1", _stroke(2))
    with pytest.raises(ConflictError, match="Another window"):
        one.append("c1", _stroke(3))
    assert _values(one.read("c1")) == [1, 2]


def test_appending_before_starting_is_refused(tmp_path):
    with pytest.raises(InputError, match="not started"):
        Journal(tmp_path).append("c1", _stroke(1))
    with pytest.raises(InputError):
        Journal(tmp_path).start("../c1", None, None)


def test_a_full_disk_keeps_the_strokes_before(tmp_path, monkeypatch):
    made, zeros = study(tmp_path), np.zeros(SHAPE, np.uint8)
    made.split.assign("s1")
    made.revisions.save("c1", zeros, zeros, Provenance("Ada"))
    _filled(made.journal, 2)
    with monkeypatch.context() as patch:
        fail_from(patch, "os.fsync", 0)
        with pytest.raises(StorageError, match="disk is full"):
            made.journal.append("c1", _stroke(3))
    assert _values(made.journal.read("c1")) == [1, 2]
    assert finish(check(made.path)) == ()
    made.journal.append("c1", _stroke(3))
    assert _values(made.journal.read("c1")) == [1, 2, 3]


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from napari_apprentice.core.correction import Stroke
from napari_apprentice.store.journal import Journal
journal, zeros = Journal(Path(sys.argv[1])), np.zeros((1, 1, 1), np.uint8)
journal.start("c1", None, None)
for n in range(10):
    journal.append("c1", Stroke((0, 0, 0), zeros, zeros + n, zeros, zeros + 2))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is for POSIX")
def test_every_stroke_survives_a_kill(tmp_path):
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert ended.returncode < 0
    assert _values(Journal(tmp_path).read("c1")) == list(range(10))


def test_a_journal_that_a_disk_took_and_then_denied_is_not_taken_for_anothers(tmp_path, monkeypatch):
    journal = Journal(tmp_path)
    with monkeypatch.context() as patch:
        (tmp_path / "c1").mkdir()
        fail_from(patch, "napari_apprentice.store.files.sync_folder", 0, 5)
        patch.setattr("napari_apprentice.store.files.remove_quietly", lambda _: None)  # nor can it take it back
        with pytest.raises(StorageError):
            journal.start("c1", None, None, [_stroke(1)])
    assert _values(journal.read("c1")) == [1], "the name was there before the disk failed"
    with pytest.raises(ConflictError):
        Journal(tmp_path).start("c1", None, None, [_stroke(3)])
    journal.start("c1", None, None, [_stroke(1), _stroke(2)])
    assert _values(journal.read("c1")) == [1, 2]


def test_a_saved_journal_takes_the_name_of_its_revision(tmp_path):
    journal, strokes = Journal(tmp_path), [_stroke(1), _stroke(2)]
    path = _filled(journal, 2)
    whole = path.read_bytes()
    journal.archive("c1", "r0002", "r0001", "v0002", strokes)
    assert (journal.read("c1"), journal.archives("c1")) == (None, ("r0002",))
    assert path.with_name("r0002.bin").read_bytes() == whole, "renamed, not written again"
    found = journal.archive_of("c1", "r0002")
    assert (found.parent, found.model, len(found.strokes)) == ("r0001", "v0002", 2)
    assert [int(kept.stroke().labels_after.max()) for kept in found.strokes] == [1, 2]
    with pytest.raises(InputError):
        journal.archived("../c1", "r0002")


def test_strokes_that_the_journal_lacks_are_written_under_the_revisions_name(tmp_path):
    ours, theirs = Journal(tmp_path), Journal(tmp_path)
    _filled(theirs, 1)
    ours.archive("c1", "r0001", None, None, [_stroke(4)])
    assert _values(theirs.read("c1")) == [1], "it is another's"
    assert _values(ours.archived("c1", "r0001")) == [4]
    theirs.archive("c1", "r0002", "r0001", "v0002", [_stroke(1), _stroke(2)])  # the disk did not take the second
    assert theirs.read("c1") is None
    assert _values(theirs.archived("c1", "r0002")) == [1, 2]
