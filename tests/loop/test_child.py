"""Children step back: the window, the person and the mouse go first."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from napari_apprentice.loop.child import step_back

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="niceness of sessions is Linux's")


@pytest.fixture(params=[True, False], ids=["own session", "our session"])
def child(request: pytest.FixtureRequest) -> Iterator["subprocess.Popen[bytes]"]:
    waiting = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    process = subprocess.Popen(waiting, stdin=subprocess.PIPE, start_new_session=request.param)
    yield process
    process.communicate()


def group(pid: int | str) -> str:
    place = Path(f"/proc/{pid}/autogroup")
    return place.read_text() if place.exists() else ""


def test_a_child_steps_back_behind_the_window_also_from_a_session_of_its_own(
    child: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_apprentice.loop.child.NICE", 15)  # tests side by side are as nice as children are
    ours = group("self")
    step_back(child.pid)
    assert psutil.Process(child.pid).nice() == 15
    assert group("self") == ours
    if os.getsid(child.pid) == child.pid and group(child.pid):
        assert group(child.pid).endswith("nice 15\n")


def test_one_that_has_ended_is_no_fault(child: "subprocess.Popen[bytes]") -> None:
    child.communicate()
    step_back(child.pid)
