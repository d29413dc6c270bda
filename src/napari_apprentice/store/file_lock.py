"""A file that one process at a time has for itself."""

import sys
from typing import BinaryIO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


def lock(file: BinaryIO) -> bool:
    """Whether an open file is this object's now, until it is closed; a file system without locks never refuses."""
    try:
        if sys.platform == "win32":
            file.seek(1 << 40)  # far behind the records, which stay readable for others
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return sys.platform != "win32"
    return True
