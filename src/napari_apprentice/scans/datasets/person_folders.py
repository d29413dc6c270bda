"""One folder per person: the scans in each are the channels of a case, files named like label maps its labels."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from napari_apprentice.core.collecting import SEPARATE
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.scans.datasets.folders import is_picture, name_of, scans_in, stem_of, tree
from napari_apprentice.scans.datasets.found import ChannelFile, Found, FoundCase, with_missing
from napari_apprentice.scans.label_names import (
    ScanNames,
    common_start,
    is_contrast,
    is_plain,
    label_word,
    what_is_labelled,
)

_MOST = 16  # files in one person's folder


def looks_like_folders(folder: Path) -> bool:
    """Whether the folders in here hold few files each, of the same names, as with one folder per person.

    images/ and labels/ with a file per person in each are something else.
    """
    places = [p for p in places_in(folder) if p != folder]
    shared = Counter(name.lower() for p in places for name in _names(p))
    return (
        len(places) > 1
        and not any(label_word(p.name) or len(scans_in(p)) > _MOST for p in places)
        and any(count > len(places) / 2 for count in shared.values())
    )


def looks_like_person(folder: Path, reference: str = "") -> bool:
    """Whether the scans directly in a folder are those of one person.

    Their names say so: nothing but contrasts (CT, MR_T1), also after a common start; or a single scan beside
    label maps; or one is the channel that was named as `reference`.
    """
    if not 1 < len(scans_in(folder)) <= _MOST:
        return False
    names = _names(folder)
    scans = names.keys() - _maps(names)
    if not scans:
        return False
    if len(scans) == 1:
        return any(is_plain(name) or is_contrast(name) for name in scans)
    return (reference not in ("", SEPARATE) and reference in scans) or all(map(is_contrast, scans))


def find_folders(folder: Path, labels_from: str = "", places: Iterable[Path] = ()) -> Found:
    """One case for each folder that holds scans directly; of several label maps `labels_from` chooses.

    Parameters
    ----------
    places
        These folders only; by default all in `folder` and below.
    """
    cases = tuple(case for place in places or places_in(folder) if (case := _case(place, folder, labels_from)))
    return Found("folders", with_missing(cases), (), (), schema_of(cases), name_of(folder))


def schema_of(cases: Iterable[FoundCase]) -> LabelSchema | None:
    """A label for each thing that the names of all label maps say they show; None where they do not."""
    maps = [p for c in cases for p in (c.labels, *(f.labels for f in c.channels)) if p]
    word = what_is_labelled([stem_of(p) for p in maps])
    return LabelSchema.from_names([word]) if word else None


def places_in(folder: Path) -> list[Path]:
    """Folders that hold scans; those with pictures alone only where there is nothing else."""
    held = {place: scans for place in tree(folder) if (scans := scans_in(place))}
    volumes = [place for place, scans in held.items() if not all(map(is_picture, scans))]
    return volumes or list(held)


def _names(place: Path) -> dict[str, Path]:
    """Files of a person by their names, without what all of them begin with."""
    files = {stem_of(p): p for p in scans_in(place)}
    start = common_start(tuple(files), name_of(place))
    return {stem[len(start) :]: p for stem, p in files.items()}


def _maps(names: Iterable[str]) -> set[str]:
    """Files named like a label map, or after another one, as tumour_CT beside CT."""
    called = ScanNames(names)
    return {name for name in names if label_word(name) is not None or called.scan_of(name) not in (None, name)}


def _case(place: Path, folder: Path, labels_from: str) -> FoundCase | None:
    files = _names(place)
    marked = _maps(files)
    maps = {name: p for name, p in files.items() if name in marked}
    scans = {name: p for name, p in files.items() if name not in marked}
    if not scans:
        return None
    called = ScanNames(scans)
    owners = {name: called.scan_of(name) for name in maps}
    counts = Counter(owner for owner in owners.values() if owner)
    of_channel = {owner: maps[name] for name, owner in owners.items() if owner and counts[owner] == 1 < len(scans)}
    of_case = tuple(p for p in maps.values() if p not in of_channel.values() and labels_from in p.as_posix())
    name = "_".join(place.relative_to(folder).parts) or name_of(place)
    return FoundCase(
        name,
        name,
        tuple(ChannelFile(_channel(n, place, scans), p, labels=of_channel.get(n)) for n, p in scans.items()),
        of_case[0] if len(of_case) == 1 else None,
        choices=of_case if len(of_case) > 1 else (),
    )


def _channel(name: str, place: Path, scans: Iterable[str]) -> str:
    """A channel's name; none where it only repeats the folder's, or says that it is a scan."""
    alone = len(list(scans)) == 1
    return "" if alone and (is_plain(name) or name == name_of(place)) else name
