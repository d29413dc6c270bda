import json
import shutil

import numpy as np

from builders import SHAPE, study
from faults import finish, sentences
from learn.small import make_plan
from napari_apprentice.core.correction import Stroke
from napari_apprentice.core.gate import GateReport
from napari_apprentice.core.records import ModelVersion, Prediction, Provenance, now
from napari_apprentice.store.check import check
from napari_apprentice.store.models import Models


def _full(tmp_path):
    made = study(tmp_path, 2)
    zeros = np.zeros(SHAPE, np.uint8)
    made.revisions.save("c1", zeros, zeros, Provenance("a"))
    made.predictions.write("c1", "v0001", Prediction(zeros, zeros, {}))
    made.journal.start("c2", None, None)
    made.journal.append("c2", Stroke((0, 0, 0), zeros, zeros + 1, zeros, zeros + 2))
    made.split.assign("s1")
    made.runs.create("train", {}).emit({"failed": "killed"})
    return made


def test_a_sound_study_has_no_faults_and_reports_progress(tmp_path):
    made = _full(tmp_path)
    (made.cases.root / ".c9.deadbeef.aside").mkdir()
    reports = list(check(made.path))
    assert reports[-1].done == reports[-1].total == len(reports) - 1
    assert finish(check(made.path)) == ()


def test_what_is_no_study_is_one_sentence(tmp_path):
    (sentence,) = sentences(check(tmp_path))
    assert "no study" in sentence


def test_each_fault_is_a_sentence(tmp_path):
    made = _full(tmp_path)
    document = made.cases.root / "c1" / "image" / "labels" / "r0001" / "zarr.json"
    group = json.loads(document.read_text())
    group["attributes"]["apprentice"]["digest"] = "0"
    document.write_text(json.dumps(group))
    (made.cases.root / "c2" / "image" / "zarr.json").write_text("{")
    (made.path / "split.jsonl").write_text("x\n")
    run = made.runs.open(made.runs.ids()[0])
    (run.path / "run.json").write_text("x")
    faults = sentences(check(made.path))
    assert all(f.endswith(".") for f in faults)
    for words in ("c1/r0001", "image/zarr.json", "split.jsonl", run.run_id):
        assert any(words in f for f in faults), words


def test_a_candidate_that_was_predicted_with_needs_no_active_model_version(tmp_path):
    made = study(tmp_path)
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"weights")
    zeros = np.zeros(SHAPE, np.uint8)
    for name, passed, faults in (("v0001", False, 0), ("v0002", True, 1)):
        verdict = GateReport((), passed, "a test")
        version = ModelVersion(name, None, now(), make_plan(), made.schema, (), (), verdict, {}, 0, {}, "")
        made.models.register(version, weights)
        made.predictions.write("c1", name, Prediction(zeros, zeros, {}))
        assert len([f for f in sentences(check(made.path)) if "No model version is active" in f]) == faults


def test_a_journal_without_its_case_or_outside_its_grid_is_told(tmp_path):
    made = _full(tmp_path)
    one = np.zeros((1, 1, 1), np.uint8)
    made.journal.append("c2", Stroke((99, 0, 0), one, one, one, one))
    made.journal.start("ghost", None, None)
    faults = sentences(check(made.path))
    assert len(faults) == 2


def test_a_damaged_model_version_or_case_hides_no_fault_of_the_split(tmp_path):
    made = study(tmp_path, 3)
    for n in (1, 2, 3):
        made.split.assign(f"s{n}")
    (tmp_path / "w").write_bytes(b"weights")
    for name, revisions in (("v0001", ("c2/r0001",)), ("v0002", ())):
        version = ModelVersion(name, None, now(), make_plan(), made.schema, revisions, (), None, {}, 0, {}, "")
        made.models.register(version, tmp_path / "w")
    shutil.rmtree(made.cases.root / "c2")
    (made.models.root / "v0002" / "model.json").write_text("{")
    gone = "Case c2 is missing, although a model version learned from it."
    lost = "Subject s2 has a side, but no case is of it: a case is missing."
    assert {gone, lost} <= set(sentences(check(made.path)))
    (made.cases.root / "c3" / "image" / "zarr.json").write_text("{")
    faults = sentences(check(made.path))
    assert gone in faults
    assert not [f for f in faults if f.startswith("Subject ")]  # s2 may be whose the damaged case is


def test_a_case_that_is_corrected_while_the_split_is_checked_is_no_fault(tmp_path, monkeypatch):
    made, zeros, readable = _full(tmp_path), np.zeros(SHAPE, np.uint8), Models.readable

    def meanwhile(models):
        if not made.revisions.names("c2"):
            made.split.assign("s2")
            made.revisions.save("c2", zeros, zeros, Provenance("b"))
        return readable(models)

    monkeypatch.setattr(Models, "readable", meanwhile)
    assert finish(check(made.path)) == ()
