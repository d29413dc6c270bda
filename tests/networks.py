"""A study with scans of some size and a network of random weights, which needs no training to make label maps."""

from pathlib import Path

import numpy as np
import torch

from learn.small import make_plan
from napari_apprentice.core.ensemble import FAMILY
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.plan import Plan
from napari_apprentice.core.records import ModelVersion, now
from napari_apprentice.core.volume import Volume
from napari_apprentice.learn import weights
from napari_apprentice.learn.network import build
from napari_apprentice.store.study import Study

MODEL = "v0001"


def networked_study(
    folder: Path, cases: int = 4, shape: tuple[int, int, int] = (14, 40, 36), features: int = 4
) -> Study:
    """Cases c1, c2 ... of random smooth voxels, anisotropic, and an active model version of two labels."""
    made = Study.create(folder / "cohort.study", LabelSchema.from_names(["one", "two"]))
    geometry = Geometry.from_source(shape[::-1], np.diag([-0.8, -0.8, 2.0, 1.0]))
    for i in range(1, cases + 1):
        voxels = np.random.default_rng(i).normal(0, 100, (1, *shape)).cumsum(3).astype(np.float32)
        made.cases.add(f"c{i}", f"s{i}", Volume(voxels, geometry, ("MR",), f"c{i}.nii.gz", "0" * 64))
    plan = make_plan(patch=(8, 16, 16), spacing=(2.0, 1.0, 1.0), features=features)
    add_version(made, MODEL, plan, seed=3)
    made.models.activate(MODEL, "made by hand")
    return made


def add_version(
    study: Study, name: str, plan: Plan, seed: int, family: str = "", temperature: float = 1.0,
    channels: tuple[str, ...] = (),
) -> None:  # fmt: skip
    """Register random weights; `family` says of which model they are a fold."""
    torch.manual_seed(seed)
    path = study.path.parent / f"{name}.safetensors"
    weights.save(build(plan), path)
    origin = {FAMILY: family} if family else {}
    made = ModelVersion(
        name, None, now(), plan, study.schema, (), (), None, {}, 0, {}, "", origin=origin, temperature=temperature,
        channels=channels,
    )  # fmt: skip
    study.models.register(made, path)
