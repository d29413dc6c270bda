"""What this process may use of its computer: a container or a job of a cluster may have far less than all of it."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_LIMITS = ("memory.max", "memory.high", "memory.limit_in_bytes")  # the last one is of version 1
_USED = ("memory.current", "memory.usage_in_bytes")
# The kernel gives these up before it ends a process; version 1 counts those of groups below under the second names.
_CACHE = ("inactive_file", "active_file", "slab_reclaimable")


@dataclass(frozen=True)
class Memory:
    """Bytes that can be had, and all there are."""

    free: int
    total: int


@dataclass(frozen=True)
class ControlGroups:
    """The limits that Linux sets to a process by its control groups (cgroups), of version 1 and 2.

    https://docs.kernel.org/admin-guide/cgroup-v2.html and .../cgroup-v1/memory.html.

    Parameters
    ----------
    root
        Where the groups are mounted.
    own
        The file that names those of this process.
    """

    root: Path = Path("/sys/fs/cgroup")
    own: Path = Path("/proc/self/cgroup")

    def memory(self) -> Iterator[Memory]:
        """What each group that has a limit leaves; a group is bound by all those above it."""
        for folder in self._folders("memory"):
            limits = [n for name in _LIMITS if (n := _number(folder / name)) is not None]
            used = next((n for name in _USED if (n := _number(folder / name)) is not None), None)
            if limits and used is not None:
                yield Memory(max(0, min(limits) - used + _cache(folder)), min(limits))

    def cores(self) -> Iterator[float]:
        """Of how many cores each group that has a quota may have the time."""
        for folder in self._folders("cpu"):
            older = [*_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us")]
            for words in (_words(folder / "cpu.max"), older):
                if len(words) == 2 and all(word.isdecimal() for word in words):  # not "max", and not -1
                    yield int(words[0]) / int(words[1])

    def _folders(self, controller: str) -> Iterator[Path]:
        """The group that this process is in and all above it.

        In a container the path may be that on the host, which is not seen from there: the top one is its own then.
        """
        for line in _lines(self.own):
            _, names, path = line.split(":", 2)
            if names and controller not in names.split(","):
                continue
            mount = self.root / controller if names else self.root
            group = mount if ".." in path else mount / path.strip("/")
            yield from (f for f in (group, *group.parents) if f == mount or mount in f.parents)


def memory(groups: ControlGroups | None = None) -> Memory:
    """What of the computer's memory this process can still have."""
    here = psutil.virtual_memory()
    found = [Memory(here.available, here.total), *(groups or ControlGroups()).memory()]
    return Memory(min(m.free for m in found), min(m.total for m in found))


def cores(groups: ControlGroups | None = None) -> int:
    """How many cores this process can keep busy."""
    return max(1, min([seen_cores(), *map(math.ceil, (groups or ControlGroups()).cores())]))


def seen_cores() -> int:
    """How many cores this process may run on, whatever share of their time it gets; so many threads libraries start."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cache(folder: Path) -> int:
    stat = dict(line.split(" ", 1) for line in _lines(folder / "memory.stat") if " " in line)
    return sum(int(stat.get(f"total_{name}", stat.get(name, 0))) for name in _CACHE)


def _number(path: Path) -> int | None:
    text = "".join(_words(path))
    return int(text) if text.isdecimal() else None  # "max" is none


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
