"""Children step back: the window, the person and the mouse go first. What they are started with."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from napari_apprentice.loop.child import environment, step_back

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="niceness and large pages are Linux's")


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


def test_what_an_apple_gpu_cannot_do_is_done_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch reads this when it is imported, so no later than in the environment."""
    monkeypatch.delenv("PYTORCH_ENABLE_MPS_FALLBACK", raising=False)
    assert environment()["PYTORCH_ENABLE_MPS_FALLBACK"] == "1"
    monkeypatch.setenv("PYTORCH_ENABLE_MPS_FALLBACK", "0")
    assert environment()["PYTORCH_ENABLE_MPS_FALLBACK"] == "0"


def test_large_pages_are_asked_for_where_told_and_never_against_the_persons_own_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert "GLIBC_TUNABLES" not in environment()
    assert "hugetlb" in environment(large_pages=True)["GLIBC_TUNABLES"]
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=0")
    assert environment(large_pages=True)["GLIBC_TUNABLES"] == "glibc.malloc.check=0"


def test_a_child_with_large_pages_starts_and_says_nothing_of_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "print(bytearray(64 << 20)[-1])"], capture_output=True, text=True,
        env=environment(large_pages=True), timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_it_starts_no_more_threads_than_a_container_has_the_time_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for name, count in (("seen_cores", 64), ("cores", 4)):
        monkeypatch.setattr(f"napari_apprentice.loop.child.{name}", lambda count=count: count)
    assert environment()["OMP_NUM_THREADS"] == "4"
    assert environment(processes=2)["OMP_NUM_THREADS"] == "2"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert environment()["OMP_NUM_THREADS"] == "3"
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr("napari_apprentice.loop.child.cores", lambda: 64)
    assert "OMP_NUM_THREADS" not in environment()
