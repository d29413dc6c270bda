"""Where two label maps differ: of which kind, and in which places, the largest first."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_apprentice.core.correction import Box, bounding_box
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import GeometryError

SAME, ONLY_FIRST, ONLY_SECOND, CHANGED = 0, 1, 2, 3
MOST_PLACES = 1000
KindArray = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Place:
    """Voxels of one kind that touch each other (26-connected).

    Parameters
    ----------
    kind
        Which kind of difference; what the numbers mean is up to whoever made them.
    box
        The smallest box around it.
    mask
        (z, y, x) of the box: the place's voxels.
    voxels
        How many they are.
    """

    kind: int
    box: Box
    mask: NDArray[np.bool_]
    voxels: int

    @property
    def peak(self) -> tuple[int, int, int]:
        """The voxel (z, y, x) to look at: in the slice with most of the place, next to the middle of what is there."""
        z = int(self.mask.sum(axis=(1, 2)).argmax())
        found = np.argwhere(self.mask[z])
        y, x = found[np.abs(found - found.mean(axis=0)).sum(axis=1).argmin()]
        start = [s.start for s in self.box]
        return start[0] + z, start[1] + int(y), start[2] + int(x)


@dataclass(frozen=True, eq=False)
class Places:
    """The places where something differs, the largest first; `total` counts those that were left out too."""

    found: tuple[Place, ...]
    total: int


def kinds_of(first: LabelArray, second: LabelArray) -> KindArray:
    """Per voxel: 0 same label, 1 labelled only in the first, 2 only in the second, 3 labelled otherwise.

    Parameters
    ----------
    first, second
        (z, y, x) label ids on one grid.

    Raises
    ------
    GeometryError
        They have different shapes.
    """
    if first.shape != second.shape:
        raise GeometryError(f"Label maps of shapes {first.shape} and {second.shape} cannot be compared.")
    kinds: KindArray = (first != 0).view(np.uint8) + 2 * (second != 0).view(np.uint8)
    kinds[first == second] = SAME
    return kinds


def places_of(kinds: KindArray, most: int = MOST_PLACES) -> Places:
    """Connected places of each kind but 0, the largest first, ties in order of place.

    Parameters
    ----------
    kinds
        (z, y, x) uint8.
    most
        So many are described; a noisy label map has thousands that nobody goes through.
    """
    outer = bounding_box(kinds != 0)
    if outer is None:
        return Places((), 0)
    inside, found, total = kinds[outer], [], 0
    for kind in np.unique(inside[inside != 0]):
        parts, count = ndimage.label(inside == kind, structure=np.ones((3, 3, 3)))
        total += count
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        boxes = ndimage.find_objects(parts)
        for index in np.argsort(-sizes, kind="stable")[: min(most, count)]:
            box = boxes[index - 1]
            found.append(Place(int(kind), _moved(box, outer), parts[box] == index, int(sizes[index])))
    found.sort(key=lambda place: (-place.voxels, [s.start for s in place.box]))
    return Places(tuple(found[:most]), total)


def _moved(box: Box, outer: Box) -> Box:
    z, y, x = (slice(a.start + b.start, a.stop + b.start) for a, b in zip(box, outer, strict=True))
    return z, y, x
