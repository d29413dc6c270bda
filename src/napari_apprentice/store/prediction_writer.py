"""A prediction on its way into the study: written slab by slab, seen by a reader, and whole or not there at all."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.records import now
from napari_apprentice.core.slabs import PredictedSlab
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import GeometryError
from napari_apprentice.store.arrays import create_array, create_group, set_attributes
from napari_apprentice.store.files import remove_quietly, storage_errors
from napari_apprentice.store.prediction_place import PROGRESS, owner
from napari_apprentice.store.vault import PLAIN, Vault

AXES = ("z", "y", "x")
LABEL_MAP, UNCERTAINTY = "label_map", "uncertainty"
UNPROCESSED = "unprocessed"  # the label map before post-processing, where that changed it
UNPROCESSED_DIGEST = "unprocessed_digest"
_ACROSS = 256  # voxels of a chunk along y and x; thin along z, because slabs are cut along z
_CHUNK_VOXELS = 2**19
_THICKEST = 64


class PredictionWriter:
    """Writes one prediction aside; `commit` puts it in the place of an older one.

    A slab that is not as thick as the chunks is stored at once and completed later, from memory. Which slabs
    can be read stands in a file beside the arrays, see `UnfinishedPrediction`. Use it in a `with` block: what
    was not committed at its end is removed.

    Parameters
    ----------
    aside
        Hidden folder beside the final one; made here.
    shape
        (z, y, x) of the case.
    dtype
        uint8 or uint16, of the labels.
    what
        For a sentence: "the prediction of case a1".
    swap
        Puts the finished folder in its place.
    vault
        The study's, at the prediction's place.
    """

    def __init__(
        self, aside: Path, shape: tuple[int, int, int], dtype: np.dtype[Any], what: str,
        swap: Callable[[Path], None], vault: Vault = PLAIN,
    ) -> None:  # fmt: skip
        self._aside, self._shape, self._what, self._swap, self._vault = aside, shape, what, swap, vault
        self._done = np.zeros(shape[0], bool)
        with storage_errors(what):
            create_group(aside, {})
            chunks = chunks_of(shape)
            self._thick = chunks[0]
            self._labels, self._uncertainty = (
                create_array(aside, name, shape, np.dtype(kind), AXES, chunks=chunks, vault=vault.at(name))
                for name, kind in ((LABEL_MAP, dtype), (UNCERTAINTY, np.uint8))
            )
        self._unprocessed = ""  # digest
        self._partial: dict[int, tuple[NDArray[Any], NDArray[np.uint8]]] = {}  # by first slice of the row of chunks
        self._note(owner())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        remove_quietly(self._aside / PROGRESS)  # first, so that a reader takes no missing chunk for an empty one
        remove_quietly(self._aside)

    def write_slab(self, slab: PredictedSlab) -> None:
        """Store a slab; a reader sees it when this returns.

        Raises
        ------
        GeometryError
            It does not fit the case, or overlaps with a slab before.
        StorageError
            The disk is full, gone or read-only.
        """
        start, stop, labels, uncertainty = slab.start, slab.stop, slab.labels, slab.uncertainty
        expected = (stop - start, *self._shape[1:])
        if not labels.shape == uncertainty.shape == expected or stop <= start:
            raise GeometryError(f"{self._what}: a slab of shape {labels.shape} does not fit the grid {self._shape}.")
        if start < 0 or stop > self._shape[0] or self._done[start:stop].any():
            raise GeometryError(f"{self._what}: slices {start} to {stop} do not fit what was predicted before.")
        self._done[start:stop] = True
        with storage_errors(self._what):
            for low, high in self._parts(start, stop):
                part = slice(low - start, high - start)
                self._store(low, high, labels[part], uncertainty[part])
            self._note([start, stop])

    def labels(self) -> LabelArray:
        """The label map so far, (z, y, x); 0 where nothing was written."""
        with storage_errors(self._what):
            return np.asarray(self._labels[...])

    def replace_labels(self, labels: LabelArray) -> None:
        """Put another label map in place of the whole, such as one without small islands; the first one is kept.

        Raises
        ------
        GeometryError
            It has another shape.
        """
        if labels.shape != self._shape:
            raise GeometryError(f"{self._what}: a label map of shape {labels.shape} does not fit {self._shape}.")
        with storage_errors(self._what):
            if not self._unprocessed:
                self._keep_first()
            for start in range(0, self._shape[0], self._thick):
                self._labels[start : start + self._thick] = labels[start : start + self._thick]

    def commit(
        self, quality: Mapping[int, float], seconds: float, device: str, made: Mapping[str, Any] | None = None
    ) -> None:
        """Make it the case's prediction by this model version.

        Parameters
        ----------
        quality
            Label id to predicted Dice.
        made
            How it was made: JSON values.

        Raises
        ------
        GeometryError
            Some slices were not written.
        StorageError
            The disk is full, gone or read-only; the older prediction is kept.
        """
        if not self._done.all():
            raise GeometryError(f"{self._what}: {np.count_nonzero(~self._done)} slices were not predicted.")
        with storage_errors(self._what):
            record = {
                "quality": {str(k): float(v) for k, v in quality.items()},
                "seconds": float(seconds),
                "device": device,
                "made": dict(made or {}),
                "created": now(),
                "digest": self._digest(),
                **({UNPROCESSED_DIGEST: self._unprocessed} if self._unprocessed else {}),
            }
            set_attributes(self._aside, {"apprentice": self._vault.close_record(record)})
            self._swap(self._aside)

    def _parts(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """The slab cut where it begins or ends inside a row of chunks; whole rows stay together."""
        n, thick = self._shape[0], self._thick
        first, last = -(-start // thick) * thick, stop if stop == n else stop // thick * thick
        if first >= last:
            cuts = [start, *(c for c in (first,) if start < c < stop), stop]
        else:
            cuts = [start, first, last, stop]
        yield from ((a, b) for a, b in pairwise(cuts) if a < b)

    def _store(self, low: int, high: int, labels: LabelArray, uncertainty: NDArray[np.uint8]) -> None:
        row = low // self._thick * self._thick
        end = min(row + self._thick, self._shape[0])
        if low == row and high >= end:
            self._labels[low:high], self._uncertainty[low:high] = labels, uncertainty
            return
        shape = (end - row, *self._shape[1:])
        nothing = np.zeros(shape, self._labels.dtype), np.zeros(shape, np.uint8)
        kept = self._partial.setdefault(row, nothing)
        kept[0][low - row : high - row], kept[1][low - row : high - row] = labels, uncertainty
        self._labels[row:end], self._uncertainty[row:end] = kept
        if self._done[row:end].all():
            del self._partial[row]

    def _keep_first(self) -> None:
        kept = create_array(
            self._aside, UNPROCESSED, self._shape, self._labels.dtype, AXES,
            chunks=self._labels.chunks, vault=self._vault.at(UNPROCESSED),
        )  # fmt: skip
        for start in range(0, self._shape[0], self._thick):
            kept[start : start + self._thick] = self._labels[start : start + self._thick]
        self._unprocessed = self._digest_of(kept)

    def _digest(self) -> str:
        return self._digest_of(self._labels, self._uncertainty)

    def _digest_of(self, *arrays: Any) -> str:
        """As `arrays.digest`, row of chunks by row, so that memory stays bounded."""
        sha = hashlib.sha256()
        for array in arrays:
            for start in range(0, self._shape[0], self._thick):
                part = np.asarray(array[start : start + self._thick])
                sha.update(np.ascontiguousarray(part.astype(part.dtype.newbyteorder("<"), copy=False)).data)
        return sha.hexdigest()

    def _note(self, line: Any) -> None:
        with storage_errors(self._what), (self._aside / PROGRESS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def chunks_of(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Chunks of a prediction: half a million voxels, thin along z where slices are large."""
    y, x = (min(_ACROSS, n) for n in shape[1:])
    return min(shape[0], _THICKEST, max(1, _CHUNK_VOXELS // (y * x))), y, x
