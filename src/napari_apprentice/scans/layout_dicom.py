"""Trees of DICOM folders: each folder that holds images directly is a scan, or a channel of its study's case."""

from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from napari_apprentice.scans.dicom_kinds import is_dicom, is_rtstruct, is_seg
from napari_apprentice.scans.folders import has_dicom, is_junk, tree
from napari_apprentice.scans.found import ChannelFile, Found, FoundCase


def looks_like_dicom(folder: Path) -> bool:
    """Whether DICOM files lie in a folder or below it."""
    return any(has_dicom(place) for place in tree(folder))


def find_dicom(folder: Path, per: str = "series") -> Found:
    """The DICOM folders of a tree; with `per` "study" those of one study make one case.

    No name of a folder or file becomes that of a case: hospitals name them after people. Case ids and
    subjects come from the series once they are read.
    """
    places = [p for p in tree(folder) if any(_is_dicom_file(f) for f in _files(p))] or [folder] * has_dicom(folder)
    images = [p for p in places if not _objects_only(p)]
    passed = len(places) - len(images)
    notes = [f"{passed} folders hold no images but label maps or contours; add them with the correct command."]
    groups: dict[str, list[Path]] = {}
    for place in images:
        groups.setdefault((per == "study" and _study(place)) or str(place), []).append(place)
    cases = tuple(FoundCase("", "", tuple(ChannelFile("", p) for p in group)) for group in groups.values())
    return Found("dicom", cases, (), tuple(notes if passed else ()))


def _files(place: Path) -> list[Path]:
    try:
        return [p for p in sorted(place.iterdir()) if p.is_file() and not is_junk(p)]
    except OSError:
        return []


def _is_dicom_file(path: Path) -> bool:
    """A disc's table of contents, DICOMDIR, is DICOM too but no scan."""
    return path.name.upper() != "DICOMDIR" and is_dicom(path)


def _objects_only(place: Path) -> bool:
    """Whether a folder holds DICOM SEG or RTSTRUCT and nothing else; such objects are few and lie alone."""
    files = _files(place)
    return len(files) < 16 and all(is_seg(p) or is_rtstruct(p) for p in files)


def _study(place: Path) -> str:
    for path in _files(place):
        try:
            return str(dcmread(path, specific_tags=["StudyInstanceUID"], stop_before_pixels=True).StudyInstanceUID)
        except (InvalidDicomError, OSError, AttributeError, ValueError, EOFError, KeyError, TypeError):
            continue
    return ""
