"""Disks that fail on request, and generators run to their end."""

import builtins
import errno
import io
import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


def drain(work: Generator[Any, None, Any]) -> tuple[Any, list[Any]]:
    """Run a generator to its end; its return value, and what it reported on the way."""
    seen = []
    while True:
        try:
            seen.append(next(work))
        except StopIteration as end:
            return end.value, seen


def finish(work: Generator[Any, None, Any]) -> Any:
    """Run a generator to its end; its return value."""
    return drain(work)[0]


def sentences(work: Generator[Any, None, Any]) -> tuple[str, ...]:
    """What `check` or `repair` says at its end, as a person reads it."""
    return tuple(finding.text for finding in finish(work))


def fail_from(monkeypatch: pytest.MonkeyPatch, target: str, allowed: int, code: int = errno.ENOSPC) -> None:
    """Let a function work `allowed` times and then raise an OSError, as a full disk does."""
    module, name = target.rsplit(".", 1)
    owner = __import__(module, fromlist=[name])
    real, calls = getattr(owner, name), iter(range(allowed))

    def maybe(*args: Any, **kwargs: Any) -> Any:
        if next(calls, None) is None:
            raise OSError(code, "injected")
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, maybe)


@contextmanager
def disk_in_memory(place: Path, megabytes: int) -> Iterator[Path]:
    """A small file system of its own in a new folder; skips the test where this account may not mount one.

    A process of its own mounts it and waits for the end of this one, however that comes: nothing stays mounted.
    """
    if not sys.platform.startswith("linux"):
        pytest.skip("makes a disk in memory as Linux does")
    place.mkdir()
    words = 'mount -t tmpfs -o size="$1"m tmpfs "$0" && echo mounted && cat && exec umount --lazy "$0"'
    keeper = subprocess.Popen(
        ["sh", "-c", words, str(place), str(megabytes)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    with keeper:
        if not (keeper.stdout and keeper.stdout.readline()):
            pytest.skip("this account may not mount a disk in memory")
        yield place
    assert keeper.returncode == 0


_BY_PATH = ("mkdir", "link", "rename", "replace", "truncate", "unlink", "rmdir")
_BY_DESCRIPTOR = ("fsync", "write", "ftruncate")
_FREE = ("rename", "replace", "truncate", "ftruncate", "unlink", "rmdir")  # they need no room
_PASSING = ("open-", "clock", ".alone")  # who has a case open: nothing hangs on it


class Disk:
    """A disk of which the calls that change it fail on request, from the n-th on, or only the n-th.

    Everything below `root` lies on it. Counts making, opening for writing, renaming and linking of files and
    folders, writing to descriptors and fsync; removing and renaming only where `code` is not a full disk's.

    Parameters
    ----------
    code
        What the operating system says: errno.ENOSPC, errno.EIO ...
    """

    def __init__(self, patch: pytest.MonkeyPatch, root: Path, code: int = errno.ENOSPC) -> None:
        self.root, self.code = str(root.resolve()), code
        self.calls = self.failed = 0
        self._first = self._last = 0
        passing = _FREE if code == errno.ENOSPC else ()
        for name in {*_BY_PATH} - {*passing}:
            patch.setattr(os, name, self._by_path(getattr(os, name)))
        for name in {*_BY_DESCRIPTOR} - {*passing}:
            patch.setattr(os, name, self._by_descriptor(getattr(os, name)))
        opened = self._by_mode(io.open)
        patch.setattr(io, "open", opened)
        patch.setattr(builtins, "open", opened)

    def fail(self, first: int, *, once: bool = False) -> None:
        """From now on let the n-th call fail (1 is the next), and, unless `once`, all after it."""
        self.calls = self.failed = 0
        self._first, self._last = first, first if once else sys.maxsize

    def heal(self) -> None:
        self._first = self._last = 0

    def _count(self, place: object) -> None:
        path = os.fsdecode(place) if isinstance(place, str | bytes | os.PathLike) else ""
        # by the file's own name: the folder of a test may be called anything
        if not path.startswith(self.root) or any(name in os.path.basename(path) for name in _PASSING):  # noqa: PTH119
            return
        self.calls += 1
        if self._first <= self.calls <= self._last:
            self.failed += 1
            raise OSError(self.code, os.strerror(self.code), path)

    def _by_path(self, real: Any) -> Any:
        def call(place: Any, *rest: Any, **named: Any) -> Any:
            self._count(rest[0] if rest and isinstance(rest[0], str | os.PathLike) else place)
            return real(place, *rest, **named)

        return call

    def _by_descriptor(self, real: Any) -> Any:
        def call(descriptor: int, *rest: Any) -> Any:
            self._count(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115 - it may lead to a pipe
            return real(descriptor, *rest)

        return call

    def _by_mode(self, real: Any) -> Any:
        def call(place: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:
            if set(mode) & set("wax+"):
                self._count(place)
            return real(place, mode, *rest, **named)

        return call
