"""Enhanced multi-frame DICOM: one file, many slices, each with attributes of its own.

DICOM PS3.3 C.7.6.16: what is the same for all frames stands in the shared functional groups, the rest
in a group per frame.
"""

from pathlib import Path

from pydicom.dataset import Dataset

from napari_apprentice.errors import ScanError
from napari_apprentice.scans.dicom.file import number_of, numbers_of, text_of
from napari_apprentice.scans.dicom.plane import Plane, orientation, pair, slope, thickness, vector

GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")

# Where a frame says what `dicom_plane.MARKS` names in files of one slice.
_MARKS = {
    "TemporalPositionIdentifier": ("FrameContentSequence", "TemporalPositionIndex"),
    "EchoTime": ("MREchoSequence", "EffectiveEchoTime"),
    "DiffusionBValue": ("MRDiffusionSequence", "DiffusionBValue"),
    "TriggerTime": ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
    "AcquisitionNumber": ("FrameContentSequence", "FrameAcquisitionNumber"),
}
# Where a frame says whether it is of magnitude or phase, water or fat.
_FRAME_TYPES = ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence")


def enhanced_planes(path: Path, header: Dataset) -> tuple[Plane, ...]:
    """The slices of a multi-frame file, in the file's order.

    Raises
    ------
    ScanError
        Its frames do not say where they lie, or are fewer or more than it says.
    """
    count = int(number_of(header, "NumberOfFrames", 1))
    frames = header.get(GROUPS[1]) or ()
    shared = (header.get(GROUPS[0]) or (Dataset(),))[0]
    if not frames:
        raise ScanError(
            f"{path.name} holds {count} pictures that do not say where they lie each: a film, photographs, or a kind "
            "of scan that is not read in one file (nuclear medicine). Export it as one file per slice, or convert it."
        )
    if len(frames) != count:
        raise ScanError(f"{path.name} is damaged: it says {count} slices and describes {len(frames)}.")
    return tuple(_plane(path, header, number, frame, shared) for number, frame in enumerate(frames))


def _plane(path: Path, header: Dataset, number: int, frame: Dataset, shared: Dataset) -> Plane:
    def group(name: str) -> Dataset:
        items = frame.get(name) or shared.get(name)
        return items[0] if items else Dataset()

    measures, values = group("PixelMeasuresSequence"), group("PixelValueTransformationSequence")
    return Plane(
        path,
        number,
        header,
        vector(numbers_of(group("PlanePositionSequence"), "ImagePositionPatient")),
        orientation(numbers_of(group("PlaneOrientationSequence"), "ImageOrientationPatient")),
        pair(numbers_of(measures, "PixelSpacing")),
        thickness(measures),
        slope(values) if "RescaleSlope" in values else slope(header),
        number_of(values, "RescaleIntercept", number_of(header, "RescaleIntercept", 0.0)),
        {mark: number_of(group(where), keyword) for mark, (where, keyword) in _MARKS.items()},
        next((kind for where in _FRAME_TYPES if (kind := text_of(group(where), "FrameType"))), ""),
    )
