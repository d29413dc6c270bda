"""What an open case shows where nobody has looked yet: the newest prediction, also one that arrives meanwhile.

The rule is one for all ways in: a voxel with status 0 shows the prediction, a voxel with status 1 or 2 what a
person made of it. Whatever is written here is written where the status is 0, at the moment of writing.
"""

import numpy as np

from napari_apprentice.core.baseline import Baseline
from napari_apprentice.core.correction import UNSEEN, Box, Canvas, Stroke
from napari_apprentice.core.volume import LabelArray, fitted
from napari_apprentice.errors import ApprenticeError
from napari_apprentice.store.study import Study

_SLICES = 16  # written at once, so that no second label map is ever needed


class Unseen:
    """The predictions that arrived for one open case.

    Parameters
    ----------
    study, case_id
        Which case.
    model
        Whose prediction it was opened with; None for none.
    opened_with
        That prediction's digest; None where it is gone.
    """

    def __init__(self, study: Study, case_id: str, model: str | None, opened_with: str | None) -> None:
        self._study, self._case_id, self._model = study, case_id, model
        self._opened_with = opened_with
        self._newest: LabelArray | None = None
        self._known: set[int] = set()  # slices of it

    def _digest(self) -> str:
        return self._study.predictions.digest(self._case_id, self._model) if self._model else ""

    @property
    def moved(self) -> bool:
        """Whether the case shows, or would show when opened now, something else than what it was opened with."""
        if self._newest is not None:
            return True
        try:
            return self._model is not None and self._digest() != self._opened_with
        except ApprenticeError:
            return True  # it cannot be told: the disk is gone

    def show(self, start: int, labels: LabelArray, canvas: Canvas, baseline: Baseline) -> None:
        """Let a prediction's labels (slab, y, x) show from slice `start` on, where the canvas is unseen.

        Parameters
        ----------
        baseline
            Follows the canvas: what is predicted is no change that a person made.

        Raises
        ------
        InputError
            The canvas has no room for one of the labels; nothing was changed.
        """
        labels = fitted(labels, canvas.labels.dtype)
        if self._newest is None:
            self._newest = np.zeros_like(canvas.labels)
        for low in range(0, len(labels), _SLICES):
            part = labels[low : low + _SLICES]
            z = slice(start + low, start + low + len(part))
            self._newest[z] = part
            self._known.update(range(z.start, z.stop))
            where = canvas.status[z] == UNSEEN
            np.copyto(canvas.labels[z], self._newest[z], where=where)
            baseline.follow(z.start, self._newest[z], where)

    def restore(self, canvas: Canvas, box: Box) -> None:
        """After a stroke was taken back or brought again: what is unseen in its box shows the newest prediction."""
        if self._newest is None:
            return
        for z in range(box[0].start, box[0].stop):
            if z in self._known:
                place = (z, *box[1:])
                np.copyto(canvas.labels[place], self._newest[place], where=canvas.status[place] == UNSEEN)

    def pinned(self, stroke: Stroke, canvas: Canvas) -> Stroke:
        """A stroke that brings the labels it was about, where those of another prediction may be found later.

        To accept is to accept what was shown; its stroke has no labels of its own as long as they can be found
        in the prediction that the journal begins with.
        """
        if stroke.changes_labels or not self.moved:
            return stroke
        labels = canvas.labels[stroke.box].copy()
        return Stroke(
            stroke.start, labels, labels, np.asarray(stroke.status_before), np.asarray(stroke.status_after),
            stroke.tool, stroke.seconds,
        )  # fmt: skip
