"""Where tracebacks go: a log file in the user's own data folder."""

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

LARGEST = 1_000_000  # bytes; then the file is put aside and a new one begun
ROOT = "napari_apprentice"


def start_log(folder: Path) -> Path:
    """Write the program's log into `folder` from now on; asking again changes nothing.

    Returns
    -------
    The log file. A folder that cannot be written is no reason to stop: then there is no file.
    """
    path = folder / "apprentice.log"
    logger = logging.getLogger(ROOT)
    ours = [h for h in logger.handlers if isinstance(h, RotatingFileHandler)]
    if any(h.baseFilename == str(path) for h in ours):
        return path
    for handler in ours:
        logger.removeHandler(handler)
        handler.close()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(path, maxBytes=LARGEST, backupCount=1, encoding="utf-8", delay=True)
    except OSError:
        return path
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)
    return path


def stop_log(folder: Path) -> None:
    """Close the log file in `folder`."""
    path = folder / "apprentice.log"
    logger = logging.getLogger(ROOT)
    for handler in list(logger.handlers):
        if isinstance(handler, RotatingFileHandler) and handler.baseFilename == str(path):
            logger.removeHandler(handler)
            handler.close()
