"""What kind of DICOM object a file holds: an image, a label map, contours, a report ..."""

from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import RTStructureSetStorage, SegmentationStorage

LABEL_MAP_SEG = "1.2.840.10008.5.1.4.1.1.66.7"  # newer than the dictionary of pydicom 3.0

_SEG = (SegmentationStorage, LABEL_MAP_SEG)


def is_dicom(path: Path) -> bool:
    """Whether a path is a DICOM file, by its content, or a folder that holds some directly."""
    if path.is_dir():
        return any(is_dicom(p) for p in sorted(path.iterdir()) if p.is_file() and not p.name.startswith("."))
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM" or path.suffix.lower() == ".dcm"


def sop_class(path: Path) -> str:
    """SOP class UID of a DICOM file, read without its voxels; "" when it says none or is no DICOM file."""
    try:
        header = dcmread(path, force=True, specific_tags=["SOPClassUID"], stop_before_pixels=True)
    except (InvalidDicomError, EOFError, ValueError, KeyError, AttributeError, NotImplementedError, TypeError):
        return ""
    meta = getattr(header, "file_meta", {})
    return str(header.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or "")


def is_seg(path: Path) -> bool:
    """Whether a file is a DICOM Segmentation (binary, fractional or label map)."""
    return path.is_file() and is_dicom(path) and sop_class(path) in _SEG


def is_rtstruct(path: Path) -> bool:
    """Whether a file is a DICOM RT Structure Set: contours."""
    return path.is_file() and is_dicom(path) and sop_class(path) == RTStructureSetStorage
