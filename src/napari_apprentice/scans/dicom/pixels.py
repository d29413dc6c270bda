"""Voxels of DICOM files: every file read once, decoded into one array, then scaled in place where types allow."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from napari_apprentice.errors import ScanError
from napari_apprentice.scans.dicom.codestream import claimed_voxels
from napari_apprentice.scans.dicom.file import CountedFile, naming, number_of, numbers_of, read_whole, text_of
from napari_apprentice.scans.dicom.plane import Plane

THREADS = 4
# Smallest file that still may hold a picture: an empty one compresses a lot, but not endlessly.
MOST_SHRUNK = 20_000


@dataclass(frozen=True, eq=False)
class Pixels:
    """What the files of a series held.

    Parameters
    ----------
    voxels
        (c, slice, row, column), real values: integers where all slices have slope 1 and a whole
        intercept, else float32.
    digest
        SHA-256 over the sorted SHA-256s of the files, hexadecimal: names and order do not matter.
    tags
        Every top-level attribute that some file has.
    """

    voxels: NDArray[Any]
    digest: str
    tags: frozenset[int]


def read_pixels(volumes: Sequence[Sequence[Plane]], others: Iterable[Path] = (), factor: float = 1.0) -> Pixels:
    """Read the voxels of planes in order.

    Parameters
    ----------
    volumes
        Planes (volume, slice), all of one shape.
    others
        Files that belong to the series and whose voxels are not wanted; they count in the digest.
    factor
        Every real value is multiplied by it.

    Raises
    ------
    ScanError
        A file is cut off, of an unknown compression or damaged; the text names it.
    """
    planes = [plane for volume in volumes for plane in volume]
    _check_sizes(planes)
    slots: dict[Path, list[tuple[int, int, Plane]]] = {}
    for v, volume in enumerate(volumes):
        for k, plane in enumerate(volume):
            slots.setdefault(plane.path, []).append((v, k, plane))
    for path in others:
        slots.setdefault(path, [])
    rows, columns = planes[0].shape
    samples = planes[0].samples
    out = np.empty((len(volumes), samples, len(volumes[0]), rows, columns), _stored_type(planes))
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(partial(_read_file, out), slots, slots.values()))
    digest = hashlib.sha256("".join(sorted(digest for digest, _ in found)).encode()).hexdigest()
    out = _scaled(out, volumes, factor).reshape(-1, *out.shape[2:])
    return Pixels(out, digest, frozenset().union(*(tags for _, tags in found)))


def _read_file(out: NDArray[Any], path: Path, wanted: list[tuple[int, int, Plane]]) -> tuple[str, frozenset[int]]:
    with CountedFile(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if not wanted:
            return digest, frozenset()
        file.seek(0)
        data = read_whole(file, path)
    with naming(path):
        _check_complete(data, path)
    tags = frozenset(int(tag) for tag in data.keys())  # noqa: SIM118 - iterating would convert every value
    for v, k, plane in wanted:
        picture = _decoded(data, plane)
        out[v, :, k] = np.moveaxis(picture, -1, 0) if picture.ndim == 3 else picture
    return digest, tags


def _decoded(data: Dataset, plane: Plane) -> NDArray[Any]:
    """(row, column) or (row, column, sample) of one slice, stored values, colours as RGB."""
    name = plane.path.name
    try:
        frames = int(number_of(data, "NumberOfFrames", 1))
        _check_stream(data, plane, frames)
        picture: NDArray[Any] = pixel_array(data, index=plane.frame if frames > 1 else 0)
        if text_of(data, "PhotometricInterpretation") == "PALETTE COLOR":
            picture = apply_color_lut(picture, data)
    except (ScanError, MemoryError):
        raise
    except NotImplementedError as error:
        raise _unknown(data.file_meta.TransferSyntaxUID, plane.path) from error
    except Exception as error:  # decoders raise anything over damaged voxels
        raise ScanError(
            f"{name}: its voxels cannot be decoded; it is damaged, or packed in an unusual way. Fetch it again, or "
            "unpack it first, for example with gdcmconv."
        ) from error
    if picture.shape[:2] != plane.shape or picture.ndim != (3 if plane.samples > 1 else 2):
        raise ScanError(f"{name} is damaged: its voxels are {picture.shape}, its header says {plane.shape}.")
    return picture


def _check_stream(data: Dataset, plane: Plane, frames: int) -> None:
    """Refuse a compressed picture that would unpack to another size than the header's."""
    if not data.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    stream = get_frame(data.PixelData, plane.frame, number_of_frames=frames)
    claimed = claimed_voxels(stream)
    if claimed is not None and claimed > 2 * math.prod(plane.shape):
        raise ScanError(f"{plane.path.name} is damaged: its compressed voxels are more than its header says.")


