"""What kind of DICOM object a file holds: an image, a label map, contours, a report ..."""

from pathlib import Path

from pydicom.uid import (
    UID,
    MediaStorageDirectoryStorage,
    RTDoseStorage,
    RTStructureSetStorage,
    SegmentationStorage,
    SurfaceSegmentationStorage,
    VLWholeSlideMicroscopyImageStorage,
)

from napari_apprentice.errors import ScanError
from napari_apprentice.scans.dicom.file import quiet_pydicom, read_header, text_of

LABEL_MAP_SEG = "1.2.840.10008.5.1.4.1.1.66.7"  # newer than the dictionary of pydicom 3.0

_SEG = (SegmentationStorage, LABEL_MAP_SEG)
_LABELS_ADVICE = "add it with --corrected, beside the scan it belongs to."
_REFUSALS = {
    SegmentationStorage: f"is a DICOM SEG: a label map; {_LABELS_ADVICE}",
    LABEL_MAP_SEG: f"is a DICOM SEG: a label map; {_LABELS_ADVICE}",
    RTStructureSetStorage: f"is a DICOM RTSTRUCT: contours; {_LABELS_ADVICE}",
    SurfaceSegmentationStorage: "is a DICOM surface, no scan; surfaces are not read.",
    MediaStorageDirectoryStorage: "is a DICOMDIR: a list of the files on a disc; add the folder it lies in.",
    RTDoseStorage: "is a DICOM dose distribution, no scan; doses are not read.",
    VLWholeSlideMicroscopyImageStorage: "is a microscopy slide in DICOM, which is not read; convert it to OME-Zarr.",
}
# Files without the preamble begin at once with one of these groups, little or big endian.
_STARTS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
# What those begin with that have no group length: character set, ImageType, SOP class.
_FIRST_VALUES = {0x0005: (b"ISO",), 0x0008: (b"ORIGINAL", b"DERIVED"), 0x0016: (b"1.2.840.10008.",)}


def is_dicom(path: Path) -> bool:
    """Whether a path is a DICOM file, by its content, or a folder that holds some directly."""
    if path.is_dir():
        return any(is_dicom(p) for p in sorted(path.iterdir()) if p.is_file() and not p.name.startswith("."))
    with path.open("rb") as file:
        start = file.read(132)
    return start[128:] == b"DICM" or path.suffix.lower() == ".dcm" or _is_bare(start)


def looks_parsable(path: Path) -> bool:
    """Whether a file begins as DICOM files do; a web page named .dcm does not."""
    with path.open("rb") as file:
        start = file.read(132)
    return start[128:] == b"DICM" or start[:2] in _STARTS


def _is_bare(start: bytes) -> bool:
    """Whether a file without preamble begins as DICOM's old writers did, little endian.

    Raw voxels may hold any bytes, so what the first element says must be right too.
    """
    group, element, value = start[:2], int.from_bytes(start[2:4], "little"), start[8:32]
    if group not in _STARTS[:2] or len(start) < 132:
        return False
    if element == 0:  # the group's length, 4 bytes; another element of the group follows
        return start[4:8] in (b"\x04\0\0\0", b"UL\x04\0") and start[12:14] == group
    return group == _STARTS[1] and value.startswith(_FIRST_VALUES.get(element, ()))


def sop_class(path: Path) -> str:
    """SOP class UID of a DICOM file, read without its voxels; "" when it says none or is no DICOM file."""
    if not looks_parsable(path):
        return ""
    try:
        with quiet_pydicom():
            header = read_header(path, ("SOPClassUID",))
            return text_of(header, "SOPClassUID") or text_of(header.file_meta, "MediaStorageSOPClassUID")
    except ScanError:
        return ""


def is_seg(path: Path) -> bool:
    """Whether a file is a DICOM Segmentation (binary, fractional or label map)."""
    return path.is_file() and is_dicom(path) and sop_class(path) in _SEG


def is_rtstruct(path: Path) -> bool:
    """Whether a file is a DICOM RT Structure Set: contours."""
    return path.is_file() and is_dicom(path) and sop_class(path) == RTStructureSetStorage


def refusal(uid: str, *, pixels: bool) -> str | None:
    """Why objects of a class are no scans, as the end of a sentence; None when they may be one."""
    if uid in _REFUSALS:
        return _REFUSALS[uid]
    if pixels:
        return None
    name = UID(uid).name if uid and UID(uid).name != uid else ""
    return f"is a DICOM file without a picture{f' ({name})' if name else ''}; it is no scan."
