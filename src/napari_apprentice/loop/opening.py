"""A case open for correction: its label map, its strokes, and the way back through them."""

import time

import numpy as np

from napari_apprentice.core.correction import Box, Canvas, Stroke, fill_unseen, whole
from napari_apprentice.core.records import CaseInfo, Prediction, Provenance
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import InputError
from napari_apprentice.store.study import Study

IDLE_SECONDS = 60.0  # a longer pause between two strokes is not counted as work


class OpenCase:
    """The one case under correction.

    Every change goes through here: it is applied to the canvas, and durable in the journal, before
    the call returns. When the journal cannot be written the change stays in memory, the call raises
    StorageError, and the next change (or `Session.save`) writes both.

    Parameters
    ----------
    study, info
        Where it is kept, what it is.
    canvas
        Labels and status as they are now.
    parent, model
        Revision and model version it started from.
    strokes
        Strokes since then, oldest first; undo and redo among them.
    """

    def __init__(
        self, study: Study, info: CaseInfo, canvas: Canvas, parent: str | None, model: str | None,
        strokes: tuple[Stroke, ...] = (),
    ) -> None:  # fmt: skip
        self.info = info
        self.canvas = canvas
        self.parent = parent
        self.model = model
        self._study = study
        self._start_labels = canvas.labels.copy()
        self._unsaved: list[Stroke] = []
        self._done: list[Stroke] = []
        self._undone: list[Stroke] = []
        self._to_write: list[Stroke] = []  # strokes the journal has not taken yet, after a full disk
        self._journal_started = bool(strokes)
        self._last_touch = time.monotonic()
        for stroke in strokes:
            self.canvas.apply(stroke)
            self._remember(stroke)

    @property
    def unsaved(self) -> int:
        """Strokes that are in the journal but in no revision yet."""
        return len(self._unsaved)

    @property
    def unwritten(self) -> int:
        """Strokes that are only in memory, because the disk could not take them."""
        return len(self._to_write)

    def record(self, box: Box, before: LabelArray, after: LabelArray, tool: str = "paint") -> Stroke | None:
        """Keep what a paint tool did inside `box`; see `Canvas.record`."""
        return self._keep(self.canvas.record(box, before, after, tool, self._seconds()))

    def accept(self, box: Box | None = None) -> Stroke | None:
        """Mark what is unseen in `box`, or everywhere, as accepted."""
        return self._keep(self.canvas.accept(box))

    def accept_slice(self, axis: int, index: int) -> Stroke | None:
        """Accept one slice across axis 0 (z), 1 (y) or 2 (x)."""
        size = self.info.shape[axis]
        if not 0 <= index < size:
            raise InputError(f"Slice {index} does not exist: the scan has {size} along that axis.")
        box = list(whole(self.info.shape))
        box[axis] = slice(index, index + 1)
        return self.accept((box[0], box[1], box[2]))

    def undo(self) -> Stroke | None:
        """Take the newest stroke back; None when there is none."""
        if not self._done:
            return None
        return self._keep(self._applied(self._done[-1].inverse()))

    def redo(self) -> Stroke | None:
        """Bring the newest undone stroke back; None when there is none."""
        if not self._undone:
            return None
        return self._keep(self._applied(_as_redo(self._undone[-1])))

    def revert_to_revision(self, name: str) -> Stroke | None:
        """Put a revision's labels and status in place, as one undoable stroke."""
        labels, status = self._study.revisions.read(self.info.case_id, name)
        return self._keep(self.canvas.replace(labels.astype(self.canvas.labels.dtype), status))

    def revert_to_prediction(self, model: str) -> Stroke | None:
        """Put a model version's prediction in place, all of it unseen, as one undoable stroke."""
        prediction = self._study.predictions.read(self.info.case_id, model)
        status = np.zeros(self.info.shape, np.uint8)
        return self._keep(self.canvas.replace(prediction.labels.astype(self.canvas.labels.dtype), status))

    def provenance(self, author: str) -> Provenance:
        """What the next revision will say about itself."""
        changed = self._start_labels != self.canvas.labels
        touched = np.concatenate([self._start_labels[changed], self.canvas.labels[changed]])
        counts = np.bincount(touched.astype(np.int64))
        return Provenance(
            author, self.parent, self.model,
            seconds=round(sum(s.seconds for s in self._unsaved), 1),
            strokes=len(self._unsaved),
            voxels_changed={str(i): int(n) for i, n in enumerate(counts) if i and n},
        )  # fmt: skip

    def saved_as(self, revision: str) -> None:
        """Start anew from a revision just stored; undo still reaches behind it."""
        self.parent = revision
        self._unsaved.clear()
        self._to_write.clear()
        self._journal_started = False
        self._start_labels = self.canvas.labels.copy()
        self._study.journal.close(self.info.case_id)

    def _applied(self, stroke: Stroke) -> Stroke:
        self.canvas.apply(stroke)
        return stroke

    def _keep(self, stroke: Stroke | None) -> Stroke | None:
        if stroke is None:
            return None
        self._remember(stroke)
        self._to_write.append(stroke)
        self._write_journal()
        return stroke

    def _write_journal(self) -> None:
        journal, case_id = self._study.journal, self.info.case_id
        if not self._journal_started:
            journal.start(case_id, self.parent, self.model)
            self._journal_started = True
        while self._to_write:
            journal.append(case_id, self._to_write[0])
            self._to_write.pop(0)

    def _remember(self, stroke: Stroke) -> None:
        self._unsaved.append(stroke)
        # After a restart the journal may begin with an undo or redo of a stroke that is in a revision by now.
        if stroke.tool == "undo":
            self._undone.append(self._done.pop() if self._done else stroke.inverse())
        elif stroke.tool == "redo":
            self._done.append(self._undone.pop() if self._undone else stroke)
        else:
            self._done.append(stroke)
            self._undone.clear()

    def _seconds(self) -> float:
        now = time.monotonic()
        seconds, self._last_touch = now - self._last_touch, now
        return round(min(seconds, IDLE_SECONDS), 2)


