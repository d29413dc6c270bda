"""A series with a secret in all that may name a person, and the search for it in a study's bytes."""

import json
from pathlib import Path

import numpy as np
import zarr
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset, FileDataset

from dicom_builder import items, one_slice, random_voxels
from napari_apprentice.scans.dicom.file import quiet_pydicom

SHAPE = (3, 6, 7)
SECRET = "Zxqv"  # occurs nowhere but in identifiers
# Attributes that say how voxels are stored and placed; a name in them makes no readable file.
STRUCTURAL = {
    *("SOPClassUID", "PhotometricInterpretation", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("SpecificCharacterSet", "RescaleSlope", "RescaleIntercept", "PixelData", "TransferSyntaxUID", "InstanceNumber"),
}
TEXT = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
OWN_DATE, OWN_UID = "19470311", "1.2.826.0.1.3680043.9.76543.21"


def marked_series(folder: Path) -> Path:
    """A series with a secret in every text attribute of the dictionary, in private ones, and in its names."""
    folder.mkdir(parents=True, exist_ok=True)
    with quiet_pydicom():
        for k in range(SHAPE[0]):
            marked_slice(k).save_as(folder / f"{SECRET}^Jane_{k}.dcm", enforce_file_format=True)
    return folder


def marked_slice(k: int) -> FileDataset:
    data = one_slice(random_voxels(SHAPE[1:], seed=k), (0, 0, 2.0 * k), InstanceNumber=k + 1)
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if not keyword or keyword in STRUCTURAL or tag >> 16 in (0, 2, 4, 0xFFFE) or (keyword in data and vr == "IS"):
            continue
        fill(data, tag, vr)
    data.Modality = "CT"
    block = data.private_block(0x0011, f"{SECRET} creator", create=True)
    block.add_new(0x01, "LO", f"{SECRET}-private")
    block.add_new(0x02, "UN", f"{SECRET}-unknown".encode())
    data.file_meta.ImplementationVersionName = f"{SECRET}-meta"
    data.preamble = f"{SECRET}-preamble".ljust(128).encode()
    return data


def fill(data: Dataset, tag: int, vr: str) -> None:
    if vr in TEXT:
        data.add_new(tag, vr, f"{SECRET}{tag:08X}")
    elif vr == "UI":
        data.add_new(tag, vr, OWN_UID)
    elif vr in ("DA", "DT"):
        data.add_new(tag, vr, OWN_DATE)
    elif vr == "SQ" and tag >> 16 in (0x0008, 0x0010, 0x0032, 0x0040):
        data.add_new(tag, vr, items(PatientName=f"{SECRET}-nested", TextValue=f"{SECRET}-nested"))


def spilled(folder: Path, secrets: tuple[str, ...]) -> list[str]:
    """Files whose bytes, names or decoded arrays and attributes hold a secret."""
    found = []
    for path in folder.rglob("*"):
        text = str(path.relative_to(folder)).lower()
        if path.is_file():
            raw = path.read_bytes().lower()
            hit = [s for s in secrets if s.lower().encode() in raw or s.lower().encode("utf-16-le") in raw]
            found += [f"{path}: {s}" for s in hit]
            if path.name == "zarr.json":
                text += json.dumps(json.loads(raw), ensure_ascii=False)
        found += [f"{path}: {s}" for s in secrets if s.lower() in text]
    group = zarr.open_group(folder / "cases.zarr", mode="r")
    for name, array in group.members(max_depth=None):
        if isinstance(array, zarr.Array):
            raw = np.asarray(array[:]).tobytes().lower()
            found += [f"{name}: {s}" for s in secrets if s.lower().encode() in raw]
    return found
