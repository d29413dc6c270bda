"""Which series lie in a folder of DICOM files, and which of them is meant."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from napari_apprentice.errors import ChoiceError, ScanError
from napari_apprentice.scans.dicom.deidentify import patient_of
from napari_apprentice.scans.dicom.enhanced import GROUPS, enhanced_planes
from napari_apprentice.scans.dicom.facts import FACT_KEYWORDS
from napari_apprentice.scans.dicom.file import naming, number_of, quiet_pydicom, read_header, text_of
from napari_apprentice.scans.dicom.kinds import is_dicom, looks_parsable, refusal
from napari_apprentice.scans.dicom.plane import PLANE_KEYWORDS, Plane, classic_plane
from napari_apprentice.scans.dicom.suv import SUV_KEYWORDS

HEADER = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "SeriesNumber",
    "SeriesDescription",
    "ProtocolName",
    "Modality",
    "PatientID",
    "PatientName",
    "StudyDate",
    "AcquisitionDate",
    "BurnedInAnnotation",
    "ImagesInAcquisition",
    *PLANE_KEYWORDS,
    *GROUPS,
    *FACT_KEYWORDS,
    *SUV_KEYWORDS,
)


@dataclass(frozen=True, eq=False)
class Series:
    """Slices that belong together.

    Parameters
    ----------
    key
        What `ReadSettings.series` names it by: its number where that is unique, else its UID.
    uid, number, description, modality
        As the files have them; "" where they do not.
    planes
        Its slices, in no order.
    """

    key: str
    uid: str
    number: str
    description: str
    modality: str
    planes: tuple[Plane, ...] = field(repr=False)

    @property
    def files(self) -> tuple[Path, ...]:
        """Its files, each once."""
        return tuple(dict.fromkeys(p.path for p in self.planes))

    @property
    def count(self) -> int:
        """Number of slices."""
        return len(self.planes)

    @property
    def first(self) -> Path:
        """One of its files."""
        return self.planes[0].path

    @property
    def header(self) -> Dataset:
        """Attributes of one of its files."""
        return self.planes[0].header

    @property
    def sentence(self) -> str:
        """How it is offered."""
        slices = f"{self.count} slice{'s' if self.count != 1 else ''}"
        return ", ".join(part for part in (self.description or "no description", self.modality, slices) if part)


def find_series(path: Path) -> tuple[Series, ...]:
    """The series in a folder, or in a file, by number; voxels are not read.

    A series whose slices lie on different grids (a localizer in three planes, say) counts as several, and so
    do slices of several persons that share its UID, as careless copying and anonymising leaves them.
    Files that are no images are passed over unless there is nothing else.

    Raises
    ------
    ScanError
        A file is damaged, or nothing in the folder is an image; the text says what it is instead.
    """
    with quiet_pydicom():
        planes, refused = _planes(path)
    if not planes:
        where = f"{path.name}: " if path.is_dir() else ""
        raise ScanError(where + (refused or f"{path.name} holds no DICOM file."))
    by_origin: dict[tuple[str, ...], list[Plane]] = {}
    for plane in planes:
        by_origin.setdefault(_origin(plane.header), []).append(plane)
    return _named([part for group in by_origin.values() for part in _split(group)])


class SeriesFinder:
    """`find_series` that remembers the last folder: one of thirty series is parsed once, not thirty times."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._found: tuple[Series, ...] = ()

    def __call__(self, path: Path) -> tuple[Series, ...]:
        """The series in a folder, or in a file, as they were when it was first asked for."""
        if path != self._path:
            self._found = find_series(path)
            self._path = path
        return self._found


def choose_series(found: Sequence[Series], wanted: str, name: str) -> Series:
    """The one series that a setting's text names; the only one there is when it names none.

    Parameters
    ----------
    wanted
        Number, UID or a part of the description, upper and lower case alike.
    name
        What to call the folder in errors.

    Raises
    ------
    ChoiceError
        It names none, or several.
    """
    if len(found) == 1 and wanted.strip() in ("", "all"):
        return found[0]
    matching = _matching(found, wanted.strip()) if wanted.strip() else ()
    if len(matching) == 1:
        return matching[0]
    offered = matching or tuple(found)
    persons = len({patient_of(series.header) for series in offered} - {""})
    what = f"{name} holds {len(offered)} DICOM series{f' of {persons} persons' if persons > 1 else ''}"
    if matching:
        what += f" that {wanted!r} may mean"
    elif wanted.strip() not in ("", "all"):
        what += f", none of them {wanted!r}"
    raise ChoiceError(f"{what}; say which one to read.", "series", tuple((s.key, s.sentence) for s in offered))


def _origin(header: Dataset) -> tuple[str, ...]:
    """What slices of one series share; study and number count where there is no UID.

    Of a series with a UID they do not: SimpleITK makes up a study for each slice that it writes.
    """
    uid = text_of(header, "SeriesInstanceUID")
    if uid:
        return patient_of(header), uid
    return patient_of(header), text_of(header, "StudyInstanceUID"), text_of(header, "SeriesNumber")


