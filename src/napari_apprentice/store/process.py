"""Whether a process that left its number behind is still there."""

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
