"""A prediction on the screen while it is made: slabs appear in the open case as they are finished."""

import time
from collections import deque
from collections.abc import Generator

from qtpy.QtCore import QObject, QTimer

from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import Prediction
from napari_apprentice.core.slabs import PredictedSlab
from napari_apprentice.gui.case_actions import CaseActions
from napari_apprentice.gui.layers import CaseLayers
from napari_apprentice.gui.work import Runner
from napari_apprentice.loop.opening import OpenCase
from napari_apprentice.loop.predicting import PredictionRequest
from napari_apprentice.session import Session

BEAT_MS = 20
BUSY_SECONDS = 0.006  # of every beat; what does not fit in waits for the next
PIECE = 2**19  # voxels filled at once
LOOK_SECONDS = 0.1  # how often the slice on the screen is told
REDRAW_SECONDS = 0.25  # while more is coming; the first piece of what is on the screen is drawn at once

Arrived = tuple[PredictionRequest, str, PredictedSlab]


class Arriving(QObject):
    """Reads slabs in the thread that follows a prediction, and shows them in the window's own.

    Only in the window's thread, between strokes, and never while the case is saved is anything written into
    the canvas; there the status says, at that moment, what may be.

    Parameters
    ----------
    session, runner, cases, layers
        Whose case, where is read, who changes it otherwise, where it is shown.
    """

    def __init__(
        self, session: Session, runner: Runner, cases: CaseActions, layers: CaseLayers, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._runner, self._cases, self._layers = session, runner, cases, layers
        self._arrived: deque[Arrived] = deque()
        self._active: list[PredictionRequest] = []  # in the order in which they were asked for
        self._filled: set[tuple[PredictionRequest, str]] = set()
        self._looked: tuple[str, int | None] | None = None
        self._looked_at = self._drawn_at = 0.0
        self._waiting_to_be_drawn = False
        self._timer = QTimer(self)
        self._timer.setInterval(BEAT_MS)
        self._timer.timeout.connect(self._beat)

    def begin(self, request: PredictionRequest) -> None:
        """A prediction is about to be followed; what an older one has left for the same case comes too late."""
        self._active.append(request)
        self._looked = None
        self._timer.start()

    def follow(self, request: PredictionRequest) -> Generator[Progress, None, None]:
        """Follow a prediction in a worker thread, and bring what it reports of the open case."""
        for progress in self._session.follow_prediction(request):
            case = self._session.case
            if progress.slab and case is not None and case.info.case_id == progress.case_id:
                slab = self._session.slab(request, progress.case_id, *progress.slab)
                if slab is not None:
                    self._arrived.append((request, progress.case_id, slab))
            yield progress

    def end(self, request: PredictionRequest, case_ids: tuple[str, ...]) -> None:
        """A prediction is in the study: show it whole if its case is open, also what came while nobody looked."""
        case = self._session.case
        if case is None or case.info.case_id not in case_ids:
            self.give_up(request)  # it may have been refused half-way
            return
        if not case.unsaved:
            self._cases.reopen()
            return
        case_id = case.info.case_id
        read = self._session.study.predictions.read
        job = self._runner.run("Reading the prediction", lambda: read(case_id, request.model), quiet=True)
        job.returned.connect(lambda prediction: self._show_whole(request, case, prediction))

    def give_up(self, request: PredictionRequest) -> None:
        """A prediction was cancelled or failed: an open case that nobody works on shows again what is in the study."""
        self._arrived = deque(arrived for arrived in self._arrived if arrived[0] is not request)
        case = self._session.case
        if case is not None and not case.unsaved and (request, case.info.case_id) in self._filled:
            self._cases.reopen()

    def over(self, request: PredictionRequest) -> None:
        """A prediction has ended, however."""
        if request in self._active:
            self._active.remove(request)
        self._filled = {(r, case_id) for r, case_id in self._filled if r is not request}

    def close(self) -> None:
        """Show nothing more."""
        self._timer.stop()
        self._arrived.clear()

    def _show_whole(self, request: PredictionRequest, case: OpenCase, prediction: Prediction) -> None:
        if self._session.case is not case:
            return
        if not case.has_room_for(prediction.labels):  # of labels that the study did not have when it was opened
            self._cases.reopen()
            return
        slab = PredictedSlab(0, len(prediction.labels), prediction.labels, prediction.uncertainty)
        self._arrived.append((request, case.info.case_id, slab))
        self._layers.show_uncertainty(prediction.uncertainty)
        self._timer.start()

    def _beat(self) -> None:
        self._look()
        if self._layers.mid_stroke or self._cases.saving or self._cases.opening.under_way:
            return
        until = time.monotonic() + BUSY_SECONDS
        while self._arrived and time.monotonic() < until:
            self._show_next()
        self._draw()
        if not self._active and not self._arrived and not self._waiting_to_be_drawn:
            self._timer.stop()

    def _show_next(self) -> None:
        request, case_id, slab = self._arrived.popleft()
        case = self._session.case
        if case is None or case.info.case_id != case_id or self._is_late(request):
            return
        if not case.has_room_for(slab.labels):
            return  # it is shown when the prediction is whole and the case opened again
        first, rest = _cut(slab)
        if rest is not None:
            self._arrived.appendleft((request, case_id, rest))
        self._cases.take_in(first.start, first.stop)
        self._session.show_slab(case, first, request.model)
        self._filled.add((request, case_id))
        self._layers.fill_uncertainty(first.start, first.uncertainty)
        if self._layers.shows(first.start, first.stop):
            self._waiting_to_be_drawn = True

    def _is_late(self, request: PredictionRequest) -> bool:
        """Whether a newer prediction of what is on the screen has been asked for."""
        after = self._active[self._active.index(request) + 1 :] if request in self._active else self._active
        return any(other.on_screen for other in after)

    def _draw(self) -> None:
        now = time.monotonic()
        if self._waiting_to_be_drawn and now - self._drawn_at >= REDRAW_SECONDS:
            self._waiting_to_be_drawn, self._drawn_at = False, now
            self._layers.refresh()
            self._layers.refresh_uncertainty()

    def _look(self) -> None:
        case, now = self._session.case, time.monotonic()
        if case is None or not self._active or now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at, here = now, (case.info.case_id, self._layers.z_shown())
        if here != self._looked:
            self._looked = here
            self._session.look_at(*here)


def _cut(slab: PredictedSlab) -> tuple[PredictedSlab, PredictedSlab | None]:
    """As many of a slab's slices as are quickly filled, and the others."""
    count = max(1, PIECE // slab.labels[0].size)
    if count >= len(slab.labels):
        return slab, None
    middle = slab.start + count
    first = PredictedSlab(slab.start, middle, slab.labels[:count], slab.uncertainty[:count])
    return first, PredictedSlab(middle, slab.stop, slab.labels[count:], slab.uncertainty[count:])
