"""check, repair, history and export-audit on the command line."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import SHAPE
from builders import study as make_study
from napari_apprentice.cli import main
from napari_apprentice.cli_care import in_short
from napari_apprentice.core.correction import EDITED
from napari_apprentice.core.labels import Label, LabelSchema
from napari_apprentice.core.records import Provenance
from napari_apprentice.loop.opening import load_case
from napari_apprentice.scans.reader import read_label_map
from napari_apprentice.store.finding import Finding
from napari_apprentice.store.study import Study
from sound_study import sound_study


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return sound_study(tmp_path / "a.study")


def _run(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    code = main([*map(str, arguments), "--json"])
    facts: dict[str, Any] = json.loads(capsys.readouterr().out)
    return {"code": code, **facts}


def test_repair_says_what_it_did_and_what_is_left(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = study / "journal" / "c2" / "strokes.bin"
    journal.write_bytes(journal.read_bytes()[:-3])
    facts = _run(capsys, "repair", study)
    assert (facts["code"], facts["problems"]) == (0, [])
    assert "keeps its first 1 strokes" in facts["done"][0]
    assert main(["repair", str(study)]) == 0
    assert "nothing to mend" in capsys.readouterr().out
    (study / "cases.zarr/c1/image/labels/r0001/zarr.json").write_text("{")
    assert main(["repair", str(study)]) == 1
    assert "Still wrong:" in capsys.readouterr().out
    assert _run(capsys, "check", study)["code"] == 1


def test_many_damaged_parts_of_a_case_are_one_line(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened = Study.open(study)
    nothing = np.zeros(opened.cases.info("c2").shape, np.uint8)
    for _ in range(4):
        opened.revisions.save("c2", nothing, nothing, Provenance("ann"))
    for document in (study / "cases.zarr/c2/image/labels").glob("r*/zarr.json"):
        document.write_text("{")
    (study / "cases.zarr/c1/image/labels/r0001/zarr.json").write_text("{")
    assert main(["check", str(study)]) == 1
    said = capsys.readouterr().out
    assert sum("c2/image/labels/r0" in line for line in said.splitlines()) == 1
    assert "(4 such: r0001, r0002, r0003 ...)" in said
    assert "c1/image/labels/r0001" in said
    assert len([p for p in _run(capsys, "check", study)["problems"] if "c2/image/labels/r0" in p]) == 4
    assert main(["repair", str(study)]) == 1
    assert "(4 such: r0001, r0002, r0003 ...)" in capsys.readouterr().out.partition("Still wrong:")[2]


def test_of_many_alike_that_is_named_in_which_they_differ_and_cases_stay_apart() -> None:
    names = [f"r{n:04d}" for n in range(1, 5)]
    damaged = [Finding(f"r2024001/{name} is damaged.", "r2024001", name) for name in names]
    other = [Finding(f"r202400{n}/r0001 is damaged.", f"r202400{n}", "r0001") for n in range(2, 7)]
    lines = [Finding(f"split.jsonl is damaged in line {n}.", "split.jsonl", f"line {n}") for n in (9, 10, 11, 12)]
    few = [Finding(f"Revision c1/{name} is missing.", "c1", name) for name in names[:3]]
    assert in_short([*damaged, *other, *lines, *few]) == [
        "r2024001/r0001 is damaged. (4 such: r0001, r0002, r0003 ...)",
        *(found.text for found in other),
        "split.jsonl is damaged in line 9. (4 such: line 9, line 10, line 11 ...)",
        *(found.text for found in few),
    ]


def test_history_names_people_models_and_labels(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", str(study), "c1"]) == 0
    told = capsys.readouterr().out
    for words in ("r0001", "Ada", "prediction of v0001", "changed: one 80", "learned by v0001", "not saved yet"):
        assert words in told
    assert [row["author"] for row in _run(capsys, "history", study, "c1")["history"]] == ["Ada", "Bo", ""]
    assert _run(capsys, "history", study, "c9")["code"] == 1


def test_history_says_what_a_merge_goes_back_to(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = Provenance("Cy", "r0002", None, strokes=1, origin="merge", merged=("r0001",))
    Study.open(study).revisions.save("c1", np.ones(SHAPE, np.uint8), np.ones(SHAPE, np.uint8), made)
    assert main(["history", str(study), "c1"]) == 0
    told = capsys.readouterr().out
    assert "Cy  merge, from r0002 and r0001\n    1 stroke, 0 s" in told


def test_an_earlier_revision_comes_back_where_the_newest_is_damaged(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    voxels = next(p for p in (study / "cases.zarr/c1/image/labels/r0002/0").rglob("c/**/*") if p.is_file())
    voxels.write_bytes(voxels.read_bytes()[:-1] + b"\xff")
    assert _run(capsys, "restore", study, "c1", "r0001")["code"] == 1, "strokes that are on it are in the way"
    assert "c1 was drawn on revision r0002, which is missing or damaged" in _run(capsys, "repair", study)["done"][0]
    facts = _run(capsys, "restore", study, "c1", "r0001", "--author", "Cy")
    assert (facts["code"], facts["revision"]) == (0, "r0003")
    assert load_case(Study.open(study), "c1").parent == "r0003"
    assert [row["author"] for row in _run(capsys, "history", study, "c1")["history"]] == ["Ada", "Bo", "Cy"]


def test_what_is_damaged_hides_no_other_revision_and_no_other_case(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (study / "cases.zarr/c1/image/labels/r0001/zarr.json").write_text("{")
    (study / "cases.zarr/c2/image/zarr.json").write_text("{")
    (study / "journal/c2/strokes.bin").write_bytes(b"no strokes")
    assert main(["history", str(study), "c1"]) == 0
    told = capsys.readouterr().out
    assert "r0001  damaged: who made it, and when, cannot be read\n    learned by v0001\nr0002" in told
    assert "Bo" in told
    assert f"apprentice check {study} says" in told
    assert _run(capsys, "export-audit", study, tmp_path / "a.csv")["rows"] == 4
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        rows = [(r["case_id"], r["subject"], r["revision"], r["author"], r["origin"]) for r in csv.DictReader(file)]
    assert rows[:2] == [("c1", "s1", "r0001", "", "damaged"), ("c1", "s1", "r0002", "Bo", "correction")]
    assert rows[3] == ("c2", "", "", "", "damaged")


def test_an_export_says_that_strokes_are_not_in_it_yet(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(study), "c1", str(tmp_path / "a.nii.gz")]) == 0
    assert "Strokes of c1 that are in no revision yet are not in it" in capsys.readouterr().out
    assert not _run(capsys, "export", study, "c1", tmp_path / "b.nii.gz", "--what", "prediction")["unsaved"]
    (study / "journal/c1/strokes.bin").write_bytes(b"no strokes")
    assert _run(capsys, "export", study, "c1", tmp_path / "c.nii.gz")["code"] == 0


def test_an_export_says_where_nobody_has_looked_and_marks_it_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = make_study(tmp_path, 2)
    shown = np.ones(study.cases.info("c1").shape, np.uint8)
    status = np.zeros_like(shown)
    shown[2], status[2] = 2, EDITED
    study.revisions.save("c1", shown, status, Provenance("Ada"))
    outside = shown.size - shown[2].size
    assert main(["export", str(study.path), "c1", str(tmp_path / "a.nii.gz")]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"Nobody has looked at {outside} voxels of it; they hold what was proposed there." in told
    assert _run(capsys, "export", study.path, "c1", tmp_path / "b.nii.gz", "--unseen", "255")["unseen"] == outside
    marked = read_label_map(tmp_path / "b.nii.gz").voxels
    assert np.array_equal(np.unique(marked, return_counts=True), ([2, 255], [shown[2].size, outside]))
    assert _run(capsys, "correct", study.path, "c2", tmp_path / "b.nii.gz")["accepted"] == shown[2].size
    _run(capsys, "export", study.path, "c1", tmp_path / "e.nii.gz", "--unseen", "300")
    assert np.unique(read_label_map(tmp_path / "e.nii.gz").voxels).tolist() == [2, 300]
    study.set_schema(LabelSchema((Label(1, "one", "#e69f00"),)))  # 2 stays in the revision
    assert _run(capsys, "export", study.path, "c1", tmp_path / "d.nii.gz", "--unseen", "2")["error"] == "InputError"
    for words in (("d.nii.gz", "--unseen", "1"), ("d.nii.gz", "--unseen", "9", "--what", "prediction")):
        assert _run(capsys, "export", study.path, "c1", tmp_path / words[0], *words[1:])["error"] == "InputError"


@pytest.mark.parametrize("wrong", ["cases.zarr", "study.json"])
def test_nothing_that_is_written_takes_the_place_of_the_study(
    study: Path, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    verb = ("export-audit", study) if wrong.endswith(".json") else ("export", study, "c1")
    before = {p: p.read_bytes() for p in study.rglob("*") if p.is_file()}
    facts = _run(capsys, *verb, study / wrong, "--overwrite")
    assert (facts["code"], facts["error"]) == (1, "InputError")
    assert {p: p.read_bytes() for p in study.rglob("*") if p.is_file()} == before
    facts = _run(capsys, "export-model", study, "v0001", study / "models" / "mine")
    assert (facts["code"], facts["error"]) == (1, "InputError")
    assert Study.open(study).models.names() == ("v0001",)
    facts = _run(capsys, "export", study, "c1", study.parent, "--overwrite")
    assert "a folder that it lies in" in facts["text"]
    assert _run(capsys, "export-audit", study, study / "audit.json")["code"] == 0


def test_the_audit_is_a_file(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "audit.csv"
    assert _run(capsys, "export-audit", study, out)["rows"] == 4
    with out.open(newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 4
    assert "exists already" in _run(capsys, "export-audit", study, out)["text"]
    assert _run(capsys, "export-audit", study, out, "--overwrite")["code"] == 0
