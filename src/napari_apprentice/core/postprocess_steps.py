"""What each post-processing step does to the voxels of a label map.

Components are voxels that touch by a face, edge or corner (26 neighbours), as in nnU-Net; background is
enclosed when it cannot leave through faces (6 neighbours), the digital counterpart of that. Removed voxels
become background; only background is ever filled or grown into. So a label without steps keeps every voxel.
"""

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_apprentice.core.postprocess import HOLES, ISLANDS, LARGEST, SMOOTH, THRESHOLD, PostRecipe
from napari_apprentice.core.volume import LabelArray

Box = tuple[slice, ...]
Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]
TRUNCATE = 4.0  # sigmas after which a Gaussian is taken for 0
_CORNERS = np.ones((3, 3, 3), dtype=bool)
_FACES = ndimage.generate_binary_structure(3, 1)
_SLAB_VOXELS = 2_000_000  # what a temporary of eight bytes a voxel may cover


def postprocess(labels: LabelArray, spacing: Spacing, recipe: PostRecipe) -> LabelArray:
    """Do a recipe's steps, all but the threshold, which needs probabilities (`thresholded`).

    Stage by stage in the order of `core.postprocess.ORDER`, in each stage by label id. Extra memory is one
    copy of the label map and, in one label's bounding box at a time, about 6 bytes a voxel (14 to smooth).

    Parameters
    ----------
    labels
        (z, y, x) label ids, all slabs of it: components are not known before; it is not changed.
    spacing
        Millimetres along (z, y, x).

    Returns
    -------
    (z, y, x) of the same dtype; `labels` itself when the recipe has nothing to do.
    """
    out = labels
    for name in (SMOOTH, ISLANDS, LARGEST, HOLES):
        amounts = recipe.amounts(name)
        if not amounts:
            continue
        out = labels.copy() if out is labels else out
        for label, box in _boxes(out, amounts):
            if name == SMOOTH:
                _smooth(out, label, box, spacing, amounts[label])
            elif name == HOLES:
                _fill(out, label, box)
            else:
                least = amounts[label] / math.prod(spacing) if name == ISLANDS else None
                _drop(out[box], label, least)
    return out


def thresholded(rows: NDArray[np.integer], best: NDArray[np.floating], least: NDArray[np.floating]) -> Mask:
    """Where the winner of the argmax is too improbable, so that background takes the voxel.

    A pure function for whoever holds probabilities, slab by slab; the same on any device in the form
    ``best < least[rows]``.

    Parameters
    ----------
    rows
        Row of the network's output that won, 0 for background; any shape.
    best
        Its probability, same shape.
    least
        (1 + labels,) as `least_probability` gives it.
    """
    below: Mask = best < least[rows]
    return below


def least_probability(recipe: PostRecipe, ids: tuple[int, ...]) -> NDArray[np.float32] | None:
    """Per row of a network's output, background (0) first, the least probability; None where none is asked."""
    amounts = recipe.only(ids).amounts(THRESHOLD)
    return np.array([amounts.get(i, 0.0) for i in ids], dtype=np.float32) if amounts else None


def _boxes(labels: LabelArray, amounts: Mapping[int, float]) -> Iterator[tuple[int, Box]]:
    """Bounding boxes of the labels asked for that are there, by id."""
    found = ndimage.find_objects(labels, max(amounts))
    return ((i, found[i - 1]) for i in sorted(amounts) if found[i - 1] is not None)


def _slabs(shape: tuple[int, ...]) -> Iterator[slice]:
    thick = max(1, _SLAB_VOXELS // max(1, math.prod(shape[1:])))
    return (slice(z, z + thick) for z in range(0, shape[0], thick))


def _sizes(components: NDArray[np.signedinteger], count: int) -> NDArray[np.int64]:
    sizes = np.zeros(count + 1, dtype=np.int64)
    for slab in _slabs(components.shape):  # bincount makes eight bytes of every voxel it is given
        sizes += np.bincount(components[slab].ravel(), minlength=count + 1)
    return sizes


def _drop(part: LabelArray, label: int, least: float | None) -> None:
    """Remove components under `least` voxels, or all but the largest; of several largest all stay.

    Keeping them all makes the result the same whichever way the scan is turned.
    """
    components, count = ndimage.label(part == label, structure=_CORNERS)
    sizes = _sizes(components, count)
    sizes[0] = 0
    keep = sizes >= (sizes.max() if least is None else least)
    if keep[1:].all():
        return
    keep[0] = True
    for slab in _slabs(part.shape):
        part[slab][~keep[components[slab]]] = 0


def _fill(labels: LabelArray, label: int, box: Box) -> None:
    """Give the label all background that it encloses, alone or together with labels inside it.

    In the tight bounding box, whatever does not reach the box's faces is enclosed. Along an axis of one
    voxel everything would reach them, so a single slice is judged within the slice.
    """
    part = labels[box]
    components, count = ndimage.label(part != label, structure=_FACES)
    open_ = np.zeros(count + 1, dtype=bool)
    open_[0] = True
    for axis in range(3):
        if labels.shape[axis] > 1:
            for face in (0, -1):
                open_[np.unique(components.take(face, axis))] = True
    if open_.all():
        return
    for slab in _slabs(part.shape):
        inner = part[slab]
        inner[~open_[components[slab]] & (inner == 0)] = label


def _smooth(labels: LabelArray, label: int, box: Box, spacing: Spacing, sigma_mm: float) -> None:
    """Smooth the surface between a label and background; its volume stays.

    Normalised convolution (Knutsson and Westin, CVPR 1993) of the label with a Gaussian of `sigma_mm`, over
    what is this label or background: neighbouring labels and the world outside the scan count as unknown, so
    the label neither draws back from them nor from the scan's edge. As many of the highest values are kept
    as the label had voxels: at a fixed half, a ball of radius r would lose about 3 sigma^2/r^2 of its volume.
    """
    sigmas = [sigma_mm / s for s in spacing]
    reach = [math.ceil(TRUNCATE * s) + 1 for s in sigmas]
    wide = tuple(slice(max(0, b.start - r), b.stop + r) for b, r in zip(box, reach, strict=True))
    part = labels[wide]
    mask = part == label
    free = mask | (part == 0)
    share, known = _blurred(mask, sigmas), _blurred(free, sigmas)
    np.divide(share, known, out=share, where=free)  # a free voxel weighs in `known` itself, so that is above 0
    share[~free] = -1.0
    del known
    order = share[share > 0]
    last = order.size - int(mask.sum())
    order.partition(last)
    # Ties at the edge of what is kept are kept too: which of them came first depends on how the scan is turned.
    kept = share >= order[last]
    part[mask & ~kept] = 0
    part[kept] = label


def _blurred(mask: Mask, sigmas: list[float]) -> NDArray[np.float32]:
    weights = mask.astype(np.float32)
    ndimage.gaussian_filter(weights, sigmas, mode="constant", truncate=TRUNCATE, output=weights)
    return weights
