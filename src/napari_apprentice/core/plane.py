"""The slice of a scan in which two predictions differ most."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.correction import UNSEEN
from napari_apprentice.core.records import Example
from napari_apprentice.core.volume import LabelArray


@dataclass(frozen=True, eq=False)
class Plane:
    """One slice across z of a held-out scan.

    Parameters
    ----------
    revision, z
        Of which revision (case_id/rNNNN), and which slice.
    scan
        (y, x) voxels of the first channel.
    before, after, reference
        (y, x) labels: by the active model version, by the candidate, as corrected.
    known
        (y, x) bool; elsewhere nobody has looked at the reference.
    spacing
        Millimetres along (y, x).
    """

    revision: str
    z: int
    scan: NDArray[Any]
    before: LabelArray
    after: LabelArray
    reference: LabelArray
    known: NDArray[np.bool_]
    spacing: tuple[float, float]


def plane_of_change(example: Example, before: LabelArray, after: LabelArray) -> Plane:
    """Cut the slice with most known voxels that the two label maps (z, y, x) say differently.

    Where they say the same everywhere: the slice with most voxels of labels in the reference.
    """
    known = example.status != UNSEEN
    counts = ((before != after) & known).sum(axis=(1, 2))
    if not counts.any():
        counts = ((example.labels != 0) & known).sum(axis=(1, 2))
    z = int(np.argmax(counts))
    return Plane(
        example.revision, z, example.source.read(z, z + 1)[0, 0].copy(), before[z].copy(), after[z].copy(),
        example.labels[z].copy(), known[z].copy(), example.spacing[1:],
    )  # fmt: skip
