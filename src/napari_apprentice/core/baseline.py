"""Labels as they were at a moment, kept only where they have changed since."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.correction import Stroke
from napari_apprentice.core.volume import LabelArray


class Baseline:
    """Knows which label gained or lost how many voxels since it was set.

    Planes of the first axis are copied when the first stroke touches them, so that nothing of the scan's size is
    copied or compared.

    Parameters
    ----------
    labels
        (z, y, x), the label map under correction; looked at, never changed.
    """

    def __init__(self, labels: LabelArray) -> None:
        self._labels = labels
        self._planes: dict[int, LabelArray] = {}

    def note(self, stroke: Stroke) -> None:
        """Keep what a stroke changed, which has been applied."""
        if not stroke.changes_labels:
            return
        depth, rows, columns = stroke.box
        for z, before in zip(range(depth.start, depth.stop), stroke.labels_before, strict=True):
            if z not in self._planes:
                plane = self._labels[z].copy()
                plane[rows, columns] = before
                self._planes[z] = plane

    def follow(self, start: int, labels: LabelArray, where: NDArray[np.bool_]) -> None:
        """Take labels (slab, y, x) over from plane `start` on, where a mask of the same shape says so."""
        for z, (plane, mask) in enumerate(zip(labels, where, strict=True), start):
            if z in self._planes:
                np.copyto(self._planes[z], plane, where=mask)

    def set(self) -> None:
        """From now on count from here."""
        self._planes.clear()

    def voxels_changed(self) -> dict[int, int]:
        """Label id to voxels that it gained or lost; background left out."""
        return voxels_changed((before, self._labels[z]) for z, before in self._planes.items())


def planes_changed(strokes: Iterable[Stroke]) -> Iterator[tuple[LabelArray, LabelArray]]:
    """Planes of the first axis before and after some strokes, oldest first; both are 0 where no stroke changed a label.

    What was undone, or painted back, is the same in both.
    """
    parts: dict[int, list[tuple[slice, slice, LabelArray, LabelArray]]] = defaultdict(list)
    for stroke in strokes:
        if stroke.changes_labels:
            depth, rows, columns = stroke.box
            pairs = zip(stroke.labels_before, stroke.labels_after, strict=True)
            for z, (was, now) in enumerate(pairs, depth.start):
                parts[z].append((rows, columns, was, now))
    for plane in parts.values():
        shape = max(rows.stop for rows, *_ in plane), max(columns.stop for _, columns, *_ in plane)
        before, after = np.zeros(shape, np.uint16), np.zeros(shape, np.uint16)
        for rows, columns, was, now in reversed(plane):  # the oldest has the last word
            np.copyto(before[rows, columns], was, where=was != now)
        for rows, columns, was, now in plane:
            np.copyto(after[rows, columns], now, where=was != now)
        yield before, after


def voxels_changed(planes: Iterable[tuple[LabelArray, LabelArray]]) -> dict[int, int]:
    """Label id to voxels that it gained or lost between the two of each pair of planes; background left out."""
    counts = np.zeros(65536, np.int64)
    for before, now in planes:
        differs = before != now
        for labels in (before[differs], now[differs]):
            counts += np.bincount(labels, minlength=counts.size)
    counts[0] = 0
    return {int(i): int(counts[i]) for i in np.flatnonzero(counts)}
