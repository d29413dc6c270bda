"""Strokes on their way to the disk: taken at once, made durable in order by a thread of its own."""

import atexit
import logging
import threading
from collections.abc import Callable, Sequence

from napari_apprentice.core.correction import Stroke
from napari_apprentice.errors import ApprenticeError, ConflictError, StorageError
from napari_apprentice.store.journal import Journal
from napari_apprentice.store.rescue import RescueJournal
from napari_apprentice.store.shelf import Shelf, Shelved

log = logging.getLogger(__name__)

LINGER_SECONDS = 10.0  # how long the thread waits for another stroke before it ends
PATIENCE_SECONDS = 3.0  # a study that takes longer than this does not answer
LEAVE_SECONDS = 10.0  # the longest that leaving a case waits for the disk

Rescue = Callable[[str | None, Sequence[Shelved]], RescueJournal]
"""Makes a rescue journal for strokes drawn on a revision (its name, or None)."""


class StrokeWriter:
    """Writes one case's strokes into the study's journal; where that fails, into a rescue journal.

    Strokes that arrive while one is being written are written together, with one fsync. All of them can be had
    again: they are on a shelf, the oldest in a file.

    Parameters
    ----------
    journal
        This writer's own, see `Journal`.
    case_id, parent, model
        Whose strokes, and what they are drawn on.
    strokes
        Those since `parent` that are known already, oldest first.
    stored
        How many of them are in the study's journal.
    rescue
        Where to go with strokes that the study cannot take; None for nowhere.
    rescued
        A rescue journal that holds all of `strokes`.
    shelf
        Where strokes are kept.
    base
        Digest of the model version's prediction; "" for none.
    """

    def __init__(
        self, journal: Journal, case_id: str, parent: str | None, model: str | None,
        strokes: Sequence[Stroke] = (), stored: int = 0,
        rescue: Rescue | None = None, rescued: RescueJournal | None = None,
        shelf: Shelf | None = None, base: str = "",
    ) -> None:  # fmt: skip
        self._journal = journal
        self._case_id = case_id
        self._parent = parent
        self._model = model
        self._base = base
        self._shelf = shelf or Shelf()
        self._strokes = self._shelf.add_all(strokes)
        self._stored = stored
        self._started = stored > 0
        self._rescue = rescue
        self._rescued = rescued
        self._saved_apart = len(self._strokes) if rescued else 0
        self._rescuing = threading.Lock()
        self._state = threading.Condition()
        self._thread: threading.Thread | None = None
        self._asked = self._busy = False
        self._error: ApprenticeError | None = None
        self._told: str | None = None
        self._failed: Callable[[ApprenticeError], None] = _to_nobody
        self._recovered: Callable[[int], None] = _to_nobody

    def listen(self, failed: Callable[[ApprenticeError], None], recovered: Callable[[int], None]) -> None:
        """Say whom to tell that the study cannot be written, and that it can again (how many strokes came over).

        Both are called from the writer's thread, once for each time that something changes.
        """
        self._failed, self._recovered = failed, recovered

    @property
    def unwritten(self) -> int:
        """Strokes that no disk has taken yet."""
        return len(self._strokes) - max(self._stored, self._saved_apart)

    @property
    def rescued(self) -> int:
        """Strokes that only the rescue journal has."""
        return max(0, self._saved_apart - self._stored)

    @property
    def strokes(self) -> tuple[Shelved, ...]:
        """All strokes since the revision, oldest first."""
        return tuple(self._strokes)

    def put(self, stroke: Stroke, schema: tuple[int, ...] | None = None) -> Shelved:
        """Take a stroke; it is written soon. A journal that it begins keeps the ids of labels there are, `schema`."""
        if not self._strokes:
            self._journal.schema = schema
        kept = self._shelf.add(stroke)
        with self._state:
            self._strokes.append(kept)
            self._ask()
        return kept

    def retry(self) -> None:
        """Try again to bring over what the study lacks; returns at once."""
        with self._state:
            if self._stored < len(self._strokes):
                self._ask()

    def flush(self) -> None:
        """Wait until every stroke is durable in the study.

        Raises
        ------
        StorageError, ConflictError
            The study cannot take them; they are in the rescue journal, or, as `unwritten` says, in memory.
        """
        self.retry()
        self.settle(None)
        if self._stored < len(self._strokes):
            raise self._error or StorageError(f"The strokes of case {self._case_id} are not stored yet. Try again.")

    def settle(self, seconds: float | None = LEAVE_SECONDS) -> bool:
        """Wait until nothing is being written; False when that took longer."""
        with self._state:
            return self._state.wait_for(lambda: not self._asked and not self._busy, seconds)

    def restart(self, parent: str) -> None:
        """Begin anew on a revision that holds every stroke so far; their journal takes the revision's name."""
        self.settle()
        try:
            if self._strokes:
                self._journal.archive(self._case_id, parent, self._parent, self._model, self._strokes)
        except StorageError as error:  # the strokes are in the revision: nothing is lost but the way back behind it
            log.warning("%s", error)
        with self._rescuing:
            if self._rescued is not None:
                self._rescued.remove()
            self._rescued, self._saved_apart = None, 0
        with self._state:
            self._strokes.clear()
            self._parent, self._stored, self._started = parent, 0, False
        self._error = self._told = None

    def leave(self) -> None:
        """Wait for the disk and let go of the case.

        Raises
        ------
        StorageError
            Some strokes are in memory only; they stay here, and this can be tried again.
        """
        self.settle()
        if self.unwritten:
            raise StorageError(
                f"{self.unwritten} strokes of case {self._case_id} are in memory only, because the disk could not "
                "take them: free some space and save."
            ) from self._error
        with self._rescuing:
            if self._rescued is not None:
                self._rescued.release()

    # ------------------------------------------------------------ the thread

    def _ask(self) -> None:
        self._asked = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"strokes of {self._case_id}", daemon=True)
            atexit.register(self._at_exit)  # a script that just ends waits for its strokes
            self._thread.start()
        self._state.notify_all()

    def _at_exit(self) -> None:
        self.settle()

    def _run(self) -> None:
        while True:
            with self._state:
                if not self._state.wait_for(lambda: self._asked, LINGER_SECONDS):
                    self._thread = None
                    atexit.unregister(self._at_exit)
                    return
                self._asked, self._busy = False, True
                batch = self._strokes[self._stored :]
            try:
                for kept in batch:
                    kept.settle()
                if batch:
                    self._write(batch)
            except Exception as error:
                log.error("%s", type(error).__name__, exc_info=error)
            finally:
                with self._state:
                    self._busy = False
                    self._state.notify_all()

    def _write(self, batch: Sequence[Shelved]) -> None:
        watch = threading.Timer(PATIENCE_SECONDS, self._does_not_answer)
        watch.daemon = True
        watch.start()
        try:
            self._store(batch)
        except ApprenticeError as error:
            self._complain(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, a person must hear of it
            self._complain(StorageError(f"Strokes of case {self._case_id} could not be stored ({error})."))
        else:
            self._succeed(len(batch))
        finally:
            watch.cancel()

    def _store(self, batch: Sequence[Shelved]) -> None:
        if self._started:
            self._journal.append(self._case_id, *batch)
        else:
            self._journal.start(self._case_id, self._parent, self._model, batch, self._base)
            self._started = True

    def _succeed(self, count: int) -> None:
        self._stored += count
        came_over, self._error, self._told = self._told is not None, None, None
        with self._rescuing:
            if self._rescued is not None:
                came_over = True
                self._rescued.remove()
            self._rescued, self._saved_apart = None, 0
        if came_over:
            self._recovered(count)

    def _does_not_answer(self) -> None:
        self._complain(StorageError("The study's folder does not answer."))

    def _complain(self, error: ApprenticeError) -> None:
        safe = self._save_apart()
        if isinstance(error, ConflictError):
            error = ConflictError(
                f"Somebody else corrects case {self._case_id} as well. Go on and save: both revisions will be kept."
            )
        kept = "kept on this computer and comes over" if safe else "in memory only and is written"
        error = type(error)(f"{error} What you draw meanwhile is {kept} with the next stroke or save that works.")
        self._error = error
        if self._told != str(error):
            self._told = str(error)
            self._failed(error)

    def _save_apart(self) -> bool:
        """Bring the rescue journal up to date; whether it is."""
        if self._rescue is None:
            return False
        with self._rescuing:
            strokes = list(self._strokes)
            try:
                if self._rescued is None:
                    self._rescued = self._rescue(self._parent, strokes)
                elif strokes[self._saved_apart :]:
                    self._rescued.append(strokes[self._saved_apart :])
            except Exception as error:
                log.error("No rescue journal: %s", type(error).__name__, exc_info=error)
                return False
            self._saved_apart = len(strokes)
        return True


def _to_nobody(_: object) -> None:
    """Nobody listens; `flush` still raises."""
