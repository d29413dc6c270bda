"""A model version and predictions made by hand, so that a window test needs no network."""

from pathlib import Path

import numpy as np

from napari_apprentice.core.plan import Normalisation, Plan
from napari_apprentice.core.records import ModelVersion, Prediction, now
from napari_apprentice.store.study import Study

ONES = (1, 1, 1)


def add_model(study: Study, folder: Path, name: str = "v0001", *, active: bool = True) -> None:
    """Register a model version whose weights are never read, and make it active."""
    plan = Plan((1.0, 1.0, 1.0), (8, 8, 8), (ONES,), (ONES,), (4,), 2, (Normalisation("zscore"),), (1, 2))
    weights = folder / "w.safetensors"
    weights.write_bytes(b"none")
    study.models.register(ModelVersion(name, None, now(), plan, study.schema, (), (), None, {}, 0, {}, ""), weights)
    if active:
        study.models.activate(name, "made by hand")


def add_prediction(study: Study, case_id: str, label: int, name: str = "v0001") -> None:
    """Predict one label everywhere."""
    shape = study.cases.info(case_id).shape
    labels = np.full(shape, label, np.uint8)
    study.predictions.write(case_id, name, Prediction(labels, np.zeros(shape, np.uint8), {label: 0.5}, 0.1, "by hand"))
