"""A small study with everything in it that a study can hold.

`python tests/sound_study.py FILE.zip` keeps one as it is written today, encrypted where APPRENTICE_KEY is set;
tests/store/layouts holds such files, and what is there is never changed: every later version must read it.
"""

import os
import shutil
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np

from builders import SHAPE, template_folder, volume
from napari_apprentice.core.correction import Canvas
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.plan import Normalisation, Plan
from napari_apprentice.core.records import ModelVersion, Prediction, Provenance
from napari_apprentice.core.volume import Volume
from napari_apprentice.store.keys import VARIABLE
from napari_apprentice.store.study import Study

LONG = (3, 4, 70)  # (z, y, x); long enough for a second level
BOX = (slice(1, 3), slice(2, 5), slice(2, 6))


def sound_study(path: Path, *, encrypted: bool = False) -> Path:
    """Two cases; c1 has two revisions, a prediction and strokes, c2 a second level and strokes since no revision.

    In an encrypted study they are called case-0001 and case-0002.
    """
    return Path(shutil.copytree(_template(encrypted, os.environ.get(VARIABLE)), path))


@cache
def _template(encrypted: bool, key: str | None) -> Path:  # noqa: ARG001 - the key that it is encrypted with
    path = template_folder() / "sound.study"
    study = Study.create(path, LabelSchema.from_names(["one", "two"]), "A sound study", encrypted=encrypted)
    c1, c2 = ("case-0001", "case-0002") if encrypted else ("c1", "c2")
    study.cases.add(c1, "s1", volume(1, "c1.nii.gz"))
    study.cases.add(c2, "s2", _long())
    _predict(study, c1, c2)
    for author, value in (("Ada", 1), ("Bo", 2)):
        _revise(study, c1, author, value)
    _draw(study, c1, "r0002", "v0001", SHAPE)
    _draw(study, c2, None, None, LONG)
    for subject in ("s1", "s2"):
        study.split.assign(subject)
    study.runs.create("train", {"steps": 3}).emit({"step": 1})
    return study.path


def _long() -> Volume:
    z, y, x = LONG
    geometry = Geometry.from_source((x, y, z), np.diag([1.0, 1.0, 3.0, 1.0]))
    voxels = np.random.default_rng(2).integers(0, 9, (1, *geometry.shape)).astype(np.uint8)
    return Volume(voxels, geometry, ("CT",), "c2.nii.gz", "1" * 64, modality="CT")


def _predict(study: Study, c1: str, c2: str) -> None:
    plan = Plan((1.0, 1.0, 1.0), (8, 8, 8), ((1, 1, 1),), ((3, 3, 3),), (4,), 2, (Normalisation("zscore"),), (1,))
    version = ModelVersion(
        "v0001", None, "2026-01-01T00:00:00+00:00", plan, study.schema, (f"{c1}/r0001",), (f"{c2}/r0001",), None,
        {"steps": 3}, 7, {"numpy": "2"}, "",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights"
        weights.write_bytes(b"no weights, only bytes" * 20)
        study.models.register(version, weights)
    study.models.activate("v0001", "the first one")
    random = np.random.default_rng(3)
    labels, uncertainty = (random.integers(0, 3, SHAPE).astype(np.uint8) for _ in range(2))
    study.predictions.write(c1, "v0001", Prediction(labels, uncertainty, {1: 0.5, 2: 0.75}, 1.5, "cpu"))


def _revise(study: Study, case_id: str, author: str, value: int) -> None:
    labels, status = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    labels[value], status[value], status[4] = value, 2, 1
    parent = "r0001" if value == 2 else None
    changed = {str(value): int(np.count_nonzero(labels))}
    study.revisions.save(case_id, labels, status, Provenance(author, parent, "v0001", 12.5, 3, changed))


def _draw(study: Study, case_id: str, parent: str | None, model: str | None, shape: tuple[int, ...]) -> None:
    canvas = Canvas(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))
    study.journal.start(case_id, parent, model)
    for value in (1, 2):
        stroke = canvas.paint(BOX, np.full(canvas.labels[BOX].shape, value, np.uint8), seconds=2.0)
        if stroke is not None:
            study.journal.append(case_id, stroke)


def _keep(target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        path = sound_study(Path(folder) / "sound.study", encrypted="APPRENTICE_KEY" in os.environ)
        for found in sorted(path.rglob("*")):
            file.write(found, found.relative_to(path))


if __name__ == "__main__":
    _keep(Path(sys.argv[1]))
