"""A case open for correction: its label map, its strokes, and the way back through them."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.baseline import Baseline
from napari_apprentice.core.correction import NO_LABELS, Box, StatusArray, Stroke, whole
from napari_apprentice.core.known_labels import KnownLabels
from napari_apprentice.core.records import CaseInfo, Provenance
from napari_apprentice.core.steps import REDO
from napari_apprentice.core.volume import LabelArray, labels_fit
from napari_apprentice.errors import ApprenticeError, InputError, StorageError
from napari_apprentice.loop.resuming import Resumed, resume
from napari_apprentice.loop.shown import Ground, base_of, ground_of
from napari_apprentice.loop.undoing import Older, Undo, upon
from napari_apprentice.loop.unseen import Unseen
from napari_apprentice.store.presence import Present
from napari_apprentice.store.record_walk import label_type
from napari_apprentice.store.rescue import RescueJournal, Rescues
from napari_apprentice.store.shelf import Kept, Shelf, Shelved
from napari_apprentice.store.stroke_writer import LEAVE_SECONDS, StrokeWriter
from napari_apprentice.store.study import Study

MERGE = "merge"
FOREIGN = "another program"
IDLE_SECONDS = 60.0  # a longer pause between two strokes is not counted as work


class OpenCase:
    """The one case under correction.

    Every change goes through here: it is applied to the canvas at once and handed to a writer, whose
    thread makes it durable in the journal. `flush` waits for that. Where the study cannot be written
    strokes go to a rescue journal, or stay in memory; the next change, or `Session.save`, writes them.

    Parameters
    ----------
    study, info
        Where it is kept, what it is.
    ground
        Labels and status of what it starts from.
    resumed
        Revision and model version it starts from, and the strokes since then.
    writer
        Who makes strokes durable; knows those of `resumed`.
    """

    def __init__(self, study: Study, info: CaseInfo, ground: Ground, resumed: Resumed, writer: StrokeWriter) -> None:
        self.info = info
        self.canvas = ground.canvas
        self._schema = resumed.schema or study.schema.ids
        self.parent = resumed.parent
        self.model = resumed.model
        self.notes = resumed.notes
        """Sentences about how the case was found, for the person who opens it."""
        self._study = study
        self._writer = writer
        self._baseline = Baseline(self.canvas.labels)
        self._unseen = Unseen(study, info.case_id, resumed.model, ground.base)
        self._undo = Undo(Older(study, info.case_id, resumed.parent))
        self._unsaved = Unsaved()
        self._known: KnownLabels | None = None
        self._last_touch = time.monotonic()
        for kept in writer.strokes:
            stroke = kept.stroke()
            self.canvas.apply(stroke)
            self._remember(stroke, kept)
        gone = ground.without_lost(kept.stroke() for kept in writer.strokes)
        self.notes = (*self.notes, gone) if gone else self.notes

    @property
    def unsaved(self) -> int:
        """Strokes that are in no revision yet."""
        return self._unsaved.strokes

    @property
    def schema(self) -> tuple[int, ...]:
        """Ids of the labels there were when the first unsaved stroke was drawn: no other was looked for since."""
        return self._schema if self.unsaved else self._study.schema.ids

    @property
    def unwritten(self) -> int:
        """Strokes that are only in memory, because no disk has taken them yet."""
        return self._writer.unwritten

    @property
    def rescued(self) -> int:
        """Strokes that are on this computer only, because the study could not take them."""
        return self._writer.rescued

    def listen(self, failed: Callable[[ApprenticeError], None], recovered: Callable[[int], None]) -> None:
        """Say whom to tell, from the writer's thread, that the study cannot be written, and that it can again."""
        self._writer.listen(failed, recovered)

    def bring_over(self) -> None:
        """Bring into the study what only this computer has; returns at once."""
        self._writer.retry()

    def flush(self) -> None:
        """Wait until every change so far is durable in the study.

        Raises
        ------
        StorageError, ConflictError
            The study cannot take them; `unwritten` and `rescued` say where they are.
        """
        self._writer.flush()

    def settle(self, seconds: float = LEAVE_SECONDS) -> bool:
        """Wait until nothing is being written; False when that took longer."""
        return self._writer.settle(seconds)

    def leave(self) -> None:
        """Wait for the disk and let go of the case; its strokes are found again when it is opened.

        Raises
        ------
        StorageError
            Some strokes are in memory only; nothing was given up.
        """
        self._writer.leave()

    def watch(self) -> None:
        """From now on know which labels something else writes into the canvas, as other plugins of napari do."""
        if self._known is None:
            self._known = KnownLabels(self.canvas.labels)

    def take_in(self, start: int = 0, stop: int | None = None) -> str:
        """Keep as a stroke what something else wrote into slices `start` to `stop` - 1; not while one is drawn.

        Returns
        -------
        A sentence for the person; empty where nothing was written.
        """
        return _taken_in(self.info.case_id, *self._foreign(start, stop))

    def take_over(self, labels: NDArray[np.integer]) -> str:
        """Keep as a stroke the labels (z, y, x) that something else put in place of the canvas' own, of the same shape.

        Returns
        -------
        As `take_in`.
        """
        given = np.array(labels)  # before anything changes: it may be a view of the canvas, or fail to be read
        canvas, unknown = self.canvas.labels, 0
        known = [i for i in (0, *self._study.schema.ids) if i <= np.iinfo(canvas.dtype).max]
        for plane, new in zip(canvas, given, strict=True):
            ours = np.isin(new, known)
            unknown += int(np.count_nonzero(~ours & (new != plane)))
            np.copyto(plane, new, where=ours, casting="unsafe")
        kept, refused = self._foreign()
        return _taken_in(self.info.case_id, kept, refused + unknown)

    def _foreign(self, start: int = 0, stop: int | None = None) -> tuple[int, int]:
        """Keep what something else wrote; in how many voxels, and in how many it was put back."""
        found = self._known.foreign(start, stop) if self._known is not None else None
        if found is None:
            return 0, 0
        labels = self.canvas.labels[found.box]
        unknown = (labels != found.before) & ~np.isin(labels, (0, *self._study.schema.ids))
        np.copyto(labels, found.before, where=unknown)  # no name, no colour, and nothing that could be taught
        stroke = self.record(found.box, found.before, labels.copy(), FOREIGN)
        return stroke.voxels_changed if stroke else 0, int(unknown.sum())

    def record(self, box: Box, before: LabelArray, after: LabelArray, tool: str = "paint") -> Stroke | None:
        """Keep what a paint tool did inside `box`; see `Canvas.record`."""
        if self._known is not None:
            before = self._known.beneath(box, before, after)
        stroke = self._keep(self.canvas.record(box, before, after, tool, self._seconds()))
        if stroke is not None and self._known is not None:
            self._known.note_painted(stroke)
        return stroke

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
        """Take the newest stroke back, also one of an earlier revision; None when there is none.

        Raises
        ------
        StorageError
            A stroke from before the case was opened cannot be read; nothing was changed.
        """
        kept = self._undo.newest_done()
        return None if kept is None else self._again(kept, kept.stroke().inverse())

    def redo(self) -> Stroke | None:
        """Bring the newest undone stroke back; None when there is none. Raises as `undo` does."""
        kept = self._undo.newest_undone()
        return None if kept is None else self._again(kept, replace(kept.stroke(), tool=REDO, seconds=0.0))

    def revert_to_revision(self, name: str) -> Stroke | None:
        """Put a revision's labels and status in place, as one undoable stroke."""
        labels, status = self._study.revisions.read(self.info.case_id, name)
        return self._replaced(labels, status)

    def revert_to_prediction(self, model: str) -> Stroke | None:
        """Put a model version's prediction in place, all of it unseen, as one undoable stroke."""
        prediction = self._study.predictions.read(self.info.case_id, model)
        status = np.zeros(self.info.shape, np.uint8)
        return self._replaced(prediction.labels, status)

    def has_room_for(self, labels: LabelArray) -> bool:
        """Whether labels can be shown; where not, another program gave the study new ones since the case was opened."""
        return labels_fit(labels, self.canvas.labels.dtype)

    def draw(self, stroke: Stroke) -> Stroke:
        """Apply a stroke that was made elsewhere, such as one that takes a place over from another revision."""
        self._keep(self._applied(stroke))
        return stroke

    def show_prediction(self, start: int, labels: LabelArray, model: str) -> None:
        """Let a newer prediction (slab, y, x) show from slice `start` on, wherever nobody has looked yet.

        No stroke: it cannot be undone, and what a stroke taken back leaves unseen shows it too.

        Raises
        ------
        InputError
            It has labels that the canvas has no room for; nothing was changed. Opened again, the case has.
        """
        self._unseen.show(start, labels, self.canvas, self._baseline)
        self.model = model
        self._note(start, start + len(labels))

    def provenance(self, author: str, merged: str | None = None) -> Provenance:
        """What the next revision will say about itself; `merged` is a revision that it settles the differences with."""
        names = {*self._unsaved.merged, *((merged,) if merged else ())}
        return Provenance(
            author, self.parent, self.model,
            seconds=round(self._unsaved.seconds, 1),
            strokes=self._unsaved.strokes,
            voxels_changed={str(label): count for label, count in self._baseline.voxels_changed().items()},
            origin=MERGE if names else "correction",
            merged=tuple(sorted(names)),
        )  # fmt: skip

    def saved_as(self, revision: str) -> None:
        """Start anew from a revision just stored; undo still reaches behind it."""
        self.parent = revision
        self._unsaved = Unsaved()
        self._baseline.set()
        self._writer.restart(revision)

    def _again(self, kept: Kept, stroke: Stroke) -> Stroke | None:
        """Apply a stroke that was applied before, or its inverse."""
        return self._keep(self._applied(upon(self.canvas, stroke, self._predicted) if kept.earlier else stroke))

    def _predicted(self, box: Box) -> LabelArray | None:
        """What is predicted in a box now."""
        if self.model is None:
            return None
        with suppress(ApprenticeError):  # it is gone: the stroke's own labels are shown
            return self._study.predictions.base_labels(self.info.case_id, self.model, box)
        return None

    def _applied(self, stroke: Stroke) -> Stroke:
        self.canvas.apply(stroke)
        self._unseen.restore(self.canvas, stroke.box)
        self._note(stroke.box[0].start, stroke.box[0].stop)
        return stroke

    def _replaced(self, labels: LabelArray, status: StatusArray) -> Stroke | None:
        stroke = self.canvas.replace(labels, status)
        if stroke is not None:
            self._note(stroke.box[0].start, stroke.box[0].stop)
        return self._keep(stroke)

    def _note(self, start: int, stop: int) -> None:
        if self._known is not None:
            self._known.note(start, stop)

    def _keep(self, stroke: Stroke | None) -> Stroke | None:
        if stroke is None:
            return None
        stroke = self._unseen.pinned(stroke, self.canvas)
        self._schema = self.schema
        self._remember(stroke, self._writer.put(stroke, self._schema))
        return stroke

    def _remember(self, stroke: Stroke, kept: Kept) -> None:
        self._unsaved.add(stroke)
        self._baseline.note(stroke)
        self._undo.remember(kept)

    def _seconds(self) -> float:
        now = time.monotonic()
        seconds, self._last_touch = now - self._last_touch, now
        return round(min(seconds, IDLE_SECONDS), 2)


