"""A folder of scans and beside it one of label maps: images/ and labels/, train/img and train/mask."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from napari_apprentice.scans.datasets.folders import folders_in, name_of, scans_in, stem_of
from napari_apprentice.scans.datasets.found import ChannelFile, Found, FoundCase
from napari_apprentice.scans.datasets.person_folders import schema_of
from napari_apprentice.scans.label_names import ScanNames

_PART = r"(?P<part>[-_ ]?(?:tr|ts|va|train|training|val|validation|test)?)"
_IMAGES = re.compile(rf"(?:images?|imgs?|scans?|volumes?|data|raw){_PART}", re.IGNORECASE)
_LABELS = re.compile(
    rf"(?:labels?|labelmaps?|masks?|segs?|segmentations?|annotations?|contours?|gt|groundtruth|ground_truth|lbls?){_PART}",
    re.IGNORECASE,
)


def looks_like_pairs(folder: Path) -> bool:
    """Whether a folder, or one directly in it, holds a folder of scans and one of label maps that fit them."""
    return any(True for _ in _pairs(folder))


def find_pairs(folder: Path, labels_from: str = "") -> Found:
    """One case for each scan, with the label map of its name; of several `labels_from` chooses."""
    cases: list[FoundCase] = []
    notes: list[str] = []
    for images, maps in _pairs(folder):
        made, said = _cases(images, maps, labels_from)
        cases += made
        notes += said
    return Found("pairs", tuple(cases), (), tuple(notes), schema_of(cases), name_of(folder))


def find_pair(images: Path, maps: Path) -> Found:
    """The same of two folders that were named."""
    cases, notes = _cases(images, [maps], "")
    return Found("pairs", tuple(cases), (), tuple(notes), schema_of(cases), name_of(images.absolute().parent))


def named_pair(folders: Sequence[Path]) -> tuple[Path, Path] | None:
    """Of folders a person named, one of scans and one of label maps that fit them."""
    for images in folders:
        for maps in folders:
            if maps != images and _matches(_LABELS, maps) is not None and _fit(images, maps):
                return images, maps
    return None


def is_maps(folder: Path) -> bool:
    """Whether a folder is named like one of label maps."""
    return folder.is_dir() and _matches(_LABELS, folder) is not None


def maps_beside(folder: Path) -> Path | None:
    """The folder of label maps that lies beside a folder of scans."""
    if _matches(_IMAGES, folder) is None:
        return None
    return next((maps for images, found in _pairs_in(folder.absolute().parent) if images == folder.absolute()
                 for maps in found), None)  # fmt: skip


def _pairs(folder: Path) -> Iterator[tuple[Path, list[Path]]]:
    for place in (folder, *folders_in(folder)):
        yield from _pairs_in(place)


def _pairs_in(place: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Each folder of scans in a place, and the folders of label maps that fit it."""
    below = folders_in(place)
    for images in below:
        part = _matches(_IMAGES, images)
        maps = [p for p in below if part is not None and _matches(_LABELS, p) == part and _fit(images, p)]
        if maps:
            yield images, maps


def _matches(pattern: re.Pattern[str], folder: Path) -> str | None:
    match = pattern.fullmatch(name_of(folder))
    return match["part"].strip("-_ ").lower() if match else None


def _fit(images: Path, maps: Path) -> bool:
    """Whether most files of a folder of label maps are named like scans of the other."""
    called = ScanNames(stem_of(p) for p in scans_in(images))
    found = [called.partner(stem_of(p)) for p in scans_in(maps)]
    return sum(x is not None for x in found) * 2 > len(found)


def _cases(images: Path, maps: Sequence[Path], labels_from: str) -> tuple[list[FoundCase], list[str]]:
    scans = {stem_of(p): p for p in scans_in(images)}
    called = ScanNames(scans)
    fitting: dict[str, list[Path]] = {}
    lost: list[Path] = []
    for path in (p for folder in maps for p in scans_in(folder)):
        scan = called.partner(stem_of(path))
        fitting.setdefault(scan, []).append(path) if scan else lost.append(path)
    cases = []
    for stem, path in scans.items():
        found = tuple(p for p in fitting.get(stem, ()) if labels_from in p.as_posix())
        labels, choices = (found[0], ()) if len(found) == 1 else (None, found)
        cases.append(FoundCase(stem, "", (ChannelFile("", path),), labels, choices=choices))
    bare = sum(stem not in fitting for stem in scans)
    notes = [f"{bare} scans of {images.name} have no label map."] * bool(bare)
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        notes.append(f"No scan is named like the label map {lost[0].name}{more}: left out.")
    return cases, notes
