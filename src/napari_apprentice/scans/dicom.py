"""DICOM series as scans."""

from pathlib import Path

from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import ScanError


def is_dicom(path: Path) -> bool:
    """Whether a path is a DICOM file, by its content, or a folder that holds some directly."""
    if path.is_dir():
        return any(is_dicom(p) for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM" or path.suffix.lower() == ".dcm"


def read_dicom(path: Path, settings: ReadSettings) -> Volume:  # noqa: ARG001
    """Read a DICOM series from a folder, or a multi-frame file."""
    raise ScanError(f"{path.name}: DICOM series are not read yet; convert it to NIfTI, for example with dcm2niix.")
