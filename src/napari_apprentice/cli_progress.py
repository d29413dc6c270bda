"""Progress of long work on the command line: lines on standard error."""

import sys
from collections.abc import Generator
from typing import TypeVar

from napari_apprentice.core.progress import Progress

T = TypeVar("T")


def drain(work: Generator[Progress, None, T], quiet: bool, *, counted: bool = False) -> T:
    """Follow a piece of work to its end; one line per change of text, on standard error.

    Parameters
    ----------
    quiet
        Show nothing.
    counted
        Show how many of how many are under way, where there are several.
    """
    shown = ""
    while True:
        try:
            progress = next(work)
        except StopIteration as end:
            result: T = end.value
            return result
        line = _line(progress)
        if not quiet and line != shown:
            many = counted and progress.done < progress.total > 1
            say(f"{line} ({progress.done + 1} of {progress.total})" if many else line)
            shown = line


def say(text: str) -> None:
    """A line on standard error, at once."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _line(progress: Progress) -> str:
    parts = [progress.text]
    if progress.loss is not None:
        parts.append(f"step {progress.done} of {progress.total}, loss {progress.loss:.3f}")
    if progress.dice is not None:
        parts.append(f"held-out Dice {progress.dice:.3f}")
    if progress.seconds_left is not None:
        parts.append(f"{progress.seconds_left:.0f} s left")
    return ", ".join(parts)
