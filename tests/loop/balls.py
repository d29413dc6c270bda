"""A study of small scans that a network learns within seconds: two bright balls, one per label, in noise."""

import shutil
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from builders import template_folder
from learn.small import make_example, make_plan
from napari_apprentice.core.config import TrainSettings
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import Provenance
from napari_apprentice.core.volume import LabelArray, Volume
from napari_apprentice.loop.tuning import begin_training
from napari_apprentice.loop.worker_train import train
from napari_apprentice.store.study import Study
from networks import add_version

SHAPE = (16, 18, 20)


def ball_study(folder: Path, subjects: int = 3, validation: tuple[int, ...] = (3,)) -> Study:
    """Cases c1, c2 ... of subjects s1, s2 ..., all accepted as they are."""
    return Study.open(Path(shutil.copytree(_balls(subjects, validation), folder / "balls.study")))


@cache
def _balls(subjects: int, validation: tuple[int, ...]) -> Path:
    made = Study.create(template_folder() / "balls.study", LabelSchema.from_names(["one", "two"]))
    for n in range(1, subjects + 1):
        made.split.assign(f"s{n}", side="validation" if n in validation else "train")
        add_case(made, n)
    return made.path


def modelled_study(folder: Path) -> Study:
    """Two subjects to learn from, one held out, and an active model version for scans of one channel."""
    made = ball_study(folder)
    add_version(made, "v0001", make_plan(), seed=1)
    made.models.activate("v0001", "made by hand")
    return made


def add_case(study: Study, n: int, subject: str = "", *, bright: float = 1.0) -> None:
    """Another case, corrected."""
    example = make_example(n, SHAPE)
    geometry = Geometry.from_source(SHAPE[::-1], np.diag([-1.0, -1.0, 1.0, 1.0]))
    study.cases.add(
        f"c{n}", subject or f"s{n}", Volume(example.voxels * bright, geometry, ("MR",), f"c{n}.nii.gz", f"{n:064d}")
    )
    revise(study, n)


def revise(study: Study, n: int, labels: LabelArray | None = None) -> None:
    """A new revision of a case, by default of the truth."""
    truth = make_example(n, SHAPE).labels if labels is None else labels
    study.revisions.save(f"c{n}", truth, np.ones_like(truth), Provenance("ann"))


def trained(study: Study, kind: str, settings: TrainSettings) -> dict[str, Any]:
    """A whole training run in this process; what it says at its end."""
    run = begin_training(study, kind, settings, memory_mb=20.0, features=4)
    work: Generator[Progress, None, dict[str, Any]] = train(run)
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: dict[str, Any] = end.value
            return result
