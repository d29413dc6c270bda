"""`apprentice add` and `create --dataset` for whole data sets, several channels and what must be decided."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import data_sets
from builders import OBLIQUE
from napari_apprentice.cli import main
from napari_apprentice.scans.reader import read_volume
from napari_apprentice.store.study import Study
from real_data import real_data

MOVED = OBLIQUE + np.array([[0, 0, 0, 0.4], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """Run a command with --json and return what it printed."""
    code = main([*map(str, arguments), "--json"])
    facts: dict[str, Any] = json.loads(capsys.readouterr().out)
    return {"code": code, **facts}


def text(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command and return what a person sees of it."""
    main([*map(str, arguments)])
    out = capsys.readouterr()
    return out.err + out.out


@pytest.fixture
def study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """An empty study of the labels a and b."""
    assert run(capsys, "create", tmp_path / "a.study", "--labels", "a,b")["code"] == 0
    return tmp_path / "a.study"


def test_a_data_set_from_its_folder_to_labelled_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, study = data_sets.msd(tmp_path / "Task01"), tmp_path / "a.study"
    made = run(capsys, "create", study, "--dataset", folder)
    assert [x["name"] for x in made["labels"]] == ["a", "b"]
    assert Study.open(study).title == "Brains"
    shown = text(capsys, "add", study, folder, "--dry-run")
    assert "Taken as msd (Brains): 3 cases; 3 subjects; channels FLAIR, T1w; 2 with a label map." in shown
    assert "Labels: 1 a, 2 b." in shown
    assert not Study.open(study).cases.ids(), "a dry run adds nothing"
    added = run(capsys, "add", study, folder)
    assert added["code"] == 0
    assert (added["added"], added["labelled"]) == (["brain_001", "brain_002", "brain_900"], ["brain_001", "brain_002"])
    assert Study.open(study).cases.info("brain_001").channels == ("FLAIR", "T1w")


