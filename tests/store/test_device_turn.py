"""Training runs of several studies take turns on a device."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_apprentice.errors import Cancelled
from napari_apprentice.store import device_turn
from napari_apprentice.store.device_turn import DeviceTurn


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_turn, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(device_turn, "SETTLE_SECONDS", 0.01)


def never() -> bool:
    return False


def test_one_at_a_time_and_each_device_for_itself(tmp_path: Path) -> None:
    first, second = DeviceTurn("NVIDIA H/200", tmp_path), DeviceTurn("NVIDIA H/200", tmp_path)
    assert list(first.wait(never)) == []
    assert list(DeviceTurn("cpu", tmp_path).wait(never)) == []
    waiting = second.wait(never)
    assert next(waiting).pid == os.getpid()
    second.end()  # not its to end
    next(waiting)
    first.end()
    assert list(waiting) == []
    assert [p.suffix for p in (tmp_path / "devices").iterdir()] == [".json", ".json"]


def test_one_that_waits_can_be_cancelled(tmp_path: Path) -> None:
    first, asked = DeviceTurn("cpu", tmp_path), []
    list(first.wait(never))

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) == 3

    with pytest.raises(Cancelled, match="waited for its turn"):
        list(DeviceTurn("cpu", tmp_path).wait(cancelled))


@pytest.mark.parametrize("left", ["dead", "reborn", "torn"])
def test_what_a_dead_process_left_is_taken_over(tmp_path: Path, left: str) -> None:
    path = tmp_path / "devices" / "cpu.json"
    path.parent.mkdir()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    pid = gone.pid if left == "dead" else os.getpid()
    text = json.dumps({"pid": pid, "born": 1.0, "word": "x"})
    path.write_text(text[:5] if left == "torn" else text)
    turn = DeviceTurn("cpu", tmp_path)
    assert list(turn.wait(never)) == []
    assert json.loads(path.read_text())["pid"] == os.getpid()
    turn.end()
    assert list(path.parent.iterdir()) == []


def test_a_folder_that_cannot_be_written_keeps_nobody_from_working(tmp_path: Path) -> None:
    (tmp_path / "devices").write_text("in the way")
    turn = DeviceTurn("cpu", tmp_path)
    assert list(turn.wait(never)) == []
    turn.end()
