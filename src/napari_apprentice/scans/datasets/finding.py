"""Files and folders as cases: recognises public data sets, folders per person, DICOM trees and plain files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from napari_apprentice.core.collecting import SEPARATE, AddSettings
from napari_apprentice.errors import InputError
from napari_apprentice.scans.datasets.bids import find_bids, looks_like_bids
from napari_apprentice.scans.datasets.brats import find_brats, looks_like_brats
from napari_apprentice.scans.datasets.dicom_tree import find_dicom, looks_like_dicom
from napari_apprentice.scans.datasets.files import find_files
from napari_apprentice.scans.datasets.folders import has_dicom, is_junk, is_picture, name_of, scans_in, tree, volumes_in
from napari_apprentice.scans.datasets.found import Found, FoundCase
from napari_apprentice.scans.datasets.imagestr import data_sets_in, find_images_tr, has_images_tr, part_of
from napari_apprentice.scans.datasets.links import without_broken_links
from napari_apprentice.scans.datasets.luna16 import find_luna16, looks_like_luna16
from napari_apprentice.scans.datasets.pairs import (
    find_pair,
    find_pairs,
    is_maps,
    looks_like_pairs,
    maps_beside,
    named_pair,
)
from napari_apprentice.scans.datasets.person_folders import (
    find_folders,
    looks_like_folders,
    looks_like_person,
    places_in,
)
from napari_apprentice.scans.label_names import is_map_folder
from napari_apprentice.scans.reader import expand
from napari_apprentice.scans.suffixes import suffix_of

_NEEDS = {
    "pairs": "scans and label maps of the same names, in folders such as images and labels or beside each other",
    "msd": "imagesTr with scans, beside dataset.json and labelsTr",
    "nnunet": "imagesTr with scans named CASE_0000, beside dataset.json and labelsTr",
    "brats": "files named ..._t1, ..._t1ce, ..._t2, ..._flair and ..._seg",
    "luna16": "annotations.csv beside the subsets of .mhd files",
    "bids": "sub-*/anat or sub-*/ses-*/anat with scans",
    "dicom": "DICOM files, directly or in folders below",
    "folders": "folders with scans in them",
}
_LOOSE = ("files", "pairs", "person")  # layouts beside which other folders may lie
_MOST_NAMES = 3
Finder = Callable[[Path, AddSettings], Found]


def find_scans(paths: Sequence[Path], settings: AddSettings | None = None) -> Found:
    """Say what files and folders hold, from their names and small text files; no voxel is read.

    Raises
    ------
    InputError
        Nothing is there, a folder holds several data sets, or not what `settings` say.
    """
    settings = settings or AddSettings()
    given = list(dict.fromkeys(p for p in paths if not is_junk(p)))
    found, rest = _named_together(given) if settings.layout == "auto" else ([], given)
    plain = [p for p in rest if not p.is_dir() or _kind(p, settings) == "files"]
    found += [_find(p, settings) for p in rest if p not in plain]
    if plain:
        found.append(_plain(plain, settings))
    if not sum(len(f.cases) + len(f.refused) for f in found):
        raise InputError(f"No scan found in {', '.join(str(p) for p in paths) or 'nothing'}.")
    joined = without_broken_links(_joined(found), given)
    refuse_unmet(joined, settings)
    return joined


def _named_together(given: Sequence[Path]) -> tuple[list[Found], list[Path]]:
    """Folders of scans and of label maps that were named one by one, and what is left."""
    rest = list(given)
    found = []
    for images in (p for p in given if p.is_dir() and (part := part_of(p))):
        root, part = images.absolute().parent, part_of(images) or ""
        maps = [p for p in rest if p.absolute() == root / f"labels{part}"]
        rest = [p for p in rest if p != images and p not in maps]
        whole = find_images_tr(root, parts=(part,))
        found.append(whole if maps else _without_maps(whole, f"labels{part}"))
    pair = named_pair([p for p in rest if p.is_dir()])
    return (found, rest) if pair is None else ([*found, find_pair(*pair)], [p for p in rest if p not in pair])


def _without_maps(found: Found, beside: str) -> Found:
    labelled = any(c.labels for c in found.cases)
    note = f"{beside} lies beside it and was left out; name both folders, or the one they are in, to take it."
    cases = tuple(replace(c, labels=None) for c in found.cases)
    return replace(found, cases=cases, notes=(*found.notes, *[note] * labelled))


def _kind(folder: Path, settings: AddSettings) -> str:
    """What a folder is taken for; the most telling signs come first."""
    if settings.layout != "auto":
        return settings.layout
    return next((kind for kind, looks in _SIGNS if looks(folder, settings)), "files")


def _is_plain(folder: Path, settings: AddSettings) -> bool:
    del settings
    return any(not is_picture(p) for p in scans_in(folder))


_SIGNS: Sequence[tuple[str, Callable[[Path, AddSettings], bool]]] = (
    ("images", lambda folder, _: has_images_tr(folder)),
    ("bids", lambda folder, _: looks_like_bids(folder)),
    ("luna16", lambda folder, _: looks_like_luna16(folder)),
    ("sets", lambda folder, _: bool(data_sets_in(folder))),
    ("brats", lambda folder, _: looks_like_brats(folder)),
    ("person", lambda folder, settings: looks_like_person(folder, settings.reference)),
    ("files", _is_plain),
    ("pairs", lambda folder, _: looks_like_pairs(folder)),
    ("dicom", lambda folder, _: looks_like_dicom(folder)),
    ("folders", lambda folder, _: looks_like_folders(folder)),
    ("tree", lambda folder, _: not scans_in(folder) and bool(places_in(folder))),
)


def _find(folder: Path, settings: AddSettings) -> Found:
    kind = _kind(folder, settings)
    found = _FINDERS[kind](folder, settings)
    if not found.cases and not found.refused and kind in _NEEDS:
        raise InputError(f"{folder} is not laid out as {kind}: it needs {_NEEDS[kind]}.")
    return _with_left_out(found, [folder]) if kind in _LOOSE else found


def _plain(paths: Sequence[Path], settings: AddSettings) -> Found:
    found = find_files(expand(paths), pair=settings.layout == "auto", labels_from=settings.labels_from)
    for maps in (beside for p in paths if (beside := maps_beside(p))):
        note = f"{maps.name} lies beside it and was left out; name both folders, or the one they are in, to take it."
        found = replace(found, notes=(*found.notes, note))
    for maps in (p for p in paths if settings.layout == "auto" and is_maps(p)):
        note = f"{name_of(maps)} is named like a folder of label maps, but what is in it is taken as scans."
        found = replace(found, notes=(*found.notes, note))
    return _with_left_out(found, [p for p in paths if p.is_dir()])


def _with_left_out(found: Found, folders: Sequence[Path]) -> Found:
    """What was found, with a note on the folders below that hold scans too but gave no case."""
    files = [
        p for c in found.cases for p in (c.labels, *c.choices, *(x for f in c.channels for x in (f.path, f.labels)))
    ]
    used = {p if p.is_dir() and not suffix_of(p) else p.parent for p in files if p}
    below = [
        place
        for folder in folders
        for place in tree(folder)
        if place != folder and place not in used and (scans_in(place) or has_dicom(place))
    ]
    if not below:
        return found
    names = ", ".join(p.name for p in below[:_MOST_NAMES]) + (" ..." if len(below) > _MOST_NAMES else "")
    one = len(below) == 1
    note = (
        f"{len(below)} folder{'s' * (not one)} below hold{'s' * one} scans too: {names}. Add what you need by itself."
    )
    return replace(found, notes=(*found.notes, note))


def _dicom(folder: Path, settings: AddSettings) -> Found:
    found = find_dicom(folder, settings.per, settings.labels_from)
    others = [p for place in tree(folder) for p in volumes_in(place)]
    if not others:
        return found
    names = ", ".join(p.name for p in others[:_MOST_NAMES]) + (" ..." if len(others) > _MOST_NAMES else "")
    note = f"{len(others)} file{'s' * (len(others) != 1)} that are no DICOM were left out: {names}. Add them by name."
    return replace(found, notes=(*found.notes, note))


def _tree(folder: Path, settings: AddSettings) -> Found:
    """Folders of several kinds: those of one person are a case, the scans of all others are a case each."""
    places = places_in(folder)
    persons = [p for p in places if looks_like_person(p, settings.reference)]
    maps: dict[Path, list[Path]] = {}
    for place in places:
        if is_map_folder(place.name) and (place.parent in persons or len(scans_in(place.parent)) == 1):
            maps.setdefault(place.parent, []).append(place)
    files = [f for p in places if p not in (*persons, *chain(*maps.values())) for f in scans_in(p)]
    found = [find_folders(folder, settings.labels_from, persons)] if persons else []
    joined = _joined([*found, *([find_files(files, labels_from=settings.labels_from)] if files else [])])
    return replace(joined, cases=tuple(_with_maps_below(case, maps, settings.labels_from) for case in joined.cases))


def _with_maps_below(case: FoundCase, maps: Mapping[Path, Sequence[Path]], labels_from: str) -> FoundCase:
    """A case with the label maps in folders beside its scan, of which one must be chosen where several are left."""
    below = next((maps[f.path.parent] for f in case.channels if f.path is not None and f.path.parent in maps), ())
    left = [p for folder in below for p in _maps_of(folder, labels_from)]
    if not left or case.has_labels or case.choices:
        return case
    return replace(case, labels=left[0]) if len(left) == 1 else replace(case, choices=tuple(left))


def _maps_of(folder: Path, labels_from: str) -> tuple[Path, ...]:
    """The label map in a folder: a file, or the whole folder with masks as of TotalSegmentator, or those asked for."""
    files = scans_in(folder)
    if len(files) > 1 and labels_from in folder.as_posix():
        return (folder,)
    return tuple(p for p in files if labels_from in p.as_posix())


def _sets(folder: Path, settings: AddSettings) -> Found:
    sets = data_sets_in(folder)
    if len(sets) > 1:
        raise InputError(f"{folder} holds {len(sets)} data sets: {', '.join(p.name for p in sets)}. Add one of them.")
    return _find(sets[0], settings)


def _pairs(folder: Path, settings: AddSettings) -> Found:
    """Folders of scans and label maps, or both in one folder."""
    found = find_pairs(folder, settings.labels_from)
    return found if found.cases else find_files(expand([folder]), labels_from=settings.labels_from)


def refuse_unmet(found: Found, settings: AddSettings) -> None:
    """Stop where an answer was given to which there is no question: a slip in a name must not pass in silence.

    Raises
    ------
    InputError
        No label map is where `settings.labels_from` says, or no channel is called `settings.reference`.
    """
    if settings.labels_from and not any(c.has_labels or c.choices for c in found.cases):
        raise InputError(f"No label map has {settings.labels_from!r} in its path, as --labels-from says.")
    reference = settings.reference
    if reference in ("", SEPARATE, *found.channels):
        return
    several = settings.per == "study" or any(len(c.channels) > 1 for c in found.cases)
    if several and not all(f.name or f.names for c in found.cases for f in c.channels):
        return  # what its channels are called is known once they are read
    named = f"its channels are {', '.join(found.channels)}" if found.channels else "its scans have no names"
    there = named if several else f"{named}, and each scan is a case of its own"
    raise InputError(
        f"No channel of what was found is called {reference}, as --reference says; {there}. --as folders makes the "
        "scans of a folder one case, --per study the series of a DICOM study, --channel NAME=PATH any files."
    )


def _joined(found: Sequence[Found]) -> Found:
    if len(found) == 1:
        return found[0]
    kinds = {f.kind for f in found}
    schemas = {f.schema for f in found}
    return Found(
        kinds.pop() if len(kinds) == 1 else "files",
        tuple(c for f in found for c in f.cases),
        tuple(r for f in found for r in f.refused),
        tuple(n for f in found for n in f.notes),
        schemas.pop() if len(schemas) == 1 else None,
        "",
        found[0].ignore if len({f.ignore for f in found}) == 1 else None,
    )


_FINDERS: Mapping[str, Finder] = {
    "images": lambda folder, _: find_images_tr(folder),
    "msd": lambda folder, _: find_images_tr(folder, "msd"),
    "nnunet": lambda folder, _: find_images_tr(folder, "nnunet"),
    "sets": _sets,
    "brats": lambda folder, _: find_brats(folder),
    "luna16": lambda folder, _: find_luna16(folder),
    "bids": lambda folder, settings: find_bids(folder, settings.labels_from),
    "dicom": _dicom,
    "pairs": _pairs,
    "person": lambda folder, settings: find_folders(folder, settings.labels_from, [folder]),
    "folders": lambda folder, settings: find_folders(folder, settings.labels_from),
    "tree": _tree,
}
