"""Segments and contours that may claim the same voxel, into a label map that has one label per voxel."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import LabelArray, LabelMap
from napari_apprentice.errors import ChoiceError, InputError
from napari_apprentice.scans.segments.slices import Place
from napari_apprentice.scans.suffixes import stem_of

Pieces = Callable[[int], Iterable[tuple[Place, NDArray[np.bool_]]]]
"""For a label id: which voxels, and which of them it claims."""

UNKNOWN = 255  # what segmentation challenges write where nobody is sure
_CHOICES = (
    ("first", "the one that comes first in the file keeps the voxel"),
    ("last", "the one that comes last in the file gets it"),
    ("smallest", "the one with the fewest voxels gets it, so that a small one inside a large one stays whole"),
)


class Claims:
    """Paint labels one after the other and count what is painted over.

    Parameters
    ----------
    names
        Label id to name, in the file's order.
    pieces
        Gives the voxels of a label id; called once or twice for each.
    """

    def __init__(self, names: Mapping[int, str], pieces: Pieces) -> None:
        self.overlaps: Counter[tuple[int, int]] = Counter()
        self._names = names
        self._pieces = pieces

    def paint(self, shape: tuple[int, int, int], overlap: str) -> LabelArray:
        """Labels (z, y, x), uint8 or uint16; `overlap` is that of `ReadSettings`, "ask" paints as "last"."""
        labels: LabelArray = np.zeros(shape, np.uint8 if max(self._names, default=0) < 256 else np.uint16)
        self.overlaps.clear()
        for number in self._order(overlap):
            for place, mask in self._pieces(number):
                under = place.view(labels)
                taken = under[mask & (under != 0) & (under != number)]
                for other, count in zip(*np.unique(taken, return_counts=True), strict=True):
                    self.overlaps[int(other), number] += int(count)
                under[mask] = number
        return labels

    def settled(self, shape: tuple[int, int, int], overlap: str, name: str) -> tuple[LabelArray, list[str]]:
        """`paint`, and a sentence where segments of a file share voxels.

        Raises
        ------
        ChoiceError
            They do, and `overlap` does not say who gets them.
        """
        labels = self.paint(shape, overlap)
        if not self.overlaps:
            return labels, []
        if overlap == "ask":
            raise self.choice(name)
        return labels, [f"{name}: {self.sentence()}; the {overlap} one got them."]

    def sentence(self) -> str:
        """Who shares how many voxels, in the file's words."""
        pairs = self.overlaps.most_common()
        said = [f"{self._names[a]} and {self._names[b]} share {n} voxels" for (a, b), n in pairs[:6]]
        return "; ".join(said) + (f"; and {len(pairs) - 6} more pairs" if len(pairs) > 6 else "")

    def choice(self, name: str) -> ChoiceError:
        """What to raise when somebody has to decide."""
        text = f"{name}: {self.sentence()}. A voxel has one label: choose first, last or smallest (--overlap)."
        return ChoiceError(text, "overlap", _CHOICES)

    def _order(self, overlap: str) -> list[int]:
        numbers = list(self._names)
        if overlap == "first":
            return numbers[::-1]
        if overlap == "smallest":
            sizes = {n: sum(int(mask.sum()) for _, mask in self._pieces(n)) for n in numbers}
            return sorted(numbers, key=lambda n: -sizes[n])
        return numbers


def chosen_segments(
    settings: ReadSettings, names: Mapping[int, str], name: str, *, numbered: bool = True
) -> tuple[dict[int, str], list[str]]:
    """The segments, contours or labels a person asked for, by name in any case or by number; all by default.

    Parameters
    ----------
    numbered
        Whether the numbers are the file's own; those of an order are nothing to ask for.

    Returns
    -------
    Those there are, and a sentence where some are not: not every scan shows everything.

    Raises
    ------
    InputError
        None of them exists; the text says which there are.
    """
    wanted = wanted_segments(settings)
    if not wanted:
        return dict(names), []
    found = {
        w: [n for n, text in names.items() if w.casefold() == text.casefold() or (numbered and w == str(n))]
        for w in wanted
    }
    missing = [w for w, numbers in found.items() if not numbers]
    if len(missing) == len(wanted):
        known = ", ".join(f"{n} {text}".strip() if numbered else text for n, text in names.items())
        raise InputError(f"{name} has no segment {', '.join(missing)}; it has {known}.")
    taken = {n for numbers in found.values() for n in numbers}
    said = [f"{name}: it has no segment {', '.join(missing)}, as --segments says."] if missing else []
    return {n: text for n, text in names.items() if n in taken}, said


def wanted_segments(settings: ReadSettings) -> list[str]:
    """The names and numbers that a person asked for; none where it is all."""
    return [part.strip() for part in settings.segments.split(",") if part.strip()]


def may_be_unknown(names: Mapping[int, str], numbers: Collection[int]) -> bool:
    """Whether `UNKNOWN` is no label of a file: it has no name where others have, or no number is larger."""
    return UNKNOWN in numbers and UNKNOWN not in names and (bool(names) or max(numbers) == UNKNOWN)


def is_lone_mask(labels: LabelMap, numbers: Collection[int]) -> bool:
    """Whether a file has nothing but a mask (1 or 255) and no name for it of its own: it may be called as its label."""
    return len(numbers) == 1 and {*numbers} <= {1, UNKNOWN} and (not labels.names or labels.copied)


def only_chosen(labels: LabelMap, settings: ReadSettings, name: str, unknown: Collection[int] = (UNKNOWN,)) -> LabelMap:
    """A label map without the labels that a person did not ask for; as it is by default.

    Parameters
    ----------
    unknown
        Values of voxels that nobody is sure about. They are never asked for and always kept: as background they
        would be taught. `UNKNOWN` is one only where `may_be_unknown` says so.

    Raises
    ------
    InputError
        None of those asked for exists.
    """
    wanted = wanted_segments(settings)
    if not wanted or not labels.voxels.any():
        return labels
    numbers = {int(v) for v in np.unique(labels.voxels) if v}
    kept = {v for v in numbers & {*unknown} if v != UNKNOWN or may_be_unknown(labels.names, numbers)}
    own = labels.names
    if is_lone_mask(labels, numbers):
        called = {w.casefold() for w in wanted} & {stem_of(Path(name)).casefold()}
        own = {**own, **dict.fromkeys(numbers, called.pop())} if called else own  # a mask: liver.nii.gz
    # A map that has no names says nothing of labels that it has no voxel of.
    numbers |= {int(part) for part in wanted if part.isdecimal()}
    chosen, said = chosen_segments(settings, dict.fromkeys(sorted(numbers), "") | dict(own), name)
    voxels = np.where(np.isin(labels.voxels, [*chosen, *kept]), labels.voxels, labels.voxels.dtype.type(0))
    names = {n: text for n, text in labels.names.items() if n in chosen}
    return replace(labels, voxels=voxels, names=names, warnings=(*labels.warnings, *said))
