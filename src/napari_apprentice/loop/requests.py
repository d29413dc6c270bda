"""What a warm child process is asked to do, and in which order it does it."""

import json
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.slabs import Focus
from napari_apprentice.errors import ApprenticeError
from napari_apprentice.store.documents import MALFORMED
from napari_apprentice.store.runs import RunFolder


@dataclass(frozen=True)
class WarmUp:
    """Load a model version of a study, and those that predict with it, for a request that may come.

    `case_id` is the case on the screen ("" for none): what its first slab needs is read beforehand, around slice
    `index` along z, where that is known.
    """

    study: Path
    model: str
    settings: PredictSettings
    case_id: str = ""
    index: int | None = None


Request = RunFolder | WarmUp


def on_screen(request: Request) -> bool:
    """Whether somebody waits in front of the case: such a request goes before all others."""
    return isinstance(request, RunFolder) and bool(request.request.get("on_screen"))


class Requests:
    """Lines of JSON from whoever started this process, in the order in which they are to be done.

    A run for the case on the screen goes before a cohort, also before one that is under way. Of two such
    runs the newer one wins: the older one is cancelled. When the lines end, the asker is gone, and everything
    is cancelled.

    Parameters
    ----------
    lines
        By default standard input; read in a thread of its own.
    """

    def __init__(self, lines: Iterable[str] | None = None) -> None:
        self._waiting: list[Request] = []
        self._now: list[RunFolder] = []
        self._looks: dict[str, int | None] = {}
        self._ended = False
        self._fault: Exception | None = None
        self._news = threading.Condition()
        reader = threading.Thread(target=self._read, args=(lines or sys.stdin,), name="read requests", daemon=True)
        reader.start()

    def next(self) -> Request | None:
        """Wait for the request to do next; None when there will be no more.

        Raises
        ------
        ApprenticeError, ValueError
            A request could not be understood.
        """
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._ended or self._fault)
            return self._take(lambda _: True)

    def overtaking(self, run: RunFolder) -> Request | None:
        """A request that is to be done now, before the run under way goes on; None for none. Does not wait."""
        if on_screen(run):
            return None
        with self._news:
            return self._take(on_screen)

    def others_than(self, case_id: str) -> bool:
        """Whether a run of anything but this one case is waiting, or nothing will come any more."""
        with self._news:
            runs = [r for r in self._waiting if isinstance(r, RunFolder)]
            return self._ended or any(list(r.request.get("cases", ())) != [case_id] for r in runs)

    def end(self, run: RunFolder) -> None:
        """A run that was given out is no longer under way."""
        with self._news:
            self._now.remove(run)

    def focus(self, run: RunFolder, case_id: str) -> Focus:
        """The slice along z that is looked at, for as long as the run goes on."""
        first = run.request.get("focus")
        begins = int(first) if isinstance(first, int) else None
        return lambda: self._looks.get(case_id, begins)

    def _take(self, wanted: Callable[[Request], bool]) -> Request | None:
        if self._fault is not None:
            raise self._fault
        if self._ended:
            self._waiting.clear()
        fitting = sorted((r for r in self._waiting if wanted(r)), key=lambda r: not on_screen(r))
        if not fitting:
            return None
        self._waiting.remove(fitting[0])
        if isinstance(fitting[0], RunFolder):  # in the same breath: a newer one that comes now has to find it
            self._now.append(fitting[0])
        return fitting[0]

    def _read(self, lines: Iterable[str]) -> None:
        for line in lines:
            with self._news:
                try:
                    self._hear(json.loads(line))
                except (ApprenticeError, OSError, *MALFORMED) as error:
                    self._fault = error  # whoever asked would wait for ever: the process has to end over it
                self._news.notify_all()
        with self._news:
            self._ended = True
            for run in self._now:
                _cancel(run)
            self._news.notify_all()

    def _hear(self, message: dict[str, Any]) -> None:
        if "look" in message:
            case_id, index = message["look"]
            self._looks[str(case_id)] = None if index is None else int(index)
        elif "warm" in message:
            study, model, settings = message["warm"]
            case_id, index = message.get("case", ("", None))
            self._waiting.append(WarmUp(
                Path(str(study)), str(model), PredictSettings.from_json(settings), str(case_id),
                None if index is None else int(index),
            ))  # fmt: skip
        else:
            self._add(RunFolder.at(Path(str(message["run"]))))

    def _add(self, run: RunFolder) -> None:
        if on_screen(run):
            for older in (*self._now, *self._waiting):
                if isinstance(older, RunFolder) and on_screen(older):
                    _cancel(older)
            for case_id in run.request.get("cases", ()):  # it says itself what is looked at, perhaps in another study
                self._looks.pop(str(case_id), None)
        self._waiting.append(run)


def _cancel(run: RunFolder) -> None:
    with suppress(ApprenticeError):  # it then ends after this run
        run.cancel()
