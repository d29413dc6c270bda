"""Plain files: each is a case, unless it is named like a label map of another one."""

from collections.abc import Sequence
from pathlib import Path

from napari_apprentice.scans.datasets.folders import stem_of
from napari_apprentice.scans.datasets.found import ChannelFile, Found, FoundCase
from napari_apprentice.scans.datasets.person_folders import schema_of
from napari_apprentice.scans.label_names import ScanNames, label_word
from napari_apprentice.scans.reader import case_id_from


def find_files(files: Sequence[Path], *, pair: bool = True, labels_from: str = "") -> Found:
    """Each file as a case; with `pair` those named like another one beside them are its label maps.

    Of several label maps of one scan `labels_from`, a part of the path, chooses.
    """
    named = _label_maps(files)
    maps = named if pair else {}
    owned: dict[Path, list[Path]] = {}
    for path, scan in maps.items():
        owned.setdefault(scan, []).append(path)
    cases = tuple(
        _case(p, [m for m in owned.get(p, ()) if labels_from in m.as_posix()]) for p in files if p not in maps
    )
    return Found(
        "pairs" if maps else "files",
        cases,
        notes=tuple(_notes(files, named, pair)),
        schema=schema_of(cases) if maps else None,
    )


def _case(path: Path, maps: Sequence[Path]) -> FoundCase:
    labels = maps[0] if len(maps) == 1 else None
    choices = tuple(maps) if len(maps) > 1 else ()
    return FoundCase(case_id_from(path), "", (ChannelFile("", path),), labels, choices=choices)


def _label_maps(files: Sequence[Path]) -> dict[Path, Path]:
    """Files that are label maps by their names, with the scan of each: a_seg and a, segmentation-0 and volume-0."""
    places: dict[Path, dict[str, Path]] = {}
    for path in files:
        places.setdefault(path.parent, {})[stem_of(path)] = path
    found: dict[Path, Path] = {}
    for here in places.values():
        called = ScanNames(here)
        for stem, path in here.items():
            scan = called.scan_of(stem)
            if scan is not None and scan != stem and called.scan_of(scan) is None:
                found[path] = here[scan]
    return found


def _notes(files: Sequence[Path], maps: dict[Path, Path], pair: bool) -> list[str]:
    if maps and pair:
        first, scan = next(iter(maps.items()))
        more = f", and {len(maps) - 1} more like it" if len(maps) > 1 else ""
        return [f"{first.name} is taken as the label map of {scan.name}{more}; --as files takes them as scans."]
    named = [p for p in files if p in maps or label_word(stem_of(p))]
    if not named or len(named) == len(files):
        return []
    more = f" and {len(named) - 1} more are" if len(named) > 1 else " is"
    return [
        f"{named[0].name}{more} named like a label map but taken as a scan; "
        "give label maps with --corrected or with the correct command."
    ]
