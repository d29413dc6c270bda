"""Whether a process that left its number behind is still there."""

import hashlib
import platform
import sys
from contextlib import suppress
from pathlib import Path

import psutil

_SAME_SECONDS = 2.0  # clocks of the operating system are read in steps


def lives(pid: int, born: float) -> bool:
    """Whether a process of this computer runs that has this number and began then.

    A number is used again after a while, so the time of birth counts too. One that ended and waits for its parent
    does nothing any more; one that may not be asked is taken to be there.

    Parameters
    ----------
    born
        Seconds since 1970, as psutil says.
    """
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - born) < _SAME_SECONDS
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return False
    except psutil.Error:
        return True


def works_on_another(pid: int, folder: Path) -> bool:
    """Whether a process was started on another folder of this name, as its last word: this one is a copy of it then.

    One that was started with other words, or whose folder was moved since, is taken to work on this one.
    """
    try:
        process = psutil.Process(pid)
        named = Path(process.cwd(), process.cmdline()[-1])
        return named.name == folder.name and named.is_dir() and not named.samefile(folder)
    except (psutil.Error, OSError, IndexError):
        return False


def place() -> str:
    """Where the number of a process means what it means here: this computer, this container, since the last start.

    Not the name of the computer, where something better is there: several may be called the same, a container is
    often called as its computer, and a laptop is called otherwise in every network.
    """
    told = platform.node()
    if sys.platform == "linux":
        with suppress(OSError):
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
            told = f"{boot}{Path('/proc/self/ns/pid').readlink()}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]
