"""Making sure that what was written is on the disk before anything older goes; `store.files` does it for the study."""

import errno
import os
from pathlib import Path


def sync(path: Path) -> None:
    """Make a file's bytes, or the names in a folder, durable.

    Raises
    ------
    OSError
        The disk is full or gone.
    """
    windows = os.name == "nt"
    if windows and path.is_dir():  # Windows cannot open a folder; NTFS journals the rename itself
        return
    descriptor = os.open(path, os.O_RDWR if windows else os.O_RDONLY)  # Windows flushes only what may be written
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # folders on some network shares
            raise
    finally:
        os.close(descriptor)
