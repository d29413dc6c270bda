"""DICOM series whose slices lie in several folders, as discs without their DICOMDIR have them."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from pydicom.dataset import Dataset

from napari_apprentice.errors import ApprenticeError
from napari_apprentice.scans.dicom.file import read_header, text_of

_MOST_NAMES = 3
_KEYWORDS = ("SeriesInstanceUID", "ImagePositionPatient", "ImageOrientationPatient")


def spread_series(images: Mapping[Path, Sequence[Path]]) -> tuple[tuple[Path, ...], ...]:
    """The folders of each series of which every one holds a part.

    Copies of a series, and volumes of one over time in a folder each, have slices at the same places: they
    are scans of their own.

    Parameters
    ----------
    images
        Folders with the images directly in them, sorted. Where a series goes on in another folder, it has
        the first or last of them.
    """
    homes: dict[str, list[Path]] = {}
    for place, files in images.items():
        for uid in dict.fromkeys(text_of(_header(f), "SeriesInstanceUID") for f in {*files[:1], *files[-1:]}):
            homes.setdefault(uid, []).append(place)
    shared = {uid: places for uid, places in homes.items() if uid and len(places) > 1}
    return tuple(tuple(places) for uid, places in shared.items() if _parts({p: images[p] for p in places}, uid))


def spread_sentence(places: Sequence[Path]) -> str:
    """What to do with folders that hold a part of one series each."""
    names = ", ".join(p.name for p in places[:_MOST_NAMES]) + (" ..." if len(places) > _MOST_NAMES else "")
    return (
        f"The slices of one DICOM series lie in {len(places)} folders ({names}). Put all of them into one folder, "
        "or add each folder by itself if it is a scan of its own."
    )


def _parts(images: Mapping[Path, Sequence[Path]], uid: str) -> bool:
    """Whether folders hold slices of a series side by side, none of them at the same place as another's."""
    slices = []
    for files in images.values():
        headers = [header for f in files if text_of(header := _header(f), "SeriesInstanceUID") == uid]
        slices.append({tuple(text_of(header, keyword) for keyword in _KEYWORDS) for header in headers})
    turned = {orientation for found in slices for _, _, orientation in found}
    placed = all(position for found in slices for _, position, _ in found)
    return placed and len(turned) == 1 and not any(one & other for one, other in combinations(slices, 2))


def _header(path: Path) -> Dataset:
    try:
        return read_header(path, _KEYWORDS)
    except (ApprenticeError, OSError):  # a damaged file, which reading its folder will refuse
        return Dataset()
