"""Long work off the GUI thread: run it, show how far it is, let it be cancelled, say once what went wrong.

Work runs in a daemon thread, so that a training run that is only being watched never holds up the end
of the program. The thread touches nothing of Qt: it fills a mailbox that a timer of the GUI thread empties.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_apprentice.core.progress import Progress
from napari_apprentice.errors import ApprenticeError, Cancelled

log = logging.getLogger(__name__)

BEAT_MS = 40  # how often the mailboxes are looked into
REPORT_SECONDS = 0.25  # the most often progress is redrawn: curves and wrapped text cost time

Verb = Callable[[], Any]


class Work:
    """The part of a job that a thread sees: plain Python, so that no thread ever ends a Qt object.

    Parameters
    ----------
    verb
        Called in the thread; a generator it returns is driven to its end.
    """

    def __init__(self, verb: Verb) -> None:
        self.mail: deque[Progress] = deque()
        self.outcome: tuple[str, Any] | None = None
        self.stop = threading.Event()
        self._verb: Verb | None = verb

    def run(self) -> None:
        """Do it; whatever happens becomes the outcome."""
        verb, self._verb = self._verb, None
        if verb is None:
            return
        try:
            self.outcome = ("returned", self._drive(verb()))
        except Cancelled:
            self.outcome = ("cancelled", None)
        except Exception as error:  # noqa: BLE001 - whatever it is, a person must hear of it
            self.outcome = ("failed", error)

    def _drive(self, work: Any) -> Any:
        if not isinstance(work, Generator):
            return work
        while True:
            try:
                self.mail.append(next(work))
            except StopIteration as end:
                return end.value
            if self.stop.is_set():
                work.close()
                raise Cancelled("Stopped as asked.")


class Job(QObject):
    """One piece of work under way.

    Parameters
    ----------
    title
        What it does, for a person.
    verb
        Called in the thread; a generator it returns is driven to its end.
    quiet
        Not shown in the status line, such as reading the case table.
    on_cancel
        How to ask it to stop; by default its generator is closed at its next report.
    stops
        Whether it can be asked to stop at all; opening a case, for example, is too short for that.
    """

    progressed = Signal(object)
    """The reports (a tuple of `Progress`) since the last time."""
    returned = Signal(object)
    """It ended well, with this value."""
    failed = Signal(object)
    """It ended with this exception."""
    cancelled = Signal()
    """It ended because it was asked to."""
    ended = Signal()
    """It ended, however."""

    def __init__(
        self, title: str, verb: Verb, quiet: bool = False, on_cancel: Callable[[], None] | None = None,
        stops: bool = True, parent: QObject | None = None,
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self.title = title
        self.waiting = ""
        """Said behind the title until there is a first report."""
        self.quiet = quiet
        self.stops = stops
        self.cancelling = False
        self._told = 0.0
        self.last: Progress | None = None
        self._on_cancel = on_cancel
        self._work = Work(verb)

    def start(self) -> None:
        """Begin, in a thread of its own."""
        threading.Thread(target=self._work.run, name=f"apprentice {self.title}", daemon=True).start()

    def cancel(self) -> None:
        """Ask it to stop; `ended` follows when it has."""
        self.cancelling = True
        if self._on_cancel is None:
            self._work.stop.set()
        else:
            self._on_cancel()

    def abandon(self) -> None:
        """Announce and show nothing more, and stop at the next report; what runs in another process goes on."""
        self._work.stop.set()
        self.quiet = True
        self.blockSignals(True)

    @property
    def has_news(self) -> bool:
        """Whether something arrived that was not announced yet."""
        due = time.monotonic() - self._told >= REPORT_SECONDS
        return self._work.outcome is not None or (due and bool(self._work.mail))

    def deliver(self) -> bool:
        """Announce what has arrived; true when it was the last."""
        outcome = self._work.outcome  # read before the mail: what was sent before the end is delivered before it
        mail = self._work.mail
        self._told = time.monotonic()
        reports = tuple(mail.popleft() for _ in range(len(mail)))
        if reports:
            self.last = reports[-1]
            self.progressed.emit(reports)
        if outcome is None:
            return False
        kind, value = outcome
        if kind == "returned":
            self.returned.emit(value)
        elif kind == "failed":
            self.failed.emit(value)
        else:
            self.cancelled.emit()
        self.ended.emit()
        return True


class Runner(QObject):
    """Starts jobs and keeps the ones under way.

    Parameters
    ----------
    log_path
        Named to the person when something unexpected happens.
    """

    changed = Signal()
    """A job began, reported or ended."""
    said = Signal(str)
    """A sentence about what was just done, for the status line."""
    went_wrong = Signal(str)
    """A sentence the person must see."""

    def __init__(self, log_path: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._log_path = log_path
        self._jobs: list[Job] = []
        self._timer = QTimer(self)
        self._timer.setInterval(BEAT_MS)
        self._timer.timeout.connect(self._deliver)

    @property
    def shown(self) -> Job | None:
        """The job the status line is about: the newest that is not quiet."""
        return next((j for j in reversed(self._jobs) if not j.quiet), None)

    @property
    def busy(self) -> bool:
        """Whether any job is under way."""
        return bool(self._jobs)

    def run(
        self, title: str, verb: Verb, *, quiet: bool = False, on_cancel: Callable[[], None] | None = None,
        stops: bool = True,
    ) -> Job:  # fmt: skip
        """Start a job; connect to its signals at once, they come from the event loop."""
        job = Job(title, verb, quiet, on_cancel, stops, self)
        self._jobs.append(job)
        job.failed.connect(self.tell)
        job.start()
        self._timer.start()
        self.changed.emit()
        return job

    def attempt(self, verb: Verb) -> bool:
        """Do something short in this thread; an error is told and False returned."""
        try:
            verb()
        except Exception as error:  # noqa: BLE001 - whatever it is, a person must hear of it
            self.tell(error)
            return False
        return True

    def tell(self, error: Exception) -> None:
        """Say an error once, as a sentence; the traceback goes to the log, which keeps no words of it."""
        log.error("%s", type(error).__name__, exc_info=error)
        if isinstance(error, ApprenticeError):
            self.went_wrong.emit(str(error))
        else:
            kind = type(error).__name__
            self.went_wrong.emit(f"Something unexpected went wrong ({kind}: {error}). Details are in {self._log_path}.")

    def close(self) -> None:
        """Abandon everything; nothing is announced any more."""
        self._timer.stop()
        for job in self._jobs:
            job.abandon()
        self._jobs.clear()

    def _deliver(self) -> None:
        for job in list(self._jobs):
            if not job.has_news:
                continue
            if job.deliver() and job in self._jobs:
                self._jobs.remove(job)
                job.deleteLater()
            self.changed.emit()
        if not self._jobs:
            self._timer.stop()