def _taken_in(case_id: str, kept: int, refused: int) -> str:
    """What is said of labels that something else wrote into a case."""
    sentences = []
    if kept:
        voxels = f"{kept:,} voxel{'s' if kept > 1 else ''}"
        sentences.append(
            f"Another program changed the labels of {case_id} in {voxels}; that is kept as a stroke, which Undo "
            "takes back."
        )
    if refused:
        voxels = f"{refused:,} voxel{'s' if refused > 1 else ''}"
        sentences.append(
            f"In {voxels} of {case_id} another program wrote labels that the study does not have; these were put "
            "back. Add the labels to the study first, under Labels."
        )
    return " ".join(sentences)


class Unsaved:
    """What is said of strokes that are in no revision yet."""

    def __init__(self) -> None:
        self.strokes = 0
        self.seconds = 0.0
        self.merged: set[str] = set()
        """Revisions that they took something over from; it stands in their tool, so that the journal knows it too."""

    def add(self, stroke: Stroke) -> None:
        """Count one more."""
        self.strokes += 1
        self.seconds += stroke.seconds
        if stroke.tool.startswith(f"{MERGE} "):
            self.merged.add(stroke.tool.removeprefix(f"{MERGE} "))


def load_case(
    study: Study, case_id: str, rescues: Rescues | None = None, author: str = "", others: Sequence[Present] = ()
) -> OpenCase:
    """Open a case as it was left: newest revision, or prediction, and every stroke since.

    Voxels nobody has seen yet show the active model version's prediction; voxels with status 1 or 2
    are never touched by it.

    Parameters
    ----------
    rescues
        Where strokes go that the study cannot take, and may wait from an earlier time; None for nowhere.
    author
        Who corrects; stands in a rescue journal.
    others
        Who else has the case open: strokes in the study's journal are theirs then.
    """
    info = study.cases.info(case_id)
    resumed = resume(study, info, rescues, apart=bool(others))
    resumed = replace(resumed, notes=(*resumed.notes, *(other.sentence for other in others)))
    journal = study.journal.another()  # its own, so that another window's strokes are noticed
    if resumed.journal is not None:
        journal.adopt(case_id, resumed.journal)
    journal.work, journal.schema = resumed.work or journal.work, resumed.schema

    newest = base_of(study, case_id)[1] if resumed.strokes else None
    anew = newest is not None and (newest != resumed.model or study.predictions.digest(case_id, newest) != resumed.base)
    arrived = study.predictions.read(case_id, newest).labels if newest and anew else NO_LABELS
    ground = ground_of(
        study, info, resumed.parent, resumed.model, resumed.base if resumed.strokes else None,
        np.promote_types(arrived.dtype, label_type(resumed.strokes)),
    )  # fmt: skip
    base = resumed.base or ground.base or ""

    def rescue(parent: str | None, strokes: Sequence[Shelved]) -> RescueJournal:
        if rescues is None:
            raise StorageError("There is no place for a rescue journal.")
        return rescues.begin(
            study.path, case_id, parent, resumed.model, author, strokes, study.vault, study.study_id, journal.work,
            base, journal.schema,
        )  # fmt: skip

    shelf = Shelf(rescues.folder if rescues else None, study.vault.at(case_id, "undo"))
    writer = StrokeWriter(
        journal, case_id, resumed.parent, resumed.model, resumed.strokes, resumed.stored, rescue, resumed.rescued,
        shelf, base,
    )  # fmt: skip
    case = OpenCase(study, info, ground, resumed, writer)
    if newest and anew:
        case.show_prediction(0, arrived, newest)
    return case
