"""Slices in their order: sorted along the normal, copies dropped, several volumes at one place told apart."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_apprentice.core.reading import chosen_volumes
from napari_apprentice.errors import ChoiceError, ScanError
from napari_apprentice.scans.dicom.file import CountedFile, read_whole
from napari_apprentice.scans.dicom.grid import ROUNDED_PART, check_alike
from napari_apprentice.scans.dicom.plane import MARKS, Plane

SAME_PLACE_MM = 0.005
# Marks that a scanner sets once per volume; trigger and acquisition times may differ from slice to slice.
_OF_VOLUMES = ("TemporalPositionIdentifier", "EchoTime", "DiffusionBValue")


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices of a series in order.

    Parameters
    ----------
    volumes
        One or more volumes on the same grid, each with its planes sorted along their normal.
    dropped
        How many slices were there twice, voxel for voxel.
    """

    volumes: tuple[tuple[Plane, ...], ...]
    dropped: int = 0

    def names(self) -> tuple[str, ...]:
        """What tells each volume from the others: "echo time 4.6"; "" for a single one."""
        if len(self.volumes) == 1:
            return ("",)
        return tuple(_difference(self.volumes, v) or f"volume {v}" for v in range(len(self.volumes)))

    @property
    def contradicting(self) -> str:
        """What differs from place to place although it should tell whole volumes apart; "" when nothing does."""
        for mark in _OF_VOLUMES:
            places = zip(*self.volumes, strict=True)
            found = {tuple(sorted(f"{p.marks.get(mark, math.nan):.3g}" for p in place)) for place in places}
            if len(found) > 1 and any(len(set(values)) > 1 for values in found):
                return MARKS[mark]
        return ""

    def choose(self, text: str, name: str) -> tuple[int, ...]:
        """Numbers of the volumes that a setting's text names.

        Raises
        ------
        ChoiceError
            There are several, and it names none.
        InputError
            It names one that does not exist.
        """
        count = len(self.volumes)
        if count == 1:
            return (0,)
        if text.strip():
            return chosen_volumes(text, count)
        slices = len(self.volumes[0])
        choices = tuple((str(n), f"{what}, {slices} slices") for n, what in enumerate(self.names()))
        raise ChoiceError(
            f"{name} holds {count} volumes of the same place; say which become channels.",
            "volumes",
            (*choices, ("all", "each one a channel")),
        )


def stacked(planes: Sequence[Plane], name: str) -> Stack:
    """Sort slices into one volume or several of the same place.

    Raises
    ------
    ScanError
        A slice has no place, does not fit the others, or several differ at some places only.
    """
    if len(planes) == 1:
        return Stack((tuple(planes),))
    check_alike(planes)
    places = _places(planes)
    sizes = {len(place) for place in places}
    if sizes == {1}:
        return Stack((tuple(place[0] for place in places),))
    if len(sizes) == 1 and not _all_copies(places):
        return Stack(tuple(zip(*places, strict=True)))
    kept = [_distinct(place) for place in places]
    dropped = sum(map(len, places)) - sum(map(len, kept))
    if len({len(place) for place in kept}) > 1:
        odd = next(place for place in kept if len(place) != len(kept[0]) or len(place) > 1)
        raise ScanError(
            f"{name} holds several different slices at some places and not at others (such as "
            f"{odd[0].path.name}); it cannot be told which of them belong together."
        )
    return Stack(tuple(zip(*kept, strict=True)), dropped)


def _places(planes: Sequence[Plane]) -> list[list[Plane]]:
    """Planes grouped by where they lie, from bottom to top of their normal; sorted within a place."""
    directions = planes[0].directions
    if directions is None:
        raise ScanError(f"{planes[0].path.name} does not say how its slice is turned.")
    normal = np.cross(directions[0], directions[1])
    heights = np.array([p.position for p in planes], dtype=np.float64) @ (normal / np.linalg.norm(normal))
    apart = min(SAME_PLACE_MM, ROUNDED_PART * min(planes[0].spacing or (math.inf,)))
    places: list[list[Plane]] = []
    last = -math.inf
    for index in np.argsort(heights, kind="stable"):
        plane = planes[int(index)]
        if heights[index] - last > apart:
            places.append([])
            last = float(heights[index])
        places[-1].append(plane)
    for place in places:
        _check_place(place, 10 * apart)
        place.sort(key=Plane.sort_key)
    return places


def _check_place(place: list[Plane], most: float) -> None:
    positions = np.array([p.position for p in place], dtype=np.float64)
    aside = np.linalg.norm(positions - positions[0], axis=1)
    if aside.max() > most:
        names = f"{place[0].path.name} and {place[int(aside.argmax())].path.name}"
        raise ScanError(f"{names} lie beside each other in one plane; they are slices of different scans.")


def _all_copies(places: list[list[Plane]]) -> bool:
    """Whether every place holds copies only; looks no further than the first difference."""
    return all(len(_distinct(place)) == 1 for place in places)


def _distinct(place: list[Plane]) -> list[Plane]:
    """A place without slices that equal an earlier one in voxels and scaling."""
    if len(place) == 1:
        return place
    kept: dict[tuple[object, ...], Plane] = {}
    for plane in place:
        kept.setdefault((_digest(plane), plane.slope, plane.intercept), plane)
    return list(kept.values())


def _digest(plane: Plane) -> str:
    """Of the stored voxels; frames of one file are never taken for copies."""
    with CountedFile(plane.path) as file:
        data = read_whole(file, plane.path)
    voxels = data.get("PixelData") or data.get("FloatPixelData") or data.get("DoubleFloatPixelData") or b""
    return f"{hashlib.sha256(voxels).hexdigest()}/{plane.frame}"


def _difference(volumes: tuple[tuple[Plane, ...], ...], number: int) -> str:
    kinds = [{p.kind for p in volume} for volume in volumes]
    for mark, words in MARKS.items():
        values = [{p.marks.get(mark, math.nan) for p in volume} for volume in volumes]
        single = all(len(v) == 1 and not math.isnan(next(iter(v))) for v in values)
        if single and len(set.union(*values)) == len(volumes):
            return f"{words} {next(iter(values[number])):g}"
    if all(len(k) == 1 for k in kinds) and len(set.union(*kinds)) == len(volumes):
        return next(iter(kinds[number]))
    return ""
