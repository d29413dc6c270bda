"""DICOM series that tests build."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import CTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian, generate_uid

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))


def number(value: float) -> str:
    """A decimal string of at most 16 characters, as DICOM's DS wants it."""
    for digits in range(17, 5, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= 16:
            return text
    return f"{value:.8g}"


def header(**attributes: Any) -> FileDataset:
    """A CT slice without voxels; `attributes` replace its own, None takes one away."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    own = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": generate_uid(),
        "StudyInstanceUID": "1.2.3.4",
        "SeriesInstanceUID": "1.2.3.4.5",
        "FrameOfReferenceUID": "1.2.3.4.6",
        "SeriesNumber": 3,
        "SeriesDescription": "Thorax",
        "Modality": "CT",
        "PatientID": "P-1",
        "PatientName": "Somebody",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
    }
    for keyword, value in (own | attributes).items():
        if value is not None:
            setattr(data, keyword, value)
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    return data


def put_pixels(data: Dataset, pixels: NDArray[Any], bits_stored: int | None = None) -> None:
    """Give a slice its stored values (row, column), (row, column, 3) or (frame, row, column)."""
    data.Rows, data.Columns = pixels.shape[-2:] if pixels.shape[-1] != 3 else pixels.shape[:2]
    data.BitsAllocated = 8 * pixels.dtype.itemsize
    data.BitsStored = bits_stored or data.BitsAllocated
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    raw = pixels.tobytes()
    data.PixelData = raw + b"\0" * (len(raw) % 2)
    data["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"


def one_slice(
    pixels: NDArray[Any],
    position: Sequence[float],
    *,
    directions: Sequence[Sequence[float]] = AXIAL,
    spacing: tuple[float, float] = (0.8, 0.7),
    **attributes: Any,
) -> FileDataset:
    """A CT slice; spacing is between rows and between columns, the position LPS."""
    data = header(**attributes)
    if position is not None:
        data.ImagePositionPatient = [number(v) for v in position]
    data.ImageOrientationPatient = [number(v) for v in np.ravel(directions)]
    data.PixelSpacing = [number(v) for v in spacing]
    put_pixels(data, pixels)
    return data


def write_series(
    folder: Path,
    voxels: NDArray[Any],
    *,
    origin: Sequence[float] = (-10.0, -20.0, 5.0),
    step: Sequence[float] = (0.0, 0.0, 2.5),
    places: Sequence[float] | None = None,
    prefix: str = "IM",
    order: Sequence[int] | None = None,
    **attributes: Any,
) -> Path:
    """Write voxels (slice, row, column) as one file a slice.

    Parameters
    ----------
    places
        Where along `step` each slice lies, in steps; 0, 1, 2 ... by default.
    order
        Number in the file name of each slice; its own by default.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for k, pixels in enumerate(voxels):
        place = k if places is None else places[k]
        position = np.array(origin) + place * np.array(step)
        data = one_slice(pixels, position, InstanceNumber=k + 1, **attributes)
        data.save_as(folder / f"{prefix}{order[k] if order is not None else k:03d}.dcm", enforce_file_format=True)
    return folder


def random_voxels(shape: tuple[int, ...], kind: type = np.int16, seed: int = 0) -> NDArray[Any]:
    """Random stored values."""
    low = -1000 if np.issubdtype(kind, np.signedinteger) else 0
    return np.random.default_rng(seed).integers(low, 120 if kind == np.uint8 else 2000, shape).astype(kind)


def items(**attributes: Any) -> Items:
    """A sequence of one item."""
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return Items([item])


def enhanced_mr(voxels: NDArray[Any], heights: Sequence[float], echoes: Sequence[float] | None = None) -> FileDataset:
    """One multi-frame file of voxels (frame, row, column), frame n at height n in mm (S)."""
    data = header(SOPClassUID=EnhancedMRImageStorage, Modality="MR", RescaleSlope=None, RescaleIntercept=None)
    put_pixels(data, voxels)
    data.NumberOfFrames = len(voxels)
    data.SharedFunctionalGroupsSequence = items(
        PixelMeasuresSequence=items(PixelSpacing=["0.8", "0.7"], SliceThickness="2.0"),
        PlaneOrientationSequence=items(ImageOrientationPatient=["1", "0", "0", "0", "1", "0"]),
        PixelValueTransformationSequence=items(RescaleSlope="1", RescaleIntercept="0", RescaleType="US"),
    )
    frames = []
    for n, height in enumerate(heights):
        frame = Dataset()
        frame.PlanePositionSequence = items(ImagePositionPatient=["-10", "-20", number(height)])
        if echoes is not None:
            frame.MREchoSequence = items(EffectiveEchoTime=float(echoes[n]))
        frames.append(frame)
    data.PerFrameFunctionalGroupsSequence = Items(frames)
    return data
