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
