"""Where tracebacks go: a log file in the user's own data folder, which people send to others with a question.

What an error says may name a person: it holds the names of files and folders, and over a damaged header
values of it. So the log says which kind of error it was and where in the program, and never its words; those
are on the screen.
"""

import copy
import errno
import logging
import traceback
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType

LARGEST = 1_000_000  # bytes; then the file is put aside and a new one begun
ROOT = "napari_apprentice"


class WordlessFormatter(logging.Formatter):
    """Tracebacks with the places in the program and the kinds of errors, without what these say."""

    def format(self, record: logging.LogRecord) -> str:
        """As ever, but on a copy: formatters share what the first of them makes of an exception."""
        own = copy.copy(record)
        own.exc_text = None
        return super().format(own)

    def formatException(  # noqa: N802 - logging's name
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        """One traceback for each error of the chain, the first cause first."""
        chain: list[BaseException] = []
        error = ei[1]
        while error is not None and error not in chain:
            chain.append(error)
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\n".join(f"{''.join(traceback.format_tb(e.__traceback__))}{_kind(e)}" for e in reversed(chain))


def _kind(error: BaseException) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return f"{type(error).__qualname__}{f' {errno.errorcode.get(number, number)}' if number else ''}"


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
    handler.setFormatter(WordlessFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
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
