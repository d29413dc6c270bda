"""How processes beside the window are started."""

import subprocess
import sys

import pytest

from napari_apprentice.loop.child import environment


def test_large_pages_are_asked_for_where_told_and_never_against_the_persons_own_word(monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert "GLIBC_TUNABLES" not in environment()
    assert "hugetlb" in environment(large_pages=True)["GLIBC_TUNABLES"]
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=0")
    assert environment(large_pages=True)["GLIBC_TUNABLES"] == "glibc.malloc.check=0"


@pytest.mark.skipif(sys.platform != "linux", reason="large pages are Linux's")
def test_a_child_with_large_pages_starts_and_says_nothing_of_them():
    done = subprocess.run(
        [sys.executable, "-c", "print(bytearray(64 << 20)[-1])"], capture_output=True, text=True,
        env=environment(large_pages=True), timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