def _check_complete(data: Dataset, path: Path) -> None:
    """Refuse a file whose voxels are missing or cut off."""
    if "TransferSyntaxUID" not in data.file_meta:
        data.file_meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if data.original_encoding[0] else ExplicitVRLittleEndian
        )
    cut = ScanError(f"{path.name} is cut off: voxels are missing at its end. Fetch it again.")
    keyword = next((k for k in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if k in data), None)
    if keyword is None:
        raise cut
    if _syntax(data.file_meta, path).is_encapsulated:
        return  # pydicom finds the end of encapsulated voxels, or else has none to give
    if len(data[keyword].value or b"") < _bytes_of(data):
        raise cut


def _syntax(meta: Dataset, path: Path) -> UID:
    """How a file's voxels are packed; uncompressed where it does not say."""
    uid = UID(str(meta.get("TransferSyntaxUID") or ImplicitVRLittleEndian))
    if not uid.is_transfer_syntax:
        raise _unknown(uid, path)
    return uid


def _unknown(uid: UID, path: Path) -> ScanError:
    return ScanError(
        f"{path.name} is compressed in a way that is not read ({uid.name}); unpack it first, for example with gdcmconv."
    )


def _bytes_of(header: Dataset) -> int:
    sizes = (number_of(header, k, 1) for k in ("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "BitsAllocated"))
    subsampled = text_of(header, "PhotometricInterpretation") == "YBR_FULL_422"
    return int(math.prod(sizes) / 8 * (2 / 3 if subsampled else 1))


def _check_sizes(planes: Sequence[Plane]) -> None:
    """Compare what headers claim with the files' sizes before anything is allocated."""
    for path, plane in {p.path: p for p in planes}.items():
        header, size = plane.header, path.stat().st_size
        syntax = _syntax(header.file_meta, path)
        packed = syntax.is_encapsulated or syntax == DeflatedExplicitVRLittleEndian
        claimed = _bytes_of(header)
        if min(plane.shape) < 1 or claimed < 1:
            raise ScanError(f"{path.name} is damaged: its header gives a picture without voxels.")
        if claimed > size * (MOST_SHRUNK if packed else 1):
            raise ScanError(
                f"{path.name} is cut off or damaged: its header claims {claimed:,} bytes of voxels. Fetch it again."
            )
        if "ModalityLUTSequence" in header:
            raise ScanError(f"{path.name} turns stored values into real ones by a table, which is not read.")


def _stored_type(planes: Sequence[Plane]) -> np.dtype[Any]:
    """The number type that holds the stored values of all files."""
    types = [_type_of(p.header) for p in {p.path: p for p in planes}.values()]
    common: np.dtype[Any] = np.result_type(*types)
    return common


def _type_of(header: Dataset) -> np.dtype[Any]:
    palette = numbers_of(header, "RedPaletteColorLookupTableDescriptor")
    if text_of(header, "PhotometricInterpretation") == "PALETTE COLOR" and len(palette) == 3:
        return np.dtype(np.uint16 if palette[2] > 8 else np.uint8)
    bits = number_of(header, "BitsAllocated", 16)
    if "PixelRepresentation" not in header and bits in (32, 64):
        return np.dtype(np.float32 if bits == 32 else np.float64)
    size = 1 if bits <= 8 else 2 if bits <= 16 else 4
    return np.dtype(f"{'i' if number_of(header, 'PixelRepresentation', 0) == 1 else 'u'}{size}")


def _scaled(stored: NDArray[Any], volumes: Sequence[Sequence[Plane]], factor: float) -> NDArray[Any]:
    """Real values from stored ones, slice by slice; the same memory where the type's size stays."""
    scales = [[(p.slope * factor, p.intercept * factor) for p in volume] for volume in volumes]
    kind = _real_type(stored, [s for volume in scales for s in volume])
    if kind is None:
        return stored
    out = stored.view(kind) if kind.itemsize == stored.dtype.itemsize else np.empty(stored.shape, kind)
    for v, volume in enumerate(scales):
        for k, (slope, intercept) in enumerate(volume):
            slab = stored[v, :, k]
            if kind.kind == "f":
                out[v, :, k] = slab.astype(np.float64) * slope + intercept
            else:
                out[v, :, k] = slab.astype(np.int64) + int(intercept)
    return out


def _real_type(stored: NDArray[Any], scales: list[tuple[float, float]]) -> np.dtype[Any] | None:
    """The number type of real values; None where the stored values are the real ones."""
    if all(slope == 1 and intercept == 0 for slope, intercept in scales):
        return None
    whole = all(slope == 1 and intercept == int(intercept) for slope, intercept in scales)
    if stored.dtype.kind == "f" or not whole:
        return np.dtype(np.float32)
    intercepts = [int(intercept) for _, intercept in scales]
    low, high = int(stored.min()) + min(intercepts), int(stored.max()) + max(intercepts)
    for kind in (np.int16, np.uint16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return np.dtype(kind)
    return np.dtype(np.float32)