def test_without_labels_leaves_them(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    added = run(capsys, "add", study, data_sets.msd(tmp_path / "Task01"), "--without-labels")
    assert (len(added["added"]), added["labelled"]) == (3, [])


def test_a_set_without_label_names_says_how_to_name_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data_sets.scan(tmp_path / "scans" / "a.nii.gz")
    refused = run(capsys, "create", tmp_path / "a.study", "--dataset", tmp_path / "scans")
    assert "--labels" in refused["text"]


def test_channels_of_other_grids_are_asked_about_and_the_flag_answers(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ct, pet = data_sets.scan(tmp_path / "ct.nii.gz", 1), data_sets.scan(tmp_path / "pet.nii.gz", 2, MOVED)
    channels = ("--channel", f"CT={ct}", "--channel", f"PET={pet}", "--case", "p1")
    asked = text(capsys, "add", study, *channels)
    assert "Case p1: PET lies on another grid than CT" in asked
    assert "--reference PET " in asked
    facts = run(capsys, "add", study, *channels)
    assert (facts["code"], facts["questions"][0]["flag"]) == (1, "--reference")
    assert run(capsys, "add", study, *channels, "--reference", "CT")["added"] == ["p1"]
    info = Study.open(study).cases.info("p1")
    assert info.channels == ("CT", "PET")
    assert "PET was resampled linearly onto the grid of CT." in [s.what for s in info.steps]


def test_channels_in_another_order_are_stored_in_that_of_the_study(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for case in "ab":
        files = [data_sets.scan(tmp_path / f"{n}_{case}.nii.gz", 2 * ord(case) + n) for n in (0, 1)]
        given = (f"CT={files[0]}", f"PET={files[1]}") if case == "a" else (f"pet={files[1]}", f"CT={files[0]}")
        flags = [word for channel in given for word in ("--channel", channel)]
        assert run(capsys, "add", study, *flags, "--case", case)["added"] == [case]
    cases = Study.open(study).cases
    assert [cases.info(case).channels for case in "ab"] == [("CT", "PET"), ("CT", "pet")]
    for n in (0, 1):
        np.testing.assert_array_equal(cases.voxels("b")[n], read_volume(tmp_path / f"{n}_b.nii.gz").voxels[0])
    (step,) = (s for s in cases.info("b").steps if s.kind == "order")
    assert step.what == "Channels pet, CT were put into the order of this study's other cases."


def test_paths_may_come_after_flags_and_are_needed_without_channels(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = data_sets.scan(tmp_path / "x.nii.gz")
    assert main(["add", str(study), "--json", "--subject", "s", str(scan)]) == 0
    capsys.readouterr()
    assert run(capsys, "add", study)["error"] == "UsageError"
    assert "NAME=PATH" in run(capsys, "add", study, "--channel", scan)["text"]
    assert "not both" in run(capsys, "add", study, scan, "--channel", f"CT={scan}")["text"]
    nobody = run(capsys, "add", study, "--channel", f"CT={scan}", "--reference", "PET")
    assert "No channel of what was found is called PET" in nobody["text"]
    twice = run(capsys, "add", study, "--channel", f"CT={scan}", "--channel", f"CT={scan}")
    assert "given twice" in twice["text"]


def test_what_is_refused_is_a_table_with_its_columns_below_each_other(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("a.nii.gz", "a-much-longer-name.nii.gz")
    for name in names:
        (tmp_path / name).write_bytes(b"<html>not found</html>")
    good = data_sets.scan(tmp_path / "good.nii.gz")
    shown = text(capsys, "add", study, *(tmp_path / name for name in names), good)
    rows = shown[shown.index("Refused 2:") :].splitlines()[1:]
    assert "Added 1: good" in shown
    assert all("is a web page" in row for row in rows)
    assert len({row.rindex(name) for row, name in zip(rows, names, strict=True)}) == 1, "reasons begin in one column"


def test_a_label_map_for_a_scan_that_is_there_already_is_not_passed_over_unsaid(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = data_sets.scan(tmp_path / "a.nii.gz")
    assert run(capsys, "add", study, scan)["added"] == ["a"]
    shown = text(capsys, "add", study, scan, "--corrected", tmp_path / "typed wrong.nii.gz")
    assert "note: typed wrong.nii.gz was not taken; apprentice correct STUDY a LABELMAP takes it." in shown


def test_a_missing_channel_is_asked_about_once_with_its_cases(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, study = data_sets.nnunet(tmp_path / "Dataset001_Liver"), tmp_path / "a.study"
    run(capsys, "create", study, "--dataset", folder)
    asked = text(capsys, "add", study, folder)
    assert "Case liver_02 has no file for channel PET." in asked
    assert "--missing zero " in asked
    assert "--missing without " in asked
    assert run(capsys, "add", study, folder, "--missing", "zero")["added"] == ["liver_02"]
    assert Study.open(study).cases.info("liver_02").channels == ("CT", "PET")
    other = tmp_path / "b.study"
    run(capsys, "create", other, "--dataset", folder)
    assert len(run(capsys, "add", other, folder, "--missing", "without")["added"]) == 2
    assert Study.open(other).cases.info("liver_02").channels == ("CT",)


def test_sarcoma_patients_are_cases_of_three_channels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = tmp_path / "a.study"
    assert [x["name"] for x in run(capsys, "create", study, "--dataset", real_data("sarcoma"))["labels"]] == ["tumour"]
    shown = text(capsys, "add", study, real_data("sarcoma"), "--dry-run")
    assert "Taken as folders (sarcoma): 8 cases; 8 subjects; channels CT, MR_T1, PET; 8 with a label map." in shown


def test_many_cases_are_not_listed_one_by_one(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(30):
        data_sets.scan(tmp_path / "scans" / f"s{n:02}.nii.gz", n, shape=(4, 3, 2))
    shown = text(capsys, "add", study, tmp_path / "scans")
    assert "Added 30: s00, s01, s02, s03, s04, s05, s06, s07, s08, s09 and 20 more." in shown
    again = text(capsys, "add", study, tmp_path / "scans")
    assert "Already in this study, 30: s00.nii.gz, " in again
    assert len(again[again.index("Added nothing.") :].splitlines()) == 2
    assert len(run(capsys, "add", study, tmp_path / "scans")["already"]) == 30


def test_files_refused_for_one_reason_are_counted(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in range(60):
        (tmp_path / f"s{n:02}.nii.gz").write_bytes(b"<html>not found</html>")
    shown = text(capsys, "add", study, *sorted(tmp_path.glob("s*.nii.gz")))
    rows = shown[shown.index("Refused 60:") :].splitlines()[1:]
    assert len(rows) == 51
    assert rows[-1].strip() == "... and 10 more; --json lists them all"


def test_names_that_the_console_has_no_letters_for_are_shown_somehow(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "山田.nii").write_bytes(b"no scan")
    console = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", errors="strict")
    monkeypatch.setattr(sys, "stdout", console)
    assert main(["add", str(study), str(tmp_path / "山田.nii")]) == 1
    console.flush()
    assert b"\\u5c71\\u7530.nii" in console.buffer.getvalue()


def test_many_notes_are_cut(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(60):
        data_sets.write_nifti(tmp_path / f"s{n:02}.nii.gz", np.full((4, 3, 2), n, np.int16))
    shown = text(capsys, "add", study, *sorted(tmp_path.glob("s*.nii.gz")))
    assert shown.count("has the same value") == 50
    assert "  ... and 10 more notes; --json lists them all" in shown


def _start(*arguments: object, out: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "napari_apprentice.cli", *map(str, arguments)]
    return subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent otherwise there")
def test_ctrl_c_while_adding_leaves_nothing_half(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = data_sets.scan(tmp_path / "scans" / "s000.nii.gz").read_bytes()
    for n in range(1, 300):
        (tmp_path / "scans" / f"s{n:03}.nii.gz").write_bytes(scan)
    data_sets.scan(tmp_path / "scans" / "s001.nii.gz", 1)
    with _start("add", study, tmp_path / "scans") as adding:
        lines = []
        while "s001" not in (line := adding.stderr.readline() if adding.stderr else ""):
            lines.append(line)
            assert line, lines
        adding.send_signal(signal.SIGINT)
        said = adding.stderr.read() if adding.stderr else ""
    assert adding.returncode == 1
    assert said.splitlines()[-1] == "apprentice: Stopped; what was finished is kept."
    assert run(capsys, "check", study)["problems"] == []
    kept = Study.open(study).cases.ids()
    assert "s000" in kept
    again = run(capsys, "add", study, tmp_path / "scans")
    assert ("s001" in kept) != ("s001" in again["added"])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
def test_a_reader_that_has_seen_enough_is_no_fault(study: Path, tmp_path: Path) -> None:
    scan, (read, write) = data_sets.scan(tmp_path / "x.nii.gz"), os.pipe()
    os.close(read)
    with _start("add", study, scan, out=write) as adding:
        os.close(write)
        said = adding.stderr.read() if adding.stderr else ""
    assert "Traceback" not in said
    assert "Exception" not in said
    assert Study.open(study).cases.ids() == ("x",)
