"""The door through which scans come in: one call, one kind of error."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import LabelMap, Volume, as_labels
from napari_apprentice.errors import ApprenticeError, ScanError
from napari_apprentice.scans.dicom import is_dicom, read_dicom
from napari_apprentice.scans.itk import read_itk, read_segment_names
from napari_apprentice.scans.nifti import read_nifti
from napari_apprentice.scans.nifti_names import read_names

NIFTI = (".nii", ".nii.gz")
ITK = (".nrrd", ".nhdr", ".mha", ".mhd")
SUFFIXES = (*NIFTI, *ITK)

# First bytes of what is often mistaken for a scan.
_SIGNS = (
    (b"version https://git-lfs", "is a Git LFS pointer, not the scan itself; fetch it with git lfs pull."),
    (b"<!doctype", "is a web page, not a scan; the download went wrong. Fetch it again."),
    (b"<html", "is a web page, not a scan; the download went wrong. Fetch it again."),
    (b"bzh", "is packed with bzip2; unpack it first, for example with bunzip2."),
    (b"pk\x03\x04", "is a zip archive; unpack it first."),
)


def read_volume(path: Path, settings: ReadSettings | None = None) -> Volume:
    """Read a scan in canonical orientation; whole axes are reordered, nothing is resampled.

    Parameters
    ----------
    settings
        Answers to what files leave open; by default nothing is changed silently.

    Returns
    -------
    Voxels (c, z, y, x) in the file's number type, float32 where the file asks for scaling; oddities are
    in its `warnings`, what was done to the voxels in its `steps`.

    Raises
    ------
    ChoiceError
        It can be read in several ways; the error says which setting decides.
    ScanError
        The file is no scan, damaged, cut off, or of a kind that is not read; the text names it.
    """
    try:
        _refuse_by_sight(path)
        if is_dicom(path):
            return read_dicom(path, settings or ReadSettings())
        return read_itk(path) if suffix_of(path) in ITK else read_nifti(path)
    except ApprenticeError:
        raise
    except OSError as error:
        raise ScanError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    except MemoryError as error:
        raise ScanError(f"{path.name} does not fit into this computer's memory.") from error
    except Exception as error:  # readers of file formats raise anything over a damaged file
        raise ScanError(f"{path.name} is damaged or no scan ({type(error).__name__}: {error}).") from error


def read_label_map(path: Path) -> LabelMap:
    """Read integer voxels (z, y, x), canonical orientation, and label names where the file has them.

    Raises
    ------
    ScanError
        No scan, or one whose values are no labels.
    """
    volume = read_volume(path)
    if len(volume.channels) != 1:
        raise ScanError(f"{path.name} is no label map: it holds {len(volume.channels)} values per voxel, not one.")
    labels = as_labels(volume.voxels[0], path.name)
    try:
        names = read_segment_names(path) if suffix_of(path) in ITK else read_names(path)
    except (OSError, RuntimeError, ValueError):  # the voxels were read; names are a convenience
        names = {}
    return LabelMap(labels, volume.geometry, names)


def suffix_of(path: Path) -> str:
    """A path's readable suffix in lower case, ".nii.gz" as one; "" when it has none."""
    name = path.name.lower()
    return next((s for s in sorted(SUFFIXES, key=len, reverse=True) if name.endswith(s)), "")


def case_id_from(path: Path) -> str:
    """A case id from a file's name: without suffix, cleaned to letters, digits, dots, dashes, underscores."""
    suffix = suffix_of(path)
    stem = path.name[: -len(suffix)] if suffix else path.stem
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "_", plain).strip("._-")[:100].rstrip(".")
    if not cleaned or cleaned.lower() in ("con", "prn", "aux", "nul", "zarr.json"):
        return f"case-{hashlib.sha256(stem.encode()).hexdigest()[:8]}"
    return cleaned


def expand(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Files as they are, folders as the scans directly in them, sorted; hidden files are passed over.

    A folder in which nothing is readable stays, so that reading it says why.
    """
    found: list[Path] = []
    for path in paths:
        if path.name.startswith("."):
            continue
        found += _scans_in(path) or [path] if path.is_dir() else [path]
    return tuple(dict.fromkeys(found))


def _scans_in(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return []
    return [p for p in entries if not p.name.startswith(".") and suffix_of(p) and p.is_file()]


def _refuse_by_sight(path: Path) -> None:
    if path.is_dir():
        if not is_dicom(path):
            raise ScanError(f"{path.name} is a folder: it holds no scan that can be read.")
        return
    if not path.exists():
        raise ScanError(f"{path.name} does not exist.")
    with path.open("rb") as file:
        start = file.read(132)
    if not start:
        raise ScanError(f"{path.name} is empty; fetch it again.")
    if is_dicom(path):
        return
    for sign, sentence in _SIGNS:
        if start.lstrip().lower().startswith(sign):
            raise ScanError(f"{path.name} {sentence}")
    if not suffix_of(path):
        raise ScanError(f"{path.name} is of no format that is read ({', '.join(SUFFIXES)}); convert it to .nii.gz.")
