"""`apprentice postprocess`: choose, learn, apply."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import SHAPE, volume
from napari_apprentice.cli import main
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.records import Prediction, Provenance
from napari_apprentice.store.study import Study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Four corrected cases, two of them held out; in each prediction the liver has an island."""
    made = Study.create(tmp_path / "test.study", LabelSchema.from_names(["liver", "cyst"]))
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:5, 1:6, 1:6] = 1
    for n in range(4):
        case = f"c{n}"
        made.cases.add(case, f"s{n}", volume(n, f"{case}.nii.gz"))
        made.split.assign(f"s{n}", side="validation" if n > 1 else "train")
        made.revisions.save(case, labels, np.ones(SHAPE, np.uint8), Provenance("ann"))
        predicted = labels.copy()
        predicted[0, 0, 8:] = 1
        made.predictions.write(case, "v0001", Prediction(predicted, np.zeros(SHAPE, np.uint8), {1: 0.9}))
    return made


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    code = main(["postprocess", *map(str, arguments), "--json"])
    facts: dict[str, Any] = json.loads(capsys.readouterr().out)
    return {"code": code, **facts}


def test_steps_are_set_by_name_or_number_and_taken_back(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, study.path)["steps"] == {}
    given = run(capsys, study.path, "--set", "Liver=holes,largest", "--set", "2=islands:50", "--author", "ann")
    assert given["steps"] == {"1": ["largest", "holes"], "2": ["islands:50"]}
    assert run(capsys, study.path, "--set", "liver=none")["steps"] == {"2": ["islands:50"]}
    assert run(capsys, study.path, "--clear")["steps"] == {}
    assert main(["postprocess", str(study.path)]) == 0
    assert capsys.readouterr().out == "This study has no post-processing steps.\n"


@pytest.mark.parametrize("wrong", ["liver", "spleen=largest", "liver=lagest", "3=largest"])
def test_what_names_no_label_or_step_is_refused(study: Study, capsys: pytest.CaptureFixture[str], wrong: str) -> None:
    answer = run(capsys, study.path, "--set", wrong)
    assert (answer["code"], answer["error"]) == (1, "InputError")
    assert run(capsys, study.path)["steps"] == {}


def test_suggesting_shows_taking_keeps_applying_changes(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["postprocess", str(study.path), "--suggest", "--model", "v0001"]) == 0
    told = capsys.readouterr().out
    assert "liver: largest, held-out Dice 0.990 -> 1.000; proved" in told
    assert "cyst: nothing; refused" in told
    assert run(capsys, study.path)["steps"] == {}
    taken = run(capsys, study.path, "--take", "--apply", "--model", "v0001")
    assert taken["steps"] == {"1": ["largest"]}
    assert taken["suggested"]["labels"][0]["accepted"]
    assert taken["applied"] == ["c0", "c1", "c2", "c3"]
    assert study.predictions.read("c0", "v0001").labels[0, 0, 8] == 0
    assert run(capsys, study.path, "--apply", "--model", "v0001")["applied"] == []
    assert run(capsys, study.path, "--clear", "--apply", "--model", "v0001")["applied"] == ["c0", "c1", "c2", "c3"]
    assert study.predictions.read("c0", "v0001").labels[0, 0, 8] == 1


def test_taking_what_is_proved_keeps_the_threshold_of_the_label(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, study.path, "--set", "liver=threshold:0.7,holes", "--set", "cyst=threshold:0.6")
    taken = run(capsys, study.path, "--take", "--model", "v0001")
    assert taken["steps"] == {"1": ["threshold:0.7", "largest"], "2": ["threshold:0.6"]}


def test_a_damaged_prediction_keeps_no_other_from_the_steps(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    (study.cases.folder("c1") / "predictions" / "v0001" / "zarr.json").write_text("{}")
    answer = run(capsys, study.path, "--set", "liver=largest", "--apply", "--model", "v0001")
    assert answer["code"] == 1
    assert "1 of 4 stored predictions" in answer["text"]
    assert "prediction of c1 by v0001 is damaged; predict it again" in answer["text"]
    for case_id in ("c0", "c2", "c3"):
        assert study.predictions.read(case_id, "v0001").labels[0, 0, 8] == 0


def test_damaged_cases_keep_nobody_from_steps_and_are_told(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    for case_id in ("c4", "c5"):
        study.cases.add(case_id, case_id, volume(4, f"{case_id}.nii.gz"))
        study.split.assign(case_id, side="train")
        study.revisions.save(case_id, *study.revisions.read("c0", "r0001"), Provenance("ann"))
        study.predictions.write(case_id, "v0001", study.predictions.read("c0", "v0001"))
    (study.cases.folder("c1") / "predictions" / "v0001" / "zarr.json").write_text("{}")
    (study.cases.folder("c4") / "image" / "labels" / "r0001" / "zarr.json").write_text("{}")
    (study.cases.folder("c5") / "image" / "zarr.json").write_text("{}")
    answer = run(capsys, study.path, "--suggest", "--model", "v0001")
    assert (answer["code"], answer["suggested"]["steps"]) == (0, {"1": ["largest"]})
    assert (answer["suggested"]["learning"], answer["suggested"]["held_out"]) == (1, 2)
    for case_id, text in zip(("c1", "c4", "c5"), answer["suggested"]["damaged"], strict=True):
        assert case_id in text


def test_steps_are_not_applied_to_a_model_version_that_is_not_there(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = run(capsys, study.path, "--apply", "--model", "v0010")
    assert (answer["code"], answer["error"]) == (1, "ModelError")
    assert "no model version 'v0010'" in answer["text"]
