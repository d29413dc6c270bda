"""Who has a case open: seen by others while it is, forgotten when its window is gone, in nobody's way."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_apprentice.store import presence
from napari_apprentice.store.presence import Presence
from napari_apprentice.store.process import place


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "journal").mkdir()
    return tmp_path / "journal"


@pytest.fixture
def ada(root: Path) -> Iterator[Presence]:
    made = Presence(root, "Ada")
    yield made
    made.leave(10)


def wait(until: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not until():
        assert time.monotonic() < end
        time.sleep(0.005)


def file_of(root: Path) -> Path:
    (path,) = root.glob("c1/open-*.json")
    return path


def test_others_see_who_has_a_case_open_and_when_it_is_left(root: Path, ada: Presence) -> None:
    bob = Presence(root, "Bob")
    assert bob.others("c1") == ()
    ada.enter("c1")
    wait(lambda: bob.others("c1"))
    (seen,) = bob.others("c1")
    assert (seen.author, seen.pid) == ("Ada", os.getpid())
    assert seen.sentence.startswith("Ada has this case open on ")
    assert seen.sentence.endswith("; both revisions will be kept.")
    assert bob.everyone() == {"c1": (seen,)}
    assert ada.others("c1") == (), "nobody is told of themselves"
    ada.enter("c2")
    wait(lambda: bob.everyone().keys() == {"c2"})
    ada.leave(10)
    assert bob.everyone() == {}
    assert list(root.iterdir()) == [], "nothing is left behind"


def test_two_windows_are_both_seen(root: Path, ada: Presence) -> None:
    bob, carl = Presence(root, "Bob"), Presence(root, "Carl")
    ada.enter("c1")
    bob.enter("c1")
    wait(lambda: len(carl.others("c1")) == 2)
    assert {p.author for p in carl.others("c1")} == {"Ada", "Bob"}
    bob.leave(10)
    assert [p.author for p in carl.others("c1")] == ["Ada"]


def test_the_beat_renews_the_file(root: Path, ada: Presence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "BEAT_SECONDS", 0.01)
    ada.enter("c1")
    wait(lambda: list(root.glob("c1/open-*.json")))
    file_of(root).unlink()
    wait(lambda: list(root.glob("c1/open-*.json")))


def elsewhere(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "host": "ws3", "place": "0" * 16, **changes}))


def test_a_window_on_another_computer_is_stale_by_the_file_systems_own_clock(
    root: Path, ada: Presence, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = Presence(root, "Bob")
    ada.enter("c1")
    wait(lambda: bob.others("c1"))
    elsewhere(file_of(root), pid=1 << 30)
    assert [p.host for p in bob.others("c1")] == ["ws3"]
    monkeypatch.setattr(time, "time", lambda: 0.0)  # this computer's clock is wrong by half a century
    assert bob.others("c1")
    old = file_of(root).stat().st_mtime - presence.STALE_SECONDS - 1
    os.utime(file_of(root), (old, old))
    assert bob.others("c1") == ()
    assert file_of(root).exists(), "it may come back from a sleep"


def test_a_window_on_another_computer_of_the_same_name_is_seen_and_left_alone(root: Path, ada: Presence) -> None:
    bob = Presence(root, "Bob")
    ada.enter("c1")
    wait(lambda: bob.others("c1"))
    elsewhere(file_of(root), host=presence.platform.node(), pid=1 << 30)
    assert [p.author for p in bob.others("c1")] == ["Ada"]
    assert file_of(root).exists()


GONE = """
import os, signal, sys, time
from pathlib import Path
from napari_apprentice.store.presence import Presence
Presence(Path(sys.argv[1]), "Ada").enter("c1")
while not list(Path(sys.argv[1]).glob("c1/open-*.json")):
    time.sleep(0.01)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is for POSIX")
def test_a_window_that_was_killed_is_forgotten_at_once(root: Path) -> None:
    subprocess.run([sys.executable, "-c", GONE, str(root)], check=False)
    assert file_of(root).exists()
    assert Presence(root, "Bob").others("c1") == ()
    assert not list(root.glob("c1/open-*.json"))


@pytest.mark.parametrize("since", ["0001-01-01", "9999-12-31T23:59:59", "yesterday"])
def test_a_time_that_is_none_is_passed_over_or_shown(root: Path, since: str) -> None:
    (root / "c1").mkdir()
    sound = {"author": "Eve", "host": "ws3", "pid": 1, "born": 1.0, "since": since}
    (root / "c1" / "open-00000000.json").write_text(json.dumps(sound))
    assert all(present.sentence for present in Presence(root, "Bob").others("c1"))


@pytest.mark.skipif(sys.platform == "win32", reason="pipes in folders are for POSIX")
def test_a_pipe_in_its_place_holds_nobody_up(root: Path) -> None:
    (root / "c1").mkdir()
    os.mkfifo(root / "c1" / "open-00000000.json")
    assert Presence(root, "Bob").others("c1") == ()


def test_a_process_that_got_the_number_of_a_dead_one_is_not_taken_for_it(root: Path, ada: Presence) -> None:
    bob = Presence(root, "Bob")
    ada.enter("c1")
    wait(lambda: bob.others("c1"))
    ada.leave(10)
    (root / "c1").mkdir()
    path = root / "c1" / "open-12345678.json"
    me = {"author": "Ada", "host": "ws1", "pid": os.getpid(), "born": 1.0, "since": "2020-01-01", "place": place()}
    path.write_text(json.dumps(me))
    assert bob.others("c1") == ()


def test_a_study_that_is_gone_or_cannot_be_written_is_no_error(root: Path, ada: Presence) -> None:
    root.rmdir()
    ada.enter("c1")
    time.sleep(0.05)
    assert not root.exists()
    assert ada.everyone() == {}
    ada.leave(10)
    root.write_text("no folder")
    ada.enter("c1")
    ada.leave(10)
    assert ada.others("c1") == ()


WILD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["author", "host", "pid", "born", "since", "place"]), WILD) | WILD)
def test_whatever_a_stranger_wrote_is_read_or_passed_over(
    tmp_path_factory: pytest.TempPathFactory, wild: object
) -> None:
    root = tmp_path_factory.mktemp("journal")
    (root / "c1").mkdir()
    sound = {"author": "Eve\n\x1b[31m" * 50, "host": "ws3", "pid": 1, "born": 1.0, "since": "2026-01-01T10:00:00+00:00"}
    written = {**sound, **wild} if isinstance(wild, dict) else wild
    (root / "c1" / "open-00000000.json").write_text(json.dumps(written))
    for present in Presence(root, "Bob").others("c1"):
        assert len(present.author) <= 60
        assert present.sentence.isprintable()


def test_leaving_does_not_wait_for_a_slow_disk(ada: Presence, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(presence, "_write", lambda *_: gate.wait(30))
    before = time.monotonic()
    ada.enter("c1")
    ada.leave()
    ada.leave(0.05)
    assert time.monotonic() - before < 5
    gate.set()


def test_opening_the_same_case_again_is_still_seen(root: Path, ada: Presence, monkeypatch: pytest.MonkeyPatch) -> None:
    bob, real = Presence(root, "Bob"), presence.remove_quietly

    def slowly(path: Path) -> None:
        time.sleep(0.1)
        real(path)

    ada.enter("c1")
    wait(lambda: bob.others("c1"))
    monkeypatch.setattr(presence, "remove_quietly", slowly)
    ada.enter("c1")
    assert ada.others("c1") == (), "nobody is told of what they themselves left a moment ago"
    time.sleep(0.5)  # the window that was left has taken its sign away by now
    assert [present.author for present in bob.others("c1")] == ["Ada"]
