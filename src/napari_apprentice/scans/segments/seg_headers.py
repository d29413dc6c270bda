"""What highdicom wants the headers of a source series to say, and what scanners and anonymisers leave out of them."""

import math
from copy import deepcopy

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.valuerep import DA, TM

from napari_apprentice.scans.dicom.enhanced import GROUPS
from napari_apprentice.scans.dicom.file import text_of
from napari_apprentice.scans.dicom.plane import Plane

# Attributes that every object has, empty where unknown (type 2); anonymisers leave them out.
_MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_MOMENTS = {"DA": DA, "TM": TM}
# What all frames share may stand with each of them instead (Philips, Siemens XA).
_SHARED = ("PixelMeasuresSequence", "PlaneOrientationSequence")


def complete(dataset: Dataset, first: Plane, apart: float) -> None:
    """Fill in what a header lacks, in place.

    Parameters
    ----------
    dataset
        A file of the series, without voxels.
    first
        The first slice of the series: all others are turned as it is, but for the last digits.
    apart
        Millimetres from slice to slice, taken for their thickness where no header gives one.
    """
    for keyword in _MAY_BE_EMPTY:
        if keyword not in dataset or not _readable(dataset, keyword):
            setattr(dataset, keyword, "")
    thickness = apart if math.isnan(first.thickness) else first.thickness
    if GROUPS[1] not in dataset:
        dataset.ImageOrientationPatient = first.header.ImageOrientationPatient
        give_thickness(dataset, thickness)
        return
    shared, frame = dataset[GROUPS[0]][0], dataset[GROUPS[1]][first.frame]
    for name in _SHARED:
        if name not in shared:
            setattr(shared, name, deepcopy(frame[name].value))
    give_thickness(shared.PixelMeasuresSequence[0], thickness)


def _readable(dataset: Dataset, keyword: str) -> bool:
    """Whether a date or time is one; anonymisers write zeros and letters."""
    kind = _MOMENTS.get(dictionary_VR(keyword))
    if kind is None:
        return True
    try:
        kind(text_of(dataset, keyword))
    except ValueError:
        return False
    return True


def give_thickness(measures: Dataset, thickness: float) -> None:
    """Write a slice thickness in millimetres where there is none."""
    if not measures.get("SliceThickness"):
        measures.SliceThickness = f"{thickness:.10g}"
