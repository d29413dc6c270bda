"""Small data sets of each public layout, written file by file."""

import json
from pathlib import Path

import numpy as np

from builders import OBLIQUE, write_nifti

SHAPE = (7, 6, 5)  # (i, j, k) of the files


def scan(path: Path, seed: int = 0, affine: np.ndarray = OBLIQUE, shape: tuple[int, ...] = SHAPE) -> Path:
    """A scan of random int16 voxels; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_nifti(path, np.random.default_rng(seed).integers(0, 500, shape).astype(np.int16), affine)


def label_map(path: Path, *values: int, affine: np.ndarray = OBLIQUE) -> Path:
    """A label map whose first voxels hold the values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.zeros(SHAPE, np.uint8)
    voxels.ravel()[: len(values)] = values
    return write_nifti(path, voxels, affine)


def write_json(path: Path, data: object) -> Path:
    """A JSON file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def msd(folder: Path, cases: int = 2) -> Path:
    """A Decathlon folder with two-channel 4D scans, label maps and one test scan."""
    names = [f"brain_{n:03}.nii.gz" for n in range(1, cases + 1)]
    for seed, name in enumerate(names):
        scan(folder / "imagesTr" / name, seed, shape=(*SHAPE, 2))
        label_map(folder / "labelsTr" / name, 1, 2)
    scan(folder / "imagesTs" / "brain_900.nii.gz", 99, shape=(*SHAPE, 2))
    (folder / "imagesTr" / "._brain_001.nii.gz").write_bytes(b"left by macOS")
    training = [{"image": f"./imagesTr/{n}", "label": f"./labelsTr/{n}"} for n in names]
    data = {"name": "Brains", "modality": {"0": "FLAIR", "1": "T1w"}, "labels": {"0": "background", "1": "a", "2": "b"}}
    write_json(folder / "dataset.json", {**data, "training": training})
    return folder


def nnunet(folder: Path) -> Path:
    """An nnU-Net v2 folder: two channels, the second of the last case missing, one label that means ignore."""
    for n, case in enumerate(("liver_01", "liver_02")):
        scan(folder / "imagesTr" / f"{case}_0000.nii.gz", n)
        label_map(folder / "labelsTr" / f"{case}.nii.gz", 1, 2, 3)
    scan(folder / "imagesTr" / "liver_01_0001.nii.gz", 5)
    labels = {"background": 0, "liver": 1, "tumour": 2, "ignore": 3}
    channels = {"0": "CT", "1": "PET"}
    write_json(folder / "dataset.json", {"channel_names": channels, "labels": labels, "file_ending": ".nii.gz"})
    return folder


def brats(folder: Path, *, new: bool) -> Path:
    """Two BraTS cases in the naming before or since 2023."""
    tokens = ("t1n", "t1c", "t2w", "t2f") if new else ("t1", "t1ce", "t2", "flair")
    cases = ("BraTS-GLI-00001-000", "BraTS-GLI-00001-001") if new else ("BraTS20_001", "BraTS20_002")
    mark = "-" if new else "_"
    for n, case in enumerate(cases):
        for m, token in enumerate(tokens):
            scan(folder / case / f"{case}{mark}{token}.nii.gz", 10 * n + m)
        label_map(folder / case / f"{case}{mark}seg.nii.gz", 1, 2, 3 if new else 4)
    return folder


def bids(folder: Path) -> Path:
    """Two subjects, one with two sessions; a lesion mask and one in a template's space."""
    write_json(folder / "dataset_description.json", {"Name": "Lesions", "BIDSVersion": "1.8.0"})
    for n, place in enumerate(("sub-01/ses-a", "sub-01/ses-b", "sub-02")):
        stem = place.replace("/", "_")
        for m, name in enumerate(("FLAIR", "T1w", "ce-gad_T1w")):
            scan(folder / place / "anat" / f"{stem}_{name}.nii.gz", 10 * n + m)
        derived = folder / "derivatives" / "hand" / place / "anat"
        if place != "sub-02":
            label_map(derived / f"{stem}_label-lesion_mask.nii.gz", 1)
        label_map(derived / f"{stem}_space-MNI152NLin2009cAsym_label-lesion_mask.nii.gz", 1)
    return folder
