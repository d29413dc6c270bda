"""What can be taken back and brought back in a case, also behind its revisions."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from napari_apprentice.core.correction import NO_LABELS, UNSEEN, Box, Canvas, Stroke
from napari_apprentice.core.steps import Steps
from napari_apprentice.core.volume import LabelArray, fitted
from napari_apprentice.errors import InputError, StudyError
from napari_apprentice.store.shelf import Kept, TakenBack
from napari_apprentice.store.study import Study


class Undo:
    """The strokes that undo takes back and those that redo brings back.

    Those that led to the revision a case was opened on are looked up when undo or redo gets there.

    Parameters
    ----------
    older
        Gives the strokes of one revision after the other, the newest first; None at the end.
    """

    def __init__(self, older: Callable[[], Sequence[Kept] | None]) -> None:
        self._older = older
        self._steps = _steps(())

    def remember(self, kept: Kept) -> None:
        """Take note of a stroke, an undo or a redo, as it was applied."""
        self._steps.add(kept)

    def newest_done(self) -> Kept | None:
        """What undo takes back next.

        Raises
        ------
        StorageError
            The strokes of an earlier revision cannot be read.
        """
        while not self._steps.done and self._reach_back():
            pass
        return self._steps.done[-1] if self._steps.done else None

    def newest_undone(self) -> Kept | None:
        """What redo brings back next; raises as `newest_done` does."""
        while not self._steps.undone and self._steps.redo_may_be_older and self._reach_back():
            pass
        return self._steps.undone[-1] if self._steps.undone else None

    def _reach_back(self) -> bool:
        strokes = self._older()
        if strokes is not None:
            self._steps.put_below(_steps(strokes))
        return strokes is not None


def _steps(strokes: Iterable[Kept]) -> Steps[Kept]:
    return Steps(strokes, TakenBack)


class Older:
    """The strokes that led to a revision, then those that led to its parent, and so on.

    It ends at a revision that did not come from strokes: one that was imported or restored, or stored by a version
    that did not keep them.

    Parameters
    ----------
    study, case_id
        Where they are.
    revision
        The one to begin with; None for none.
    """

    def __init__(self, study: Study, case_id: str, revision: str | None) -> None:
        self._study = study
        self._case_id = case_id
        self._revision = revision

    def __call__(self) -> Sequence[Kept] | None:
        """Strokes of the next older revision, oldest first; None when there is no way further back."""
        name = self._revision
        if name is None:
            return None
        try:
            made = self._study.revisions.info(self._case_id, name).provenance
        except (InputError, StudyError):  # gone or damaged: check says so
            self._revision = None
            return None
        if made.strokes == 0 and made.origin == "correction":  # saved as it was
            self._revision = made.parent
            return ()
        archive = self._study.journal.archive_of(self._case_id, name)
        fits = archive is not None and (archive.parent, len(archive.strokes)) == (made.parent, made.strokes)
        self._revision = made.parent if fits else None
        return archive.strokes if archive is not None and fits else None


def upon(canvas: Canvas, stroke: Stroke, predicted: Callable[[Box], LabelArray | None]) -> Stroke:
    """A stroke from before the case was opened, as it is to be applied now.

    Only what it changed is changed: around that, a new prediction may be shown by now. What it leaves unseen
    shows what is predicted now, as all that is unseen does.

    Parameters
    ----------
    predicted
        Labels (z, y, x) of a box that are shown where nothing is known; None without a prediction.
    """
    box, before, after = stroke.box, np.asarray(stroke.status_before), np.asarray(stroke.status_after)
    changed = before != after
    labels, status = canvas.labels[box].copy(), canvas.status[box].copy()
    labels_after = labels.copy()
    if stroke.changes_labels:
        changed |= stroke.labels_before != stroke.labels_after
        np.copyto(labels_after, fitted(stroke.labels_after, labels.dtype), where=changed)
    unseen = changed & (after == UNSEEN)
    shown = predicted(box) if unseen.any() else None
    if shown is not None:
        np.copyto(labels_after, fitted(shown, labels.dtype), where=unseen)
    if np.array_equal(labels, labels_after):
        labels = labels_after = NO_LABELS
    status_after = np.where(changed, after, status)
    return Stroke(stroke.start, labels, labels_after, status, status_after, stroke.tool, stroke.seconds)
