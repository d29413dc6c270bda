"""The door through which scans come in: one call, one kind of error."""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import LabelMap, Volume, as_labels
from napari_apprentice.errors import ApprenticeError, ScanError
from napari_apprentice.scans.dicom.file import quiet_pydicom
from napari_apprentice.scans.dicom.kinds import is_dicom, is_rtstruct, is_seg
from napari_apprentice.scans.dicom.reader import SeriesFinder as SeriesFinder
from napari_apprentice.scans.dicom.reader import read_dicom
from napari_apprentice.scans.itk import read_itk
from napari_apprentice.scans.itk_names import read_segments
from napari_apprentice.scans.label_list import read_label_list
from napari_apprentice.scans.mgh import read_mgh
from napari_apprentice.scans.nifti import read_nifti
from napari_apprentice.scans.nifti_names import may_be_copied, read_names
from napari_apprentice.scans.oddities import handle_not_numbers
from napari_apprentice.scans.ome_zarr import read_ome_zarr, read_ome_zarr_labels
from napari_apprentice.scans.pairs import HEADERS, IMAGES, has_header
from napari_apprentice.scans.picture import read_picture, read_picture_labels
from napari_apprentice.scans.segments.claims import UNKNOWN, only_chosen
from napari_apprentice.scans.segments.layers import is_layered, read_layers
from napari_apprentice.scans.segments.masks import masks_in, read_masks
from napari_apprentice.scans.segments.rtstruct import read_rtstruct
from napari_apprentice.scans.segments.seg import read_seg
from napari_apprentice.scans.sight import is_zarr, kind_of
from napari_apprentice.scans.suffixes import SUFFIXES as SUFFIXES
from napari_apprentice.scans.suffixes import stem_of
from napari_apprentice.scans.suffixes import suffix_of as suffix_of
from napari_apprentice.scans.tiff import read_tiff
from napari_apprentice.scans.told_names import with_told

T = TypeVar("T")

ROUNDING = 1e-3  # what float32 makes of a label up to 65535 is not worth a word

Reader = Callable[[Path, ReadSettings], Volume]
LabelReader = Callable[[Path, ReadSettings], LabelMap]
Names = Callable[[Path], tuple[Mapping[int, str], Mapping[int, str]]]

_READERS: Mapping[str, Reader] = {
    "dicom": read_dicom,
    "nifti": read_nifti,
    "itk": read_itk,
    "mgh": read_mgh,
    "picture": read_picture,
    "tiff": read_tiff,
    "zarr": read_ome_zarr,
}
# Kinds that know label maps otherwise than as a scan of whole numbers.
_LABEL_READERS: Mapping[str, LabelReader] = {"picture": read_picture_labels, "zarr": read_ome_zarr_labels}
# Where label names and colours are found beside the voxels.
_NAMES: Mapping[str, Names] = {"nifti": read_names, "itk": read_segments}


def read_volume(path: Path, settings: ReadSettings | None = None, find: SeriesFinder | None = None) -> Volume:
    """Read a scan in canonical orientation; whole axes are reordered, nothing is resampled.

    Parameters
    ----------
    settings
        Answers to what files leave open; by default nothing is changed silently.
    find
        Used again for the next DICOM series of the same folder, it saves parsing all files of it again.

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
    chosen = settings or ReadSettings()
    return _guarded(path, lambda: handle_not_numbers(_read_volume(path, chosen, find), chosen))


def read_label_map(
    path: Path,
    settings: ReadSettings | None = None,
    geometry: Geometry | None = None,
    unknown: Collection[int] = (UNKNOWN,),
    told: Mapping[int, str] | None = None,
) -> LabelMap:
    """Read integer voxels (z, y, x), canonical orientation; label names and colours where the file has them.

    Parameters
    ----------
    geometry
        Grid of the case it is for, if there is one: contours are drawn on it. What has voxels of its own
        may lie elsewhere and is brought there by `scans.fitting.fit`.
    unknown
        Values of voxels that nobody is sure about, kept whatever `settings.segments` says.
    told
        Names that its data set has for its labels.

    Raises
    ------
    ChoiceError
        It can be read in several ways; the error says which setting decides.
    ScanError
        No scan, or one whose values are no labels.
    """
    chosen = settings or ReadSettings()

    def read() -> LabelMap:
        segments = _read_segments(path, chosen, geometry)
        if segments is not None:
            return segments
        labels = with_told(_read_labels(path, chosen, geometry), told or {}, path.name)
        return only_chosen(labels, chosen, path.name, unknown)

    return _guarded(path, read)


def case_id_from(path: Path) -> str:
    """A case id from a file's name: without suffix, cleaned to letters, digits, dots, dashes, underscores."""
    stem = stem_of(path)
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "_", plain).strip("._-")[:100].rstrip(".")
    if not cleaned or cleaned.lower() in ("con", "prn", "aux", "nul", "zarr.json"):
        return f"case-{hashlib.sha256(stem.encode()).hexdigest()[:8]}"
    return cleaned