def _matching(found: Sequence[Series], wanted: str) -> tuple[Series, ...]:
    exact = tuple(s for s in found if wanted == s.key) or tuple(s for s in found if wanted in (s.number, s.uid))
    return exact or tuple(s for s in found if wanted.lower() in s.description.lower())


def _planes(path: Path) -> tuple[list[Plane], str]:
    planes: list[Plane] = []
    refused = ""
    for file in _files(path):
        if not looks_parsable(file):
            raise ScanError(f"{file.name} is no DICOM file, whatever its name says; take it away or fetch it again.")
        header = read_header(file, HEADER)
        with naming(file):
            why = _why_not(header)
            if why:
                refused = refused or f"{file.name} {why}"
                continue
            planes += _planes_of(file, header)
    return planes, refused


def _why_not(header: Dataset) -> str | None:
    """Why a file is no scan, as the end of a sentence."""
    uid = _sop_class(header)
    if not uid and "Rows" not in header and "SeriesInstanceUID" not in header:
        raise ValueError("nothing in it says what it is")
    return refusal(uid, pixels="Rows" in header and "Columns" in header)


def _sop_class(header: Dataset) -> str:
    return text_of(header, "SOPClassUID") or text_of(header.file_meta, "MediaStorageSOPClassUID")


def _files(path: Path) -> list[Path]:
    """DICOM files of a folder; where it has a DICOMDIR, also those of all folders below."""
    if not path.is_dir():
        return [path]
    entries: Iterable[Path] = path.iterdir()
    if any(entry.name.upper() == "DICOMDIR" for entry in path.iterdir()):
        entries = path.rglob("*")
    return sorted(p for p in entries if not p.name.startswith(".") and p.is_file() and is_dicom(p))


def _planes_of(path: Path, header: Dataset) -> tuple[Plane, ...]:
    if "MOSAIC" in text_of(header, "ImageType").upper():
        raise ScanError(
            f"{path.name} is a Siemens mosaic: slices laid out as tiles of one picture, which are not read. "
            "Convert it to NIfTI, for example with dcm2niix."
        )
    if number_of(header, "NumberOfFrames", 1) > 1 or header.get(GROUPS[1]):
        return enhanced_planes(path, header)
    return (classic_plane(path, header),)


def _split(planes: list[Plane]) -> list[list[Plane]]:
    """Parts of a series that lie on different grids, the largest first.

    A single slice that fits no other is no part of its own: it stays, and the grid refuses it by name.
    """
    parts: list[list[Plane]] = []
    for plane in planes:
        home = next((part for part in parts if _alike(part[0], plane)), None)
        if home is None:
            parts.append([plane])
        else:
            home.append(plane)
    parts.sort(key=len, reverse=True)
    main = parts[0]
    if len(main) < 3:
        return parts
    strays = [part for part in parts[1:] if len(part) == 1 and not part[0].is_localizer]
    main += [part[0] for part in strays]
    return [part for part in parts if part not in strays]


def _alike(one: Plane, other: Plane) -> bool:
    if (one.shape, one.samples, one.is_localizer) != (other.shape, other.samples, other.is_localizer):
        return False
    if one.directions is None or other.directions is None or one.spacing is None or other.spacing is None:
        return one.directions is other.directions and one.spacing == other.spacing
    turned = np.abs(one.directions - other.directions).max()
    return bool(turned < 1e-3) and np.allclose(one.spacing, other.spacing, rtol=1e-3)


def _named(parts: list[list[Plane]]) -> tuple[Series, ...]:
    """Give each part a key of its own, and sort them by number."""
    parts.sort(key=lambda part: (_number(part[0]), text_of(part[0].header, "SeriesInstanceUID"), -len(part)))
    numbers = [text_of(part[0].header, "SeriesNumber") for part in parts]
    uids = [text_of(part[0].header, "SeriesInstanceUID") for part in parts]
    return tuple(_series(part, _key(i, numbers, uids)) for i, part in enumerate(parts))


def _key(index: int, numbers: list[str], uids: list[str]) -> str:
    for names in (numbers, uids):
        if names[index] and names.count(names[index]) == 1:
            return names[index]
    if numbers[index] and len({u for u, n in zip(uids, numbers, strict=True) if n == numbers[index]}) == 1:
        return f"{numbers[index]}.{numbers[: index + 1].count(numbers[index])}"
    return f"#{index + 1}"


def _number(plane: Plane) -> float:
    number = number_of(plane.header, "SeriesNumber")
    return math.inf if math.isnan(number) else number


def _series(planes: list[Plane], key: str) -> Series:
    header = planes[0].header
    description = text_of(header, "SeriesDescription")
    if planes[0].is_localizer:
        description = f"{description} (localizer)".strip()
    return Series(
        key,
        text_of(header, "SeriesInstanceUID"),
        text_of(header, "SeriesNumber"),
        description,
        text_of(header, "Modality"),
        tuple(planes),
    )
