"""Where two label maps differ: of which kind, and in which places, the largest first."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.connected import Ints, Runs
from napari_apprentice.core.correction import Box
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
    runs, found, total = Runs.of(kinds), [], 0
    for kind in np.unique(runs.kind):
        count, places = _places(runs.chosen(runs.kind == kind), int(kind), most)
        found += places
        total += count
    found.sort(key=lambda place: (-place.voxels, [s.start for s in place.box]))
    return Places(tuple(found[:most]), total)


def _places(runs: Runs, kind: int, most: int) -> tuple[int, list[Place]]:
    """How many places runs of one kind make, and the largest of them."""
    count, part = runs.components()
    voxels = np.bincount(part, weights=runs.stop - runs.start, minlength=count).astype(np.int64)
    chosen = np.argsort(-voxels, kind="stable")[:most]
    order = np.argsort(part, kind="stable")
    stops = np.cumsum(np.bincount(part, minlength=count))
    starts = stops - np.bincount(part, minlength=count)
    places = []
    for index in chosen:
        mine = runs.chosen(order[starts[index] : stops[index]])
        box = (_span(mine.z, mine.z + 1), _span(mine.y, mine.y + 1), _span(mine.start, mine.stop))
        places.append(Place(kind, box, mine.mask(box), int(voxels[index])))
    return count, places


def _span(start: Ints, stop: Ints) -> slice:
    return slice(int(start.min()), int(stop.max()))