def expand(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Files as they are, folders as the scans directly in them, sorted; hidden files are passed over.

    A Zarr folder is one scan, and so is a folder of DICOM files; of a scan in two files the header stands
    for both. A folder in which nothing is readable stays, so that reading it says why.
    """
    found: list[Path] = []
    for path in paths:
        if path.name.startswith("."):
            continue
        found += _scans_in(path) or [path] if path.is_dir() and not is_zarr(path) else [path]
    return tuple(dict.fromkeys(found))


def _read_volume(path: Path, settings: ReadSettings, find: SeriesFinder | None) -> Volume:
    kind = kind_of(path)
    return read_dicom(path, settings, find=find) if kind == "dicom" else _READERS[kind](path, settings)


def _read_segments(path: Path, settings: ReadSettings, geometry: Geometry | None) -> LabelMap | None:
    """What has a part of the file, or a file, for each label, those that were asked for; None for any other file."""
    if path.is_dir() and not is_zarr(path) and not is_dicom(path) and masks_in(path):
        return read_masks(path, settings, lambda one: _read_labels(one, settings, None))
    kind = kind_of(path)
    if kind == "dicom" and (is_seg(path) or is_rtstruct(path)):
        with quiet_pydicom():
            return (read_seg if is_seg(path) else read_rtstruct)(path, geometry, settings)
    if kind == "itk" and is_layered(path):
        return read_layers(path, settings)
    return None


def _read_labels(path: Path, settings: ReadSettings, geometry: Geometry | None) -> LabelMap:
    kind = kind_of(path)
    if geometry is not None and not settings.spacing:
        # A picture that does not say its voxel size has that of the scan it was drawn on.
        settings = replace(settings, spacing=",".join(repr(s) for s in geometry.spacing))
    if kind in _LABEL_READERS:
        return _LABEL_READERS[kind](path, settings)
    volume = _READERS[kind](path, replace(settings, colour="channels"))
    if volume.channels == ("R", "G", "B"):
        raise ScanError(
            f"{path.name} is no label map: it holds colours. Save it with one whole number per voxel, the label."
        )
    if len(volume.channels) != 1:
        raise ScanError(
            f"{path.name} is no label map: it holds {len(volume.channels)} values per voxel, not one. If each "
            "stands for a label, save the number of the largest instead (argmax)."
        )
    labels = as_labels(volume.voxels[0], path.name)
    try:
        names, colours = _NAMES[kind](path) if kind in _NAMES else ({}, {})
        copied = kind == "nifti" and bool(names) and may_be_copied(path)
        if not names:
            names, colours = read_label_list(path)
    except (OSError, RuntimeError, ValueError):  # the voxels were read; names are a convenience
        names, colours, copied = {}, {}, False
    said = [f"Every voxel of {path.name} has a label; it has no background."] if labels.all() else []
    off = float(np.abs(volume.voxels[0] - labels).max()) if volume.voxels.dtype.kind == "f" else 0.0
    if off > ROUNDING:
        said.append(f"{path.name}: its labels are up to {off:.2g} beside whole numbers and were rounded.")
    return LabelMap(labels, volume.geometry, names, colours, (*volume.warnings, *said), copied=copied)


def _guarded(path: Path, read: Callable[[], T]) -> T:
    """Turn whatever a reader raises into a sentence about the file."""
    try:
        return read()
    except ApprenticeError:
        raise
    except OSError as error:
        raise ScanError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    except MemoryError as error:
        raise ScanError(f"{path.name} does not fit into this computer's memory.") from error
    except Exception as error:  # readers of file formats raise anything over a damaged file
        raise ScanError(f"{path.name} is damaged or no scan ({type(error).__name__}: {error}).") from error


def _scans_in(folder: Path) -> list[Path]:
    try:
        entries = [p for p in sorted(folder.iterdir()) if not p.name.startswith(".")]
        slices = any(is_dicom(p) for p in entries if p.is_file())
    except OSError:
        return []
    if slices:
        return []
    return [p for p in entries if _is_scan(p)]


def _is_scan(path: Path) -> bool:
    if path.is_dir():
        return is_zarr(path)
    name = path.name.lower()
    if name.endswith(IMAGES):
        return not has_header(path)
    return bool(suffix_of(path)) or name.endswith(HEADERS)
