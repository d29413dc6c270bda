"""The case table: what each row says of its case."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from builders import SHAPE, volume
from napari_apprentice.core.records import Prediction
from napari_apprentice.loop.rows import case_rows
from napari_apprentice.session import Session
from napari_apprentice.store.study import Study
from sound_study import sound_study


def predict(study: Study, case_id: str, model: str, quality: dict[int, float]) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    study.predictions.write(case_id, model, Prediction(labels, labels, quality, 1.0, "cpu"))


def test_a_case_that_a_new_model_version_has_not_predicted_says_what_the_one_before_told(tmp_path: Path) -> None:
    study = Study.open(sound_study(tmp_path / "a.study"))
    for case_id, quality in (("easy", {1: 0.9}), ("hard", {1: 0.25, 2: 0.5}), ("none", {})):
        study.cases.add(case_id, case_id, volume(3, f"{case_id}.nii.gz"))
        predict(study, case_id, "v0001", quality)
    study.models.register(replace(study.models.info("v0001"), name="v0002"), study.models.weights("v0001"))
    study.models.activate("v0002", "better")
    rows = {row.case_id: row for row in case_rows(study)}
    assert {c: (rows[c].earlier, rows[c].earlier_quality) for c in ("easy", "hard", "none")} == {
        "easy": ("v0001", 0.9), "hard": ("v0001", 0.375), "none": ("v0001", None),
    }  # fmt: skip
    session = Session(author="ann")
    session.open_study(study.path)
    assert [item.case_id for item in session.queue() if item.case_id in rows and rows[item.case_id].earlier] == [
        "none", "hard", "easy",
    ]  # fmt: skip
    for record in study.path.rglob("hard/predictions/v0001/**/*.json"):
        record.write_text("{")
    damaged = next(row for row in case_rows(study) if row.case_id == "hard")
    assert (damaged.state, damaged.earlier) == ("unseen", "")
