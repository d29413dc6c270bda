"""Whether a file says of itself that it is a label map; what its values look like is no sign."""

import gzip
import json
import re
import struct
import zlib
from pathlib import Path

import SimpleITK as sitk  # noqa: N813 - the name everyone knows it by

from napari_apprentice.scans.dicom.kinds import is_dicom, is_rtstruct, is_seg
from napari_apprentice.scans.itk import GROUPS
from napari_apprentice.scans.nifti_grid import INTENT_LABEL
from napari_apprentice.scans.nifti_names import read_names
from napari_apprentice.scans.raw import GZIP
from napari_apprentice.scans.suffixes import NIFTI, suffix_of

# Size of the header, where in it the intent code is, and its type; NIfTI-1 and NIfTI-2.
_INTENT_PLACES = ((348, 68, "h"), (540, 504, "i"))
_SEGMENT = re.compile(r"Segment\d+_(ID|LabelValue|Name)")


def says_labels(path: Path) -> bool:
    """Whether a file declares itself a label map.

    DICOM SEG and RTSTRUCT; NIfTI with the intent LABEL or with label names in it; NRRD with segments, as 3D Slicer and
    MITK write it; OME-Zarr with image-label. A file that cannot be read that far says nothing.
    """
    try:
        if path.is_dir():
            return _zarr(path)
        if is_dicom(path):
            return is_seg(path) or is_rtstruct(path)
        if suffix_of(path) in NIFTI:
            return _nifti(path)
        return suffix_of(path) in (".nrrd", ".nhdr") and _nrrd(path)
    except (OSError, EOFError, RuntimeError, ValueError, zlib.error, struct.error):
        return False


def _nifti(path: Path) -> bool:
    with path.open("rb") as file:
        zipped = file.read(2) == GZIP
    with gzip.open(path) if zipped else path.open("rb") as file:
        start = file.read(540)
    for order in "<>":
        for size, place, kind in _INTENT_PLACES:
            if len(start) >= size and struct.unpack_from(f"{order}i", start)[0] == size:
                return bool(struct.unpack_from(order + kind, start, place)[0] == INTENT_LABEL) or any(read_names(path))
    return False


def _nrrd(path: Path) -> bool:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return any(key == GROUPS or _SEGMENT.fullmatch(key) for key in reader.GetMetaDataKeys())


def _zarr(path: Path) -> bool:
    for name in ("zarr.json", ".zattrs"):
        file = path / name
        if file.is_file():
            found = json.loads(file.read_text())
            attributes = found.get("attributes", found) if isinstance(found, dict) else {}
            ome = attributes.get("ome", attributes) if isinstance(attributes, dict) else {}
            return isinstance(ome, dict) and "image-label" in ome
    return False
