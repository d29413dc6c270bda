"""`apprentice runs`, `split` and `models`: what was trained, who is measured on, and which version counts."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import study as small_study
from learn.small import make_plan
from napari_apprentice.cli import main
from napari_apprentice.core.config import PredictSettings, TrainSettings, first_model_settings
from napari_apprentice.core.gate import CaseScore, judge
from napari_apprentice.core.records import ModelVersion, Provenance, now
from napari_apprentice.errors import RunError, StudyError
from napari_apprentice.loop.ensembles import settled
from napari_apprentice.loop.tuning import begin_training, resumable_training, running_training
from napari_apprentice.session import Session
from napari_apprentice.store.study import Study


def _run(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    code = main([*map(str, arguments), "--json"])
    facts: dict[str, Any] = json.loads(capsys.readouterr().out)
    return {"code": code, **facts}


def _text(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    main([*map(str, arguments)])
    return capsys.readouterr().out


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A first version, and a candidate that the gate refused."""
    made = small_study(tmp_path, 3)
    (tmp_path / "w").write_bytes(b"w")
    first = ModelVersion("v0001", None, now(), make_plan(), made.schema, ("c1/r0001",), (), None, {}, 0, {}, "")
    made.models.register(first, tmp_path / "w")
    made.models.activate("v0001", "first model version")
    before, after = ([CaseScore(f"c{i}/r0001", 1, d, False, f"s{i}") for i in (2, 3)] for d in (0.8, 0.7))
    sure = {"temperature": 1.3, "ece_before": 0.05, "ece_after": 0.02, "subjects": 2}
    candidate = replace(
        first, name="v0002", parent="v0001", gate=judge(before, after, {1: "one"}), temperature=1.3,
        metrics={"calibration": sure},
    )  # fmt: skip
    made.models.register(candidate, tmp_path / "w")
    return made


