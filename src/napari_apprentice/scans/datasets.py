"""Files and folders as cases: recognises public data sets, folders per person, DICOM trees and plain files."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from napari_apprentice.core.collecting import AddSettings
from napari_apprentice.errors import InputError
from napari_apprentice.scans.folders import is_junk, is_picture, scans_in, tree
from napari_apprentice.scans.found import ChannelFile, Found, FoundCase
from napari_apprentice.scans.layout_bids import find_bids, looks_like_bids
from napari_apprentice.scans.layout_brats import find_brats, looks_like_brats
from napari_apprentice.scans.layout_dicom import find_dicom, looks_like_dicom
from napari_apprentice.scans.layout_folders import find_folders, label_maps_among, looks_like_folders
from napari_apprentice.scans.layout_imagestr import data_sets_in, find_images_tr, has_images_tr
from napari_apprentice.scans.layout_luna16 import find_luna16, looks_like_luna16
from napari_apprentice.scans.reader import case_id_from, expand

_NEEDS = {
    "msd": "imagesTr with scans, beside dataset.json and labelsTr",
    "nnunet": "imagesTr with scans named CASE_0000, beside dataset.json and labelsTr",
    "brats": "files named ..._t1, ..._t1ce, ..._t2, ..._flair and ..._seg",
    "luna16": "annotations.csv beside the subsets of .mhd files",
    "bids": "sub-*/anat or sub-*/ses-*/anat with scans",
    "dicom": "DICOM files, directly or in folders below",
    "folders": "folders with scans in them",
}
Finder = Callable[[Path, AddSettings], Found]


def find_scans(paths: Sequence[Path], settings: AddSettings | None = None) -> Found:
    """Say what files and folders hold, from their names and small text files; no voxel is read.

    Raises
    ------
    InputError
        Nothing is there, a folder holds several data sets, or not what `settings.layout` says.
    """
    settings = settings or AddSettings()
    given = list(dict.fromkeys(p for p in paths if not is_junk(p)))
    folders = [p for p in given if p.is_dir() and not _is_plain(p, settings)]
    plain = [p for p in given if p not in folders]
    found = [_find(p, settings) for p in folders]
    if plain:
        found.append(_plain(plain))
    cases = sum(len(f.cases) + len(f.refused) for f in found)
    if not cases:
        raise InputError(f"No scan found in {', '.join(str(p) for p in paths) or 'nothing'}.")
    return _joined(found)


def _is_plain(folder: Path, settings: AddSettings) -> bool:
    """Whether a folder stands for the scans directly in it."""
    if settings.layout != "auto":
        return settings.layout == "files"
    return _recognised(folder) is None and not data_sets_in(folder)


def _find(folder: Path, settings: AddSettings) -> Found:
    if settings.layout != "auto":
        found = _FINDERS[settings.layout](folder, settings)
        if not found.cases:
            raise InputError(f"{folder} is not laid out as {settings.layout}: it needs {_NEEDS[settings.layout]}.")
        return found
    kind = _recognised(folder)
    if kind:
        return _FINDERS[kind](folder, settings)
    sets = data_sets_in(folder)
    if len(sets) > 1:
        raise InputError(f"{folder} holds {len(sets)} data sets: {', '.join(p.name for p in sets)}. Add one of them.")
    return _find(sets[0], settings)


def _recognised(folder: Path) -> str | None:
    """Layout of a folder, None for plain files; the most telling signs come first."""
    if has_images_tr(folder):
        return "images"
    if looks_like_bids(folder):
        return "bids"
    if looks_like_luna16(folder):
        return "luna16"
    if data_sets_in(folder):
        return None
    if looks_like_brats(folder):
        return "brats"
    if any(not is_picture(p) for p in scans_in(folder)):
        return None
    if looks_like_dicom(folder):
        return "dicom"
    return "folders" if looks_like_folders(folder) else None


def _plain(paths: Sequence[Path]) -> Found:
    files = expand(paths)
    cases = tuple(FoundCase(case_id_from(p), "", (ChannelFile("", p),)) for p in files)
    notes = []
    maps = label_maps_among(files)
    if maps:
        more = f" and {len(maps) - 1} more are" if len(maps) > 1 else " is"
        notes.append(
            f"{maps[0].name}{more} named like a label map but taken as a scan; "
            "give label maps with --corrected or with the correct command."
        )
    below = sum(bool(scans_in(p)) for folder in paths if folder.is_dir() for p in tree(folder) if p != folder)
    if below:
        notes.append(f"{below} folders below hold scans too; they were left out. --as folders takes each as a case.")
    return Found("files", cases, notes=tuple(notes))


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
    "brats": lambda folder, _: find_brats(folder),
    "luna16": lambda folder, _: find_luna16(folder),
    "bids": lambda folder, settings: find_bids(folder, settings.labels_from),
    "dicom": lambda folder, settings: find_dicom(folder, settings.per, settings.labels_from),
    "folders": lambda folder, settings: find_folders(folder, settings.labels_from),
}
