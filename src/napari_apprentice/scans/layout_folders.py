"""One folder per person: the scans in each are the channels of a case, files named like label maps its labels."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.scans.folders import is_picture, scans_in, stem_of, tree
from napari_apprentice.scans.found import ChannelFile, Found, FoundCase

_MOST = 16  # files in one person's folder
_WORDS = (
    "seg|segmentation|dseg|mask|masks|label|labels|labelmap|lesion|lesions|tumou?r|tumou?rs|gtv|roi|contour|"
    "annotation|gt|groundtruth|organs?"
)
_NAMES = re.compile("lesions?|tumou?rs?|gtv|organs?", re.IGNORECASE)  # of those, words that say what is labelled
_LABELS = re.compile(rf"(?:(?P<scan>.+)[-_ .])?(?P<word>{_WORDS})", re.IGNORECASE)


def looks_like_folders(folder: Path) -> bool:
    """Whether the folders in here hold few files each, of the same names, as with one folder per person.

    images/ and labels/ with a file per person in each are something else.
    """
    places = [p for p in _places(folder) if p != folder]
    shared = Counter(stem_of(f).lower() for p in places for f in scans_in(p))
    return (
        len(places) > 1
        and not any(label_word(p.name) or len(scans_in(p)) > _MOST for p in places)
        and any(count > len(places) / 2 for count in shared.values())
    )


def find_folders(folder: Path, labels_from: str = "") -> Found:
    """One case for each folder that holds scans directly; of several label maps `labels_from` chooses."""
    places = _places(folder)
    cases = tuple(case for place in places if (case := _case(place, folder, labels_from)))
    return Found("folders", cases, (), (), _schema(cases), folder.name)


def label_maps_among(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Files named like a label map of another one beside them: liver_seg beside liver."""
    files = list(paths)
    scans = {(p.parent, stem_of(p)) for p in files}
    return tuple(p for p in files if (m := label_word(stem_of(p))) and m[0] and (p.parent, m[0]) in scans)


def label_word(stem: str) -> tuple[str, str] | None:
    """Of a file named like a label map, the scan it belongs to ("" for the whole case) and what it shows."""
    match = _LABELS.fullmatch(stem)
    return (match["scan"] or "", match["word"].lower()) if match else None


def _places(folder: Path) -> list[Path]:
    """Folders that hold scans; those with pictures alone only where there is nothing else."""
    held = {place: scans for place in tree(folder) if (scans := scans_in(place))}
    volumes = [place for place, scans in held.items() if not all(map(is_picture, scans))]
    return volumes or list(held)


def _case(place: Path, folder: Path, labels_from: str) -> FoundCase | None:
    files = {stem_of(p): p for p in scans_in(place)}
    scans = {stem: p for stem, p in files.items() if label_word(stem) is None}
    maps = {(label_word(stem) or ("", ""))[0]: p for stem, p in files.items() if stem not in scans}
    if not scans:
        return None
    of_case = tuple(p for stem, p in files.items() if stem not in scans and p not in _of_channels(maps, scans))
    of_case = tuple(p for p in of_case if labels_from in p.as_posix())
    name = "_".join(place.relative_to(folder).parts) or place.resolve().name
    return FoundCase(
        name,
        name,
        tuple(ChannelFile(stem, p, labels=maps.get(stem)) for stem, p in scans.items()),
        of_case[0] if len(of_case) == 1 else None,
        choices=of_case if len(of_case) > 1 else (),
    )


def _of_channels(maps: Mapping[str, Path], scans: Mapping[str, Path]) -> set[Path]:
    return {p for scan, p in maps.items() if scan in scans}


def _schema(cases: tuple[FoundCase, ...]) -> LabelSchema | None:
    maps = [p for c in cases for p in (c.labels, *(f.labels for f in c.channels)) if p]
    words = {(label_word(stem_of(p)) or ("", ""))[1] for p in maps}
    return LabelSchema.from_names(words) if len(words) == 1 and all(map(_NAMES.fullmatch, words)) else None
