"""One slice of a DICOM series: where it lies and how its stored values become real ones."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from napari_apprentice.scans.dicom.file import number_of, numbers_of, text_of

# What tells slices at one place apart, outermost first.
MARKS = {
    "TemporalPositionIdentifier": "time point",
    "EchoTime": "echo time",
    "DiffusionBValue": "b-value",
    "TriggerTime": "trigger time",
    "FrameReferenceTime": "frame time",
    "AcquisitionNumber": "acquisition",
    "AcquisitionTime": "acquisition time",
    "InstanceNumber": "instance",
}
PLANE_KEYWORDS = (
    *MARKS,
    "ImageType",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    "PixelPaddingValue",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "RedPaletteColorLookupTableDescriptor",
    "GantryDetectorTilt",
)


@dataclass(frozen=True, eq=False)
class Plane:
    """One slice.

    Parameters
    ----------
    path, frame
        The file, and the frame in it from 0.
    header
        The file's attributes without voxels.
    position
        (3,) float64: centre of the first voxel, LPS mm; None when the file does not say.
    directions
        (2, 3) float64: unit vectors, LPS, along which the column index and the row index rise.
    spacing
        Millimetres between rows and between columns; None when the file does not say.
    thickness
        Millimetres to the next slice as the header has it; NaN when it does not say.
    slope, intercept
        Stored value to real value.
    marks
        What tells this slice from another one at the same place, by the keywords of `MARKS`.
    frame_type
        ImageType of this frame alone, where a multi-frame file says it.
    """

    path: Path
    frame: int
    header: Dataset
    position: NDArray[np.float64] | None
    directions: NDArray[np.float64] | None
    spacing: tuple[float, float] | None
    thickness: float
    slope: float = 1.0
    intercept: float = 0.0
    marks: Mapping[str, float] = field(default_factory=dict)
    frame_type: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(number_of(self.header, "Rows", 0)), int(number_of(self.header, "Columns", 0))

    @property
    def samples(self) -> int:
        """Values per voxel in memory; a palette stands for three."""
        palette = text_of(self.header, "PhotometricInterpretation") == "PALETTE COLOR"
        return 3 if palette else int(number_of(self.header, "SamplesPerPixel", 1))

    @property
    def kind(self) -> str:
        """What the picture shows of one place, as in magnitude or phase; a word of ImageType."""
        words = (self.frame_type or text_of(self.header, "ImageType")).split("\\")
        return "\\".join(words[2:4])

    @property
    def is_localizer(self) -> bool:
        """Whether it is an overview picture that only helps to plan the scan."""
        return "LOCALIZER" in text_of(self.header, "ImageType").upper()

    def sort_key(self) -> tuple[object, ...]:
        """Order of slices at the same place."""
        values = (self.marks.get(m, math.nan) for m in MARKS)
        known = tuple(-math.inf if math.isnan(v) else v for v in values)
        return (known[0], self.kind, *known[1:], self.frame, self.path.name)


def classic_plane(path: Path, header: Dataset) -> Plane:
    """The slice of a file that holds one."""
    return Plane(
        path,
        0,
        header,
        vector(numbers_of(header, "ImagePositionPatient")),
        orientation(numbers_of(header, "ImageOrientationPatient")),
        pair(numbers_of(header, "PixelSpacing")) or pair(numbers_of(header, "ImagerPixelSpacing")),
        thickness(header),
        slope(header),
        number_of(header, "RescaleIntercept", 0.0),
        {m: number_of(header, m) for m in MARKS},
    )


def slope(header: Dataset) -> float:
    """RescaleSlope; 0 means that a writer left it out."""
    return number_of(header, "RescaleSlope", 1.0) or 1.0


def thickness(header: Dataset) -> float:
    """Distance between slices, else their thickness; NaN when the header says neither."""
    apart = abs(number_of(header, "SpacingBetweenSlices"))
    return apart if apart > 0 else abs(number_of(header, "SliceThickness")) or math.nan


def vector(numbers: tuple[float, ...]) -> NDArray[np.float64] | None:
    """Three numbers as an array, None when they are not three."""
    return np.array(numbers) if len(numbers) == 3 else None


def orientation(numbers: tuple[float, ...]) -> NDArray[np.float64] | None:
    """Six direction cosines as (2, 3), None when they are not two vectors of length 1 at a right angle."""
    if len(numbers) != 6:
        return None
    directions = np.array(numbers).reshape(2, 3)
    off = np.abs(directions @ directions.T - np.eye(2)).max()
    return directions if off < 1e-2 else None


def pair(numbers: tuple[float, ...]) -> tuple[float, float] | None:
    """Two sizes above 0, else None."""
    return (numbers[0], numbers[1]) if len(numbers) == 2 and min(numbers) > 0 else None
