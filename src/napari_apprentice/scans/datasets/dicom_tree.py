"""Trees of DICOM folders: each folder that holds images directly is a scan, or a channel of its study's case."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import MediaStorageDirectoryStorage, RTStructureSetStorage, SegmentationStorage

from napari_apprentice.errors import ApprenticeError
from napari_apprentice.scans.datasets.dicom_spread import spread_sentence, spread_series
from napari_apprentice.scans.datasets.folders import has_dicom, is_junk, tree
from napari_apprentice.scans.datasets.found import ChannelFile, Found, FoundCase
from napari_apprentice.scans.dicom.file import naming, quiet_pydicom, read_header, text_of
from napari_apprentice.scans.dicom.kinds import LABEL_MAP_SEG, is_dicom, sop_class

_OBJECTS = (SegmentationStorage, LABEL_MAP_SEG, RTStructureSetStorage)


def looks_like_dicom(folder: Path) -> bool:
    """Whether DICOM files lie in a folder or below it."""
    return any(has_dicom(place) for place in tree(folder))


def find_dicom(folder: Path, per: str = "series", labels_from: str = "") -> Found:
    """The DICOM folders of a tree; with `per` "study" those of one study make one case.

    DICOM SEG and RT Structure Sets are label maps of the series they refer to; of several, `labels_from`,
    a part of the path, chooses. No name of a folder or file becomes that of a case: hospitals name them
    after people. Case ids and subjects come from the series once they are read.
    """
    with quiet_pydicom():
        return _find(folder, per, labels_from)


def label_objects(path: Path, *, below: bool = True) -> tuple[Path, ...]:
    """DICOM SEG and RT Structure Sets: a file that is one, or those in a folder and, if asked for, all below it."""
    places = tree(path) if below else [path]
    files = [f for place in places for f in _files(place)] if path.is_dir() else [path]
    with quiet_pydicom():
        return tuple(f for f in files if _is_dicom_file(f) and sop_class(f) in _OBJECTS)


def _find(folder: Path, per: str, labels_from: str) -> Found:
    files = {place: [f for f in _files(place) if _is_dicom_file(f)] for place in tree(folder)}
    kinds = {f: sop_class(f) for found in files.values() for f in found}
    lists = {f for f, kind in kinds.items() if kind == MediaStorageDirectoryStorage}
    objects = [f for f, kind in kinds.items() if kind in _OBJECTS]
    files = {place: [f for f in found if f not in lists] for place, found in files.items()}
    images = _outermost({place: left for place, found in files.items() if (left := sorted({*found} - {*objects}))})
    if not images and has_dicom(folder) and not objects:
        images = {folder: []}  # nothing but a disc's table of contents: reading it says so
    spread = spread_series(images)
    images = {place: left for place, left in images.items() if place not in {p for places in spread for p in places}}
    maps, damaged = _by_series(f for f in objects if labels_from in f.as_posix())
    groups: dict[str, list[FoundCase]] = {}
    for place, left in images.items():
        study = _value(left[:1], "StudyInstanceUID") if per == "study" else ""
        groups.setdefault(study or str(place), []).append(_case(place, left, maps))
    cases = tuple(_joined(group) for group in groups.values())
    used = {p for c in cases for p in (*c.choices, *(f.labels for f in c.channels))}
    unused = len(set(objects) - used - damaged.keys()) if not labels_from else 0
    note = f"{unused} label maps or contours belong to no series here; add them with the correct command."
    refused = [(f.name, why) for f, why in damaged.items()] + [(p[0].parent.name, spread_sentence(p)) for p in spread]
    return Found("dicom", cases, tuple(refused), (note,) if unused else ())


def _outermost(images: dict[Path, list[Path]]) -> dict[Path, list[Path]]:
    """Without folders below one that has images and a DICOMDIR: reading that one reads them too."""
    discs = {place for place in images if any(f.name.upper() == "DICOMDIR" for f in _files(place))}
    return {place: left for place, left in images.items() if not discs.intersection(place.parents)}


def _case(place: Path, files: Sequence[Path], maps: dict[str, list[Path]]) -> FoundCase:
    """A folder as a case, with the label maps of its series where it holds only one."""
    series = {_value([f], "SeriesInstanceUID") for f in files} if maps else set()
    fitting = maps.get(series.pop(), []) if len(series) == 1 else []
    labels = fitting[0] if len(fitting) == 1 else None
    return FoundCase(
        "", "", (ChannelFile("", place, labels=labels),), choices=tuple(fitting) if len(fitting) > 1 else ()
    )


def _joined(group: Sequence[FoundCase]) -> FoundCase:
    channels = tuple(f for case in group for f in case.channels)
    return FoundCase("", "", channels, choices=tuple(p for case in group for p in case.choices))


def _files(place: Path) -> list[Path]:
    try:
        return [p for p in sorted(place.iterdir()) if p.is_file() and not is_junk(p)]
    except OSError:
        return []


def _is_dicom_file(path: Path) -> bool:
    """A disc's table of contents, DICOMDIR, is DICOM too but no scan."""
    try:
        return path.name.upper() != "DICOMDIR" and is_dicom(path)
    except OSError:  # one that may not be read
        return False


def _by_series(objects: Iterable[Path]) -> tuple[dict[str, list[Path]], dict[Path, str]]:
    """Label maps and contours by the UIDs of the series they refer to, and why damaged ones cannot be read."""
    found: dict[str, list[Path]] = {}
    damaged: dict[Path, str] = {}
    for path in objects:
        try:
            uids = _referenced(path)
        except (ApprenticeError, OSError) as error:
            damaged[path] = str(error)
            continue
        for uid in uids:
            found.setdefault(uid, []).append(path)
    return found, damaged


def _referenced(path: Path) -> set[str]:
    with naming(path):  # pydicom parses a sequence when it is first looked at
        header = read_header(path, ("ReferencedSeriesSequence", "ReferencedFrameOfReferenceSequence"))
        series = list(header.get("ReferencedSeriesSequence") or ())
        for frame in header.get("ReferencedFrameOfReferenceSequence") or ():
            for study in frame.get("RTReferencedStudySequence") or ():
                series += study.get("RTReferencedSeriesSequence") or ()
        return {uid for item in series if (uid := text_of(item, "SeriesInstanceUID"))}


def _value(files: Iterable[Path], keyword: str) -> str:
    return next((text_of(_header(f, (keyword,)), keyword) for f in files), "")


def _header(path: Path, keywords: tuple[str, ...]) -> Dataset:
    """Some attributes of a file; none of a damaged one, which reading it will refuse."""
    try:
        return read_header(path, keywords)
    except (ApprenticeError, OSError):
        return Dataset()
