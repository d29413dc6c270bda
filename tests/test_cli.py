"""The command line, from an empty folder to an exported label map."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from builders import OBLIQUE, write_nifti
from napari_apprentice.cli import COMMANDS, main
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.loop.tuning import resumable_training, running_training
from napari_apprentice.store.study import Study

SHAPE = (12, 10, 8)  # (i, j, k) of the files


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Four scans and their label maps."""
    rng = np.random.default_rng(0)
    for i in range(1, 5):
        labels = np.zeros(SHAPE, np.uint8)
        labels[3:9, 3:8, 2:6] = 1
        voxels = (rng.normal(100, 10, SHAPE) + 80 * labels).astype(np.int16)
        write_nifti(tmp_path / f"c{i}.nii.gz", voxels)
        (tmp_path / "labels").mkdir(exist_ok=True)
        write_nifti(tmp_path / "labels" / f"c{i}.nii.gz", labels)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """Run a command with --json and return what it printed."""
    code = main([*map(str, arguments), "--json"])
    out = capsys.readouterr().out
    facts: dict[str, Any] = json.loads(out)
    return {"code": code, **facts}


def test_a_user_whom_the_system_does_not_know_is_an_author_too(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that was started with --user."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    study = files / "a.study"
    assert run(capsys, "create", study, "--labels", "lesion")["code"] == 0
    run(capsys, "add", study, files / "c1.nii.gz")
    run(capsys, "correct", study, "c1", files / "labels" / "c1.nii.gz")
    assert run(capsys, "history", study, "c1")["history"][0]["author"] == "user 54321"


def test_once_around_the_loop(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = files / "a.study"
    assert run(capsys, "create", study, "--labels", "lesion,cyst")["code"] == 0
    for i in (1, 2, 3):
        scan, labels = files / f"c{i}.nii.gz", files / "labels" / f"c{i}.nii.gz"
        assert run(capsys, "add", study, scan, "--corrected", labels, "--author", "ann")["added"] == [f"c{i}"]
    assert run(capsys, "add", study, files / "c4.nii.gz", "--subject", "s4")["added"] == ["c4"]
    first = run(capsys, "train", study, "--steps", 2, "--seed", 3, "--rate", 0.005)
    assert first["active"]
    queue = run(capsys, "queue", study)["queue"]
    assert [q["case_id"] for q in queue] == ["c4"]
    assert "c4" in run(capsys, "predict", study, "c4", "--device", "cpu")["cases"]
    stored = run(capsys, "correct", study, "c4", files / "labels" / "c4.nii.gz", "--accept", "all", "--author", "bob")
    assert stored["edited"] + stored["accepted"] == np.prod(SHAPE)
    tuned = run(capsys, "fine-tune", study, "--steps", 1)
    # The only held-out scan is replay, so nothing proves the candidate: it must not become active.
    assert not tuned["active"]
    assert "held out" in tuned["verdict"]
    models = run(capsys, "models", study, "--activate", tuned["model"])["models"]
    assert [m["name"] for m in models if m["active"]] == [tuned["model"]]
    out = files / "out.nii.gz"
    assert run(capsys, "export", study, "c4", out)["code"] == 0
    _same_grid_and_voxels(out, files / "labels" / "c4.nii.gz")
    scores = run(capsys, "evaluate", study, files / "labels", "--what", "corrected")
    assert scores["mean"] == 1.0
    assert run(capsys, "check", study)["problems"] == []
    request = json.loads(next((study / "runs").glob("*train*/run.json")).read_text())
    assert "0.005" in json.dumps(request)  # the flag reached run.json


def _same_grid_and_voxels(written: Path, source: Path) -> None:
    a, b = nib.load(written), nib.load(source)
    assert a.affine.tobytes() == b.affine.tobytes()
    assert (a.header["sform_code"], a.header["qform_code"]) == (b.header["sform_code"], b.header["qform_code"])
    assert np.array_equal(np.asanyarray(a.dataobj), np.asanyarray(b.dataobj))


def test_bad_input_is_one_plain_sentence_and_the_study_stays_sound(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = files / "a.study"
    run(capsys, "create", study, "--labels", "lesion")
    (files / "page.nii.gz").write_text("<html>not found</html>")
    report = run(capsys, "add", study, files / "page.nii.gz", files / "c1.nii.gz")
    assert report["code"] == 1
    assert report["added"] == ["c1"]
    assert "page.nii.gz" in report["refused"][0][0]
    moved = OBLIQUE.copy()
    moved[0, 3] += 40
    write_nifti(files / "moved.nii.gz", np.zeros(SHAPE, np.uint8), moved)
    write_nifti(files / "strange.nii.gz", np.full(SHAPE, 7, np.uint8))
    refusals = {
        "GeometryError": ("correct", study, "c1", files / "moved.nii.gz"),
        "InputError": ("correct", study, "c1", files / "strange.nii.gz"),
        "StudyError": ("queue", files),
        "ModelError": ("predict", study),
    }
    for error, arguments in refusals.items():
        answer = run(capsys, *arguments)
        assert answer["code"] == 1
        assert answer["error"] == error
        assert "\n" not in answer["text"]
        assert "Traceback" not in answer["text"]
    assert run(capsys, "check", study)["problems"] == []


@pytest.mark.parametrize("arguments", [("create",), ("frob",), ("queue", "a", "--frob"), ("train", "a", "--seed", "x")])
def test_wrong_usage_is_one_json_object_too(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    answer = run(capsys, *arguments)
    assert answer["code"] == 2
    assert answer["error"] == "UsageError"
    assert main([*arguments]) == 2
    assert "usage: apprentice" in capsys.readouterr().err


def test_labels_and_a_decathlon_file_are_not_taken_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "create", tmp_path / "a", "--labels", "x", "--dataset", tmp_path / "d.json")["code"] == 2
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("arguments", [("history", "a" * 300, "c1"), ("export-audit", "STUDY", "a" * 300 + ".csv")])
def test_a_name_that_no_disk_takes_is_no_unexpected_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    study = Study.create(tmp_path / "a.study", LabelSchema.from_names(["one"])).path
    assert main([str(study) if text == "STUDY" else text for text in arguments]) == 1
    told = capsys.readouterr().err
    assert "too long" in told
    assert "unexpected" not in told


def test_an_unexpected_fault_is_one_json_object(
    monkeypatch: pytest.MonkeyPatch, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("x")

    monkeypatch.setitem(COMMANDS, "queue", broken)
    assert run(capsys, "queue", files)["error"] == "UnexpectedError"


def test_a_setting_that_is_no_number_is_refused(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "create", files / "a.study", "--labels", "lesion")
    answer = run(capsys, "train", files / "a.study", "--rate", "nan")
    assert answer["error"] == "InputError"
    assert "rate" in answer["text"]


def test_scans_of_the_same_name_get_their_folders_name(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = files / "a.study"
    run(capsys, "create", study, "--labels", "lesion")
    for i in (1, 2, 3):
        (files / f"p{i}").mkdir()
        (files / f"c{i}.nii.gz").rename(files / f"p{i}" / "CT.nii.gz")
    scans = [files / f"p{i}" / "CT.nii.gz" for i in (1, 2, 3)]
    assert run(capsys, "add", study, *scans[:2])["added"] == ["p1_CT", "p2_CT"]
    assert run(capsys, "add", study, scans[2])["added"] == ["CT"]
    again = run(capsys, "add", study, scans[0])
    assert again["code"] == 1
    assert "in this study already, as case p1_CT" in again["refused"][0][1]
    copy = scans[0].rename(files / "copy.nii.gz")  # under another name it could end up on both sides of the split
    assert run(capsys, "add", study, copy)["added"] == []


def test_evaluating_says_what_is_missing(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = files / "a.study"
    run(capsys, "create", study, "--labels", "lesion")
    empty = write_nifti(files / "empty.nii.gz", np.zeros(SHAPE, np.uint8))
    run(capsys, "add", study, files / "c1.nii.gz", "--corrected", empty)
    gone = run(capsys, "evaluate", study, files / "nowhere", "--what", "corrected")
    assert "does not exist" in gone["text"]
    (files / "refs").mkdir()
    empty.rename(files / "refs" / "c1.nii.gz")
    answer = run(capsys, "evaluate", study, files / "refs", "--what", "corrected")
    assert "nothing to compare" in answer["text"]


def test_whoever_has_no_window_sees_the_case_table_too(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = files / "a.study"
    run(capsys, "create", study, "--labels", "lesion")
    assert main(["cases", str(study)]) == 0
    assert "There are no cases yet" in capsys.readouterr().out
    run(capsys, "add", study, files / "c1.nii.gz", "--corrected", files / "labels" / "c1.nii.gz")
    run(capsys, "add", study, files / "c2.nii.gz", "--subject", "Bo")
    refused = run(capsys, "history", study, "c3")["text"]
    assert "apprentice cases STUDY) names them" in refused
    assert main(["cases", str(study)]) == 0
    _, one, two = (line.split() for line in capsys.readouterr().out.splitlines())
    assert one == ["c1", "c1", "corrected", "train", "1", "-"]
    assert two == ["c2", "Bo", "unseen", "-", "0", "-"]
    rows = run(capsys, "cases", study)["cases"]
    assert [(row["case_id"], row["state"]) for row in rows] == [("c1", "corrected"), ("c2", "unseen")]


@pytest.mark.slow
def test_ctrl_c_stops_training_and_offers_to_resume(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = files / "a.study"
    run(capsys, "create", study, "--labels", "lesion")
    run(capsys, "add", study, files / "c1.nii.gz", "--corrected", files / "labels" / "c1.nii.gz")
    command = [sys.executable, "-m", "napari_apprentice.cli", "train", str(study), "--steps", "3000", "--json"]
    # A shell that runs this suite in the background hands down that Ctrl-C is ignored.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    finally:
        signal.signal(signal.SIGINT, handler)
    with parent:
        _until(lambda: any('"loss"' in e.read_text() for e in study.glob("runs/*/events.jsonl")))
        parent.send_signal(signal.SIGINT)
        said = json.loads(parent.communicate(timeout=120)[0])
    assert parent.returncode == 1
    assert (said["error"], "--resume" in said["text"]) == ("Cancelled", True)
    opened = Study.open(study)
    assert running_training(opened) is None
    assert resumable_training(opened) is not None
    assert run(capsys, "fine-tune", study, "--resume")["error"] == "InputError"  # it is a train run
    assert run(capsys, "check", study)["problems"] == []


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 200
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_labels_come_from_a_decathlon_file(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "dataset.json").write_text(json.dumps({"name": "H", "labels": {"0": "background", "2": "b", "1": "a"}}))
    made = run(capsys, "create", files / "m.study", "--dataset", files / "dataset.json")
    assert [(x["id"], x["name"]) for x in made["labels"]] == [(1, "a"), (2, "b")]
    (files / "dataset.json").write_text("{}")
    assert run(capsys, "create", files / "n.study", "--dataset", files / "dataset.json")["error"] == "InputError"
    assert not (files / "n.study").exists()


def test_a_plain_error_goes_to_standard_error(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(files / "none.study")]) == 1
    said = capsys.readouterr()
    assert "none.study" in said.out + said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("verb", ["add", "evaluate"])
def test_a_path_that_the_system_refuses_is_one_sentence(
    files: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, verb: str
) -> None:
    run(capsys, "create", files / "a.study", "--labels", "lesion")
    assert main([verb, str(files / "a.study"), str(files / ("n" * 300))]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"apprentice: {'n' * 120}: Reading or writing failed: File name too long."
    ]
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING], "Python prints these where nobody else does"


def test_check_finds_a_flipped_byte(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = files / "a.study"
    run(capsys, "create", study, "--labels", "lesion")
    run(capsys, "add", study, files / "c1.nii.gz", "--corrected", files / "labels" / "c1.nii.gz")
    chunk = next(p for p in (study / "cases.zarr" / "c1" / "image" / "labels" / "r0001").rglob("c/*/*/*"))
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 0xFF
    chunk.write_bytes(bytes(data))
    answer = run(capsys, "check", study)
    assert answer["code"] == 1
    assert any("r0001" in p for p in answer["problems"])
