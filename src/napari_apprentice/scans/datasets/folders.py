"""What lies in folders: scans and further folders, without what operating systems leave behind."""

import os
from collections.abc import Iterator
from pathlib import Path

from napari_apprentice.scans.dicom.kinds import is_dicom
from napari_apprentice.scans.reader import expand
from napari_apprentice.scans.suffixes import DICOM, PICTURE, suffix_of
from napari_apprentice.scans.suffixes import stem_of as plain_stem

_JUNK = ("__macosx", "thumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "icon\r")


def is_junk(path: Path) -> bool:
    """Whether macOS, Windows or Linux put this file or folder there for itself."""
    return path.name.startswith(".") or path.name.lower() in _JUNK


def is_picture(path: Path) -> bool:
    """Whether a file is a flat picture, such as a preview."""
    return suffix_of(path) in PICTURE


def scans_in(folder: Path) -> tuple[Path, ...]:
    """Scans directly in a folder, sorted; none where it does not exist.

    DICOM files are no scans alone, and pictures beside volumes are there to look at.
    """
    if not folder.is_dir():
        return ()
    found = [p for p in expand([folder]) if p != folder and suffix_of(p) not in DICOM and not is_junk(p)]
    volumes = [p for p in found if not is_picture(p)]
    return tuple(volumes or found)


def volumes_in(folder: Path) -> tuple[Path, ...]:
    """Files and Zarr folders directly in a folder that are scans by their names, also beside DICOM; no pictures."""
    return tuple(p for p in _entries(folder) if suffix_of(p) and not is_picture(p))


def folders_in(folder: Path) -> tuple[Path, ...]:
    """Folders directly in a folder, sorted."""
    return tuple(p for p in _entries(folder) if p.is_dir() and not suffix_of(p))


def tree(folder: Path) -> Iterator[Path]:
    """The folder and all folders below it, sorted, each once also where links lead in circles.

    Studies of this program are left out.
    """
    seen: set[tuple[int, int]] = set()
    for here, below, _ in os.walk(folder, followlinks=True):
        place = Path(here)
        facts = place.stat()
        if (facts.st_dev, facts.st_ino) in seen:
            below.clear()
            continue
        seen.add((facts.st_dev, facts.st_ino))
        below[:] = sorted(
            n for n in below if not (is_junk(Path(n)) or suffix_of(Path(n)) or (place / n / "study.json").exists())
        )
        yield place


def name_of(folder: Path) -> str:
    """A folder's name, also of one that was given as . or .. and of a link."""
    return folder.name if folder.name not in ("", "..") else folder.resolve().name


def has_dicom(folder: Path) -> bool:
    """Whether DICOM files lie directly in a folder; a folder that may not be read holds none."""
    try:
        return is_dicom(folder)
    except OSError:
        return False


def stem_of(path: Path, ending: str = "") -> str:
    """File name without its readable suffix, or without the ending a data set gives all its files."""
    if ending and path.name.lower().endswith(ending.lower()):
        return path.name[: -len(ending)]
    return plain_stem(path)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if not is_junk(p))
    except OSError:
        return []
