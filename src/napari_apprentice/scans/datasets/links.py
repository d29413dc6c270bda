"""Links that lead nowhere, as in data sets of which not everything was fetched."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from napari_apprentice.scans.datasets.folders import is_junk, tree
from napari_apprentice.scans.datasets.found import Found
from napari_apprentice.scans.suffixes import DICOM, suffix_of

_FETCH = "fetch it first (datalad get, git annex get)"
_MOST_NAMES = 3


def without_broken_links(found: Found, given: Sequence[Path]) -> Found:
    """Refuse scans that are only links to nothing, and say how many more such links there are, such as slices."""
    broken = _broken_links(given)
    if not broken:
        return found
    lost = {*broken}
    files = [f.path for c in found.cases for f in c.channels if f.path in lost]
    maps = [c.labels for c in found.cases if c.labels in lost]
    rest = [p for p in broken if p not in {*files, *maps} and (suffix_of(p) or p.suffix.lower() in (*DICOM, ""))]
    whole = tuple(c for c in found.cases if not any(f.path in lost for f in c.channels))
    notes = [f"{len(maps)} label maps are links to files that are not here; {_FETCH}."] * bool(maps)
    return replace(
        found,
        cases=tuple(replace(c, labels=None) if c.labels in lost else c for c in whole),
        refused=(
            *found.refused,
            *((p.name, f"{p.name} is a link to a file that is not here; {_FETCH}.") for p in files if p),
        ),
        notes=(*found.notes, *notes, *[_links_note(rest)] * bool(rest)),
    )


def _broken_links(given: Sequence[Path]) -> list[Path]:
    """Links to nothing among paths and in the folders among them, sorted."""
    inside = [p for folder in given if folder.is_dir() for place in tree(folder) for p in _entries(place)]
    return [p for p in (*given, *inside) if p.is_symlink() and not p.exists()]


def _links_note(links: Sequence[Path]) -> str:
    """One sentence about links to nothing."""
    names = ", ".join(p.name for p in links[:_MOST_NAMES]) + (" ..." if len(links) > _MOST_NAMES else "")
    return f"{len(links)} link{'s' * (len(links) != 1)} to files that are not here: {names}; {_FETCH}."


def _entries(place: Path) -> list[Path]:
    try:
        return sorted(p for p in place.iterdir() if not is_junk(p))
    except OSError:
        return []
