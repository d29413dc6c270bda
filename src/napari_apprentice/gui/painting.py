"""What napari's paint tools did, as a box with the labels before and after."""

from typing import Any

import numpy as np

from napari_apprentice.core.correction import Box
from napari_apprentice.core.volume import LabelArray


def painted_box(atoms: list[Any], shape: tuple[int, ...]) -> Box | None:
    """Smallest box around everything that one committed step of a Labels layer touched.

    Parameters
    ----------
    atoms
        Value of the layer's `paint` event: the step's single changes, oldest first. napari 0.9 reports
        a bounding box with a mask, napari before it and `data_setitem` a multi-index.
    shape
        Of the layer, (z, y, x).
    """
    boxes = [_atom_box(atom, shape) for atom in atoms]
    if not boxes:
        return None
    starts = np.min([[s.start for s in box] for box in boxes], axis=0)
    stops = np.max([[s.stop for s in box] for box in boxes], axis=0)
    z, y, x = (slice(int(a), int(b)) for a, b in zip(starts, stops, strict=True))
    return z, y, x


def labels_before(atoms: list[Any], labels: LabelArray, box: Box) -> LabelArray:
    """Labels of the box before the step; `labels` is the whole array with the step already in it."""
    before: LabelArray = labels[box].copy()
    for atom in reversed(atoms):
        _take_back(atom, before, box)
    return before


def _atom_box(atom: Any, shape: tuple[int, ...]) -> list[slice]:
    if hasattr(atom, "slice_key"):
        return [slice(*s.indices(n)[:2]) for s, n in zip(atom.slice_key, shape, strict=True)]
    return [slice(int(np.min(i)), int(np.max(i)) + 1) for i in atom[0]]


def _take_back(atom: Any, before: LabelArray, box: Box) -> None:
    if hasattr(atom, "slice_key"):
        key = tuple(
            slice(part.start - whole.start, part.stop - whole.start)
            for part, whole in zip(atom.slice_key, box, strict=True)
        )
        region = before[key]
        if atom.mask is None:
            region[...] = atom.old_values
        else:
            region[atom.mask] = atom.old_values
        return
    index = tuple(np.asarray(i) - whole.start for i, whole in zip(atom[0], box, strict=True))
    before[index] = atom[1]
