"""A simulated annotator: mends a prediction until it is good enough, the largest faults first."""

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_apprentice.core.correction import ACCEPTED, EDITED, StatusArray
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import GeometryError


def correct(
    prediction: LabelArray, reference: LabelArray, *, until: float = 0.97, smallest: int = 8
) -> tuple[LabelArray, StatusArray]:
    """Correct a prediction as a person would who knows the reference.

    Components of wrong voxels (26-connected, one wrong label and one right label each) of at least
    `smallest` voxels are set right, largest first, until the mean Dice over the labels present reaches
    `until`. What is left alone was looked at, so it is accepted.

    Parameters
    ----------
    prediction, reference
        (z, y, x) label ids.
    until
        Mean Dice at which the person stops.
    smallest
        Faults of fewer voxels are overlooked.

    Returns
    -------
    Corrected labels (the reference's number type) and status: 2 where edited, 1 elsewhere.
    """
    if prediction.shape != reference.shape:
        raise GeometryError(f"A prediction of shape {prediction.shape} does not fit the reference {reference.shape}.")
    labels: LabelArray = prediction.astype(np.promote_types(prediction.dtype, reference.dtype))
    status = np.full(labels.shape, ACCEPTED, dtype=np.uint8)
    tally = _Tally(labels, reference)
    for where in _faults(labels, reference, smallest):
        if tally.mean() >= until:
            break
        tally.mend(labels[where], reference[where])
        labels[where] = reference[where]
        status[where] = EDITED
    return labels, status


def _faults(labels: LabelArray, reference: LabelArray, smallest: int) -> list[tuple[NDArray[np.int64], ...]]:
    """Indices of each connected fault, the largest first; ties in order of place."""
    wrong = labels != reference
    pair = labels.astype(np.int64) * 65536 + reference
    found: list[NDArray[np.int64]] = []
    for kind in np.unique(pair[wrong]):
        parts, count = ndimage.label(wrong & (pair == kind), structure=np.ones((3, 3, 3)))
        flat = parts.ravel()
        order = np.argsort(flat, kind="stable")
        edges = np.searchsorted(flat[order], np.arange(1, count + 2))
        found += [order[a:b] for a, b in itertools.pairwise(edges) if b - a >= smallest]
    found.sort(key=lambda i: (-i.size, int(i[0])))
    return [np.unravel_index(i, labels.shape) for i in found]


class _Tally:
    """Dice of every label, kept up to date while faults are mended."""

    def __init__(self, labels: LabelArray, reference: LabelArray) -> None:
        self._sizes = np.bincount(labels.ravel(), minlength=65536)
        self._truth = np.bincount(reference.ravel(), minlength=65536)
        self._both = np.bincount(labels[labels == reference], minlength=65536)

    def mend(self, before: LabelArray, after: LabelArray) -> None:
        self._sizes -= np.bincount(before, minlength=65536)
        gained = np.bincount(after, minlength=65536)
        self._sizes += gained
        self._both += gained

    def mean(self) -> float:
        """Mean Dice over the labels of either map, background left out; 1 when there are none."""
        total = (self._sizes + self._truth)[1:]
        present = total > 0
        return float((2 * self._both[1:][present] / total[present]).mean()) if present.any() else 1.0
