"""Labels as strokes and predictions left them, packed: what something else wrote into the same array is found."""

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.correction import Box, Stroke, bounding_box
from napari_apprentice.core.volume import LabelArray

_LOOSE_BYTES = 1 << 24  # of planes that are not packed


@dataclass(frozen=True, eq=False)
class Foreign:
    """What something else wrote: the smallest box around it, and the labels (z, y, x) of the box before."""

    box: Box
    before: LabelArray


class KnownLabels:
    """Knows every label of a label map under correction without a second one in memory.

    Each plane of the first axis is kept packed, with a checksum by which a plane that changed is found; those that
    were painted on last are kept as they are.

    Parameters
    ----------
    labels
        (z, y, x), the label map under correction; looked at, never changed.
    """

    def __init__(self, labels: LabelArray) -> None:
        self._labels = labels
        self._sums = [-1] * len(labels)  # of no plane
        self._packed: dict[int, bytes] = {}
        self._loose: dict[int, LabelArray] = {}
        self._most = max(1, _LOOSE_BYTES // max(1, labels[:1].nbytes))
        self.note(0, len(labels))

    def note(self, start: int, stop: int) -> None:
        """Take planes as they are now for known."""
        for z in range(start, stop):
            if self._is_strange(z):
                self._keep(z, self._labels[z].copy())

    def beneath(self, box: Box, before: LabelArray, after: LabelArray) -> LabelArray:
        """What a paint tool painted over in a box: where something else had written meanwhile, what was known.

        Else undoing the stroke would bring back what nobody drew.
        """
        known = np.stack([self._known(z)[box[1:]] for z in range(box[0].start, box[0].stop)])
        return np.where(before != after, known, before)

    def note_painted(self, stroke: Stroke) -> None:
        """Take what a stroke changed for known, and nothing that something else wrote around it."""
        depth, rows, columns = stroke.box
        for z, before, after in zip(
            range(depth.start, depth.stop), stroke.labels_before, stroke.labels_after, strict=True
        ):
            plane = self._known(z)
            np.copyto(plane[rows, columns], after, where=before != after)
            self._keep(z, plane)

    def foreign(self, start: int = 0, stop: int | None = None) -> Foreign | None:
        """What something else wrote into planes `start` to `stop` - 1; None where it wrote nothing."""
        strange = [z for z in range(start, len(self._labels) if stop is None else stop) if self._is_strange(z)]
        where: NDArray[np.bool_] = np.zeros(self._labels.shape[1:], np.bool_)
        for z in strange:
            where |= self._known(z) != self._labels[z]
        flat = bounding_box(where[None])
        if flat is None:
            return None
        box = (slice(strange[0], strange[-1] + 1), flat[1], flat[2])
        before = self._labels[box].copy()
        for z in strange:
            before[z - strange[0]] = self._known(z)[box[1:]]
        return Foreign(box, before)

    def _is_strange(self, z: int) -> bool:
        return zlib.crc32(np.ascontiguousarray(self._labels[z]).data) != self._sums[z]

    def _known(self, z: int) -> LabelArray:
        if z in self._loose:
            return self._loose[z]
        plane = bytearray(zlib.decompress(self._packed[z]))
        return np.frombuffer(plane, self._labels.dtype).reshape(self._labels.shape[1:])

    def _keep(self, z: int, plane: LabelArray) -> None:
        self._sums[z] = zlib.crc32(plane.data)
        self._loose.pop(z, None)
        self._loose[z] = plane  # the newest is the last
        while len(self._loose) > self._most:
            oldest = next(iter(self._loose))
            self._packed[oldest] = zlib.compress(self._loose.pop(oldest).data, 1)