def _as_redo(stroke: Stroke) -> Stroke:
    return Stroke(
        stroke.start,
        stroke.labels_before,
        stroke.labels_after,
        stroke.status_before,
        stroke.status_after,
        "redo",
    )


def load_case(study: Study, case_id: str) -> OpenCase:
    """Open a case as it was left: newest revision, or prediction, and every stroke since.

    Voxels nobody has seen yet show the active model version's prediction; voxels with status 1 or 2
    are never touched by it.
    """
    info = study.cases.info(case_id)
    journal = study.journal.read(case_id)
    if journal is not None and journal.strokes:
        canvas = _start(study, info, journal.parent, journal.model)
        return OpenCase(study, info, canvas, journal.parent, journal.model, journal.strokes)
    parent, model, shown = as_shown(study, case_id)
    return OpenCase(study, info, shown or _start(study, info, None, None), parent, model)


def as_shown(study: Study, case_id: str) -> tuple[str | None, str | None, Canvas | None]:
    """What a case shows before anything is changed.

    Returns
    -------
    Its newest revision, the active model version if that predicted it, and the one filled up with the
    other; None for each that there is not.
    """
    newest = study.revisions.newest(case_id)
    parent = newest.name if newest else None
    active = study.models.active()
    model = active if active and study.predictions.has(case_id, active) else None
    nothing = parent is None and model is None
    return parent, model, None if nothing else _start(study, study.cases.info(case_id), parent, model)


def _start(study: Study, info: CaseInfo, parent: str | None, model: str | None) -> Canvas:
    dtype = np.uint8 if max(study.schema.ids) < 256 else np.uint16
    labels: LabelArray = np.zeros(info.shape, dtype)
    status = np.zeros(info.shape, np.uint8)
    if parent is not None:
        stored, status = study.revisions.read(info.case_id, parent)
        labels = stored.astype(np.promote_types(dtype, stored.dtype))
    prediction = _prediction(study, info.case_id, model)
    if prediction is not None:
        labels = fill_unseen(prediction.labels, labels, status)
    return Canvas(labels, status)


def _prediction(study: Study, case_id: str, model: str | None) -> Prediction | None:
    return study.predictions.read(case_id, model) if model and study.predictions.has(case_id, model) else None
