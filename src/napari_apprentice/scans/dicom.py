"""DICOM series as scans."""

from pathlib import Path

from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import ScanError
from napari_apprentice.scans.dicom_kinds import is_dicom, is_rtstruct, is_seg, sop_class

__all__ = ["is_dicom", "is_rtstruct", "is_seg", "read_dicom", "sop_class"]


def read_dicom(path: Path, settings: ReadSettings) -> Volume:  # noqa: ARG001
    """Read a DICOM series from a folder, or a multi-frame file."""
    raise ScanError(f"{path.name}: DICOM series are not read yet; convert it to NIfTI, for example with dcm2niix.")
