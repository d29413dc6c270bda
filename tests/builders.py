"""Small scans and studies that tests build: those on disk once, to be copied, which takes a tenth of the time."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.volume import Volume
from napari_apprentice.store.study import Study

SHAPE = (6, 8, 10)  # (z, y, x)
OBLIQUE = np.array([[-0.9, 0.1, 0.0, 5.0], [0.1, 1.1, 0.2, -3.0], [0.0, -0.2, 2.5, 8.0], [0.0, 0.0, 0.0, 1.0]])


def volume(seed: int = 0, name: str = "scan.nii.gz") -> Volume:
    """A one-channel scan of random int16 voxels on an oblique grid."""
    z, y, x = SHAPE
    geometry = Geometry.from_source((x, y, z), OBLIQUE)
    voxels = np.random.default_rng(seed).integers(-50, 200, (1, *geometry.shape)).astype(np.int16)
    return Volume(voxels, geometry, ("MR",), name, "0" * 64)


def template_folder() -> Path:
    """A new folder for a study to be copied, until this process ends."""
    folder = tempfile.mkdtemp(prefix="apprentice-template-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def study(folder: Path, cases: int = 1) -> Study:
    """A study of labels one and two with cases c1, c2 ..."""
    made = Study.create(folder / "test.study", LabelSchema.from_names(["one", "two"]))  # each is another one
    shutil.copytree(_cases(cases), made.cases.root, dirs_exist_ok=True)
    return made


@cache
def _cases(count: int) -> Path:
    made = Study.create(template_folder() / "a.study", LabelSchema.from_names(["one", "two"]))
    for i in range(1, count + 1):
        made.cases.add(f"c{i}", f"s{i}", volume(i, f"c{i}.nii.gz"))
    return made.cases.root


def write_nifti(path: Path, voxels: np.ndarray, affine: np.ndarray = OBLIQUE) -> Path:
    """Voxels in the file's own (i, j, k) order as a NIfTI file."""
    image = nib.Nifti1Image(voxels, affine)
    image.set_sform(affine, code=1)
    nib.save(image, path)
    return path