def test_what_is_damaged_is_told_and_keeps_nobody_from_the_rest(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = TrainSettings(steps=9)
    old = study.runs.create("fine-tune", {"base": "v0001", "settings": settings.to_json()})
    (old.path / "run.json").write_bytes(b"")
    (study.models.root / "v0002" / "model.json").write_bytes(b"")
    (row,) = _run(capsys, "runs", study.path)["runs"]
    assert (row["kind"], row["state"]) == ("fine-tune", "damaged")
    assert "run.json is damaged" in row["verdict"]
    assert running_training(study) is resumable_training(study) is None
    assert begin_training(study, "fine-tune", settings).request["base"] == "v0001"
    models = _run(capsys, "models", study.path)["models"]
    assert [(m["name"], m["active"], "damaged" in m["verdict"]) for m in models] == [
        ("v0001", True, False), ("v0002", False, True),
    ]  # fmt: skip
    study.split.assign("s1")
    assert _run(capsys, "split", study.path)["subjects"][0]["learned"] == ["v0001"]
    assert settled(study, "v0001", PredictSettings(quality="best")).members == ()
    assert main(["history", str(study.path), "c1"]) == 0
    capsys.readouterr()
    study.models.activate("v0002", "chosen by hand")
    active = next(m for m in _run(capsys, "models", study.path)["models"] if m["active"])
    assert (active["name"], active["verdict"][:7]) == ("v0002", "damaged")
    with pytest.raises(StudyError, match=r"v0002/model\.json is damaged"):
        begin_training(study, "fine-tune", settings)


def test_a_fine_tune_that_would_do_the_newest_one_over_says_so_before_it_begins(
    study: Study, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.ones(study.cases.info("c1").shape, np.uint8)
    study.revisions.save("c1", labels, labels, Provenance("ann"))
    run = study.runs.create("fine-tune", {"base": "v0001", "settings": TrainSettings(steps=9).to_json()})
    run.note({
        "plan": make_plan().to_json(), "revisions": [{"revision": "c1/r0001", "side": "train"}], "left_out": {},
        "schema": study.schema.to_json(), "retired": [], "libraries": {"torch": "2"},
    })  # fmt: skip
    run.emit({"event": "done", "result": {"model": "v0002"}})

    def begins(*_: object) -> None:
        raise RunError("It begins.")

    monkeypatch.setattr(Session, "begin_training", begins)
    assert main(["fine-tune", str(study.path)]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("v0002 has learned from all saved corrections already")
    assert "It begins." in second


def test_runs_are_listed_and_compared(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Nothing was trained" in _text(capsys, "runs", study.path)
    gate = study.models.info("v0002").gate
    assert gate is not None
    first = study.runs.create("train", {"base": None, "settings": first_model_settings(50).to_json()})
    first.emit({"event": "started", "pid": 1, "born": 0.0})
    first.emit({"event": "progress", "done": 20, "total": 50, "text": "Training", "loss": 1.0})
    first.emit({"event": "cancelled"})
    tuned = study.runs.create("fine-tune", {"base": "v0001", "settings": TrainSettings(steps=9, rate=0.01).to_json()})
    result = {"model": "v0002", "active": False, "gate": gate.to_json(), "steps": 9, "seconds": 3.2, "device": "CPU"}
    tuned.emit({"event": "started", "pid": 1, "born": 0.0})
    tuned.emit({"event": "done", "result": result})
    older = {k: v for k, v in TrainSettings(steps=9).to_json().items() if k not in ("optimiser", "momentum")}
    killed = study.runs.create("fine-tune", {"base": "v0001", "settings": older})
    killed.emit({"event": "started", "pid": 1, "born": 0.0})
    study.runs.create("predict", {"cases": ["c1"]})
    facts = _run(capsys, "runs", study.path)
    by_id = {r["run"]: r for r in facts["runs"]}
    assert set(by_id) == {first.run_id, tuned.run_id, killed.run_id}
    assert (by_id[first.run_id]["state"], by_id[first.run_id]["steps"]) == ("cancelled", 20)
    assert by_id[killed.run_id]["state"] == "killed"
    assert by_id[killed.run_id]["settings"] == {"momentum": 0.99, "steps": 9}
    row = by_id[tuned.run_id]
    assert (row["state"], row["steps"], row["device"], row["model"], row["active"]) == (
        "done",
        9,
        "CPU",
        "v0002",
        False,
    )
    assert (row["before"], row["after"]) == pytest.approx((0.8, 0.7))
    assert row["settings"] == {"steps": 9, "rate": 0.01}
    assert facts["differing"]["rate"][tuned.run_id] == 0.01
    assert len(_run(capsys, "runs", study.path, "--all")["runs"]) == 4
    text = _text(capsys, "runs", study.path)
    assert "unlike the recipe: rate 0.01" in text
    assert "Dice 0.800 to 0.700  v0002 (candidate)" in text


def test_only_one_run_made_the_model_version_that_is_active(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    for kind, model, active in (("train", "v0001", True), ("fine-tune", "v0002", False)):
        run = study.runs.create(kind, {"base": None, "settings": TrainSettings(steps=9).to_json()})
        run.emit({"event": "done", "result": {"model": model, "active": active, "steps": 9}})
    assert "v0001 (active)" in (before := _text(capsys, "runs", study.path))
    assert "v0002 (candidate)" in before
    study.models.activate("v0002", "chosen by hand")
    assert "v0001 (became active)" in (after := _text(capsys, "runs", study.path))
    assert "v0002 (active)" in after


def test_a_subject_is_moved_with_a_reason(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    for n in (1, 2, 3):
        study.split.assign(f"s{n}")
    assert "Say why" in _run(capsys, "split", study.path, "--move", "s1", "validation")["text"]
    facts = _run(
        capsys, "split", study.path, "--move", "s1", "validation", "--why", "same person as s3", "--author", "ann"
    )
    row = facts["subjects"][0]
    assert (row["subject"], row["side"], row["learned"]) == ("s1", "validation", ["v0001", "v0002"])
    assert (row["moves"][0]["author"], row["moves"][0]["reason"]) == ("ann", "same person as s3")
    assert row["moves"][0]["time"]
    text = _text(capsys, "split", study.path)
    assert "s1  validation  c1; cannot judge v0001, v0002, which learned from it" in text
    assert "moved to validation by ann" in text
    assert _run(capsys, "split", study.path, "--move", "s9", "train", "--why", "x")["code"] == 1
    assert _run(capsys, "split", study.path, "--why", "x")["code"] == 1


def test_models_are_shown_chosen_noted_and_left_again(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert "did not pass the gate" in _run(capsys, "models", study.path, "--activate", "v0002")["text"]
    facts = _run(capsys, "models", study.path, "--activate", "v0002", "--why", "better at edges", "--author", "bob")
    row = facts["models"][1]
    assert (row["active"], row["passed"], row["overruled"]) == (True, False, "bob: better at edges")
    assert [m["active"] for m in _run(capsys, "models", study.path, "--back")["models"]] == [True, False]
    assert _run(capsys, "models", study.path, "--note", "v0002", "thin slices")["models"][1]["note"] == "thin slices"
    assert "Dice 0.800 to 0.700" in _text(capsys, "models", study.path)
    shown = _run(capsys, "models", study.path, "--show", "v0002")
    assert [a["name"] for a in shown["lineage"]] == ["v0002", "v0001"]
    assert shown["gate"]["totals"][0]["high"] == pytest.approx(-0.1)
    text = _text(capsys, "models", study.path, "--show", "v0002")
    assert "corrections | one | 2 | 2 | 0.800 | 0.700 | -0.100 | -0.100 to -0.100" in text
    assert "Temperature 1.3; calibration error 0.0500 before, 0.0200 with it." in text
    assert "better at edges" in text


def test_what_is_handed_on_tells_how_sure_it_is_and_names_nobody(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert _run(capsys, "export-model", study.path, "v0002", out)["code"] == 0
    card, document = (out / "README.md").read_text(), (out / "model.json").read_text()
    assert "| all | corrections | 2 | 0.800 | 0.700 | -0.100 to -0.100 |" in card
    assert "about 50 of 100 held the truth" in card
    assert "divided by 1.3 (temperature scaling)" in card
    assert "c2/r0001" not in card + document
    assert json.loads(document)["temperature"] == 1.3
