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


def labels_around(atoms: list[Any], labels: LabelArray, box: Box) -> tuple[LabelArray, LabelArray]:
    """Labels of the box before and after the step.

    Parameters
    ----------
    labels
        The whole array. Whether it has the step in it already depends on the tool: napari reports what the brush
        did after it is written, but a polygon before that.
    """
    before: LabelArray = labels[box].copy()
    for atom in reversed(atoms):
        _write(atom, before, box, taken_back=True)
    after = before.copy()
    for atom in atoms:
        _write(atom, after, box, taken_back=False)
    return before, after


def _atom_box(atom: Any, shape: tuple[int, ...]) -> list[slice]:
    if hasattr(atom, "slice_key"):
        return [slice(*s.indices(n)[:2]) for s, n in zip(atom.slice_key, shape, strict=True)]
    return [slice(int(np.min(i)), int(np.max(i)) + 1) for i in atom[0]]


def _write(atom: Any, part: LabelArray, box: Box, *, taken_back: bool) -> None:
    """Do one change in the labels of a box, or take it back."""
    if hasattr(atom, "slice_key"):
        key = tuple(
            slice(inner.start - whole.start, inner.stop - whole.start)
            for inner, whole in zip(atom.slice_key, box, strict=True)
        )
        region = part[key]
        region[... if atom.mask is None else atom.mask] = atom.old_values if taken_back else atom.new_value
        return
    index = tuple(np.asarray(i) - whole.start for i, whole in zip(atom[0], box, strict=True))
    part[index] = atom[1] if taken_back else atom[2]
