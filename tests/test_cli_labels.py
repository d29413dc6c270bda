"""Label maps in and out on the command line: other grids, overlapping segments, DICOM SEG."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from builders import OBLIQUE, write_nifti
from napari_apprentice.cli import main
from napari_apprentice.scans.reader import read_label_map
from real_data import real_data


def _run(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    code = main([*map(str, arguments), "--json"])
    facts: dict[str, Any] = json.loads(capsys.readouterr().out)
    return {"code": code, **facts}


def test_a_label_map_on_another_grid_needs_the_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, labels = tmp_path / "a.study", np.zeros((12, 10, 8), np.uint8)
    labels[3:9, 3:8, 2:6] = 1
    moved = OBLIQUE.copy()
    moved[:3, 3] += 0.4
    write_nifti(tmp_path / "c1.nii.gz", np.arange(960, dtype=np.int16).reshape(12, 10, 8))
    write_nifti(tmp_path / "moved.nii.gz", labels, moved)
    _run(capsys, "create", study, "--labels", "lesion")
    _run(capsys, "add", study, tmp_path / "c1.nii.gz")
    refused = _run(capsys, "correct", study, "c1", tmp_path / "moved.nii.gz")
    assert refused["code"] != 0
    assert "--resample" in refused["text"]
    stored = _run(capsys, "correct", study, "c1", tmp_path / "moved.nii.gz", "--resample")
    assert stored["revision"] == "r0001"
    assert "was resampled" in stored["notes"][0]


def test_a_label_map_with_other_names_is_taken_by_number_only_when_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, labels = tmp_path / "a.study", np.ones((12, 10, 8), np.uint8)
    write_nifti(tmp_path / "c1.nii.gz", np.arange(960, dtype=np.int16).reshape(12, 10, 8))
    write_nifti(tmp_path / "organs.nii.gz", labels)
    (tmp_path / "organs.txt").write_text("1 Liver 255 0 0 255\n", encoding="utf-8")
    _run(capsys, "create", study, "--labels", "nucleus")
    _run(capsys, "add", study, tmp_path / "c1.nii.gz")
    assert main(["correct", str(study), "c1", str(tmp_path / "organs.nii.gz")]) == 1
    told = capsys.readouterr().err
    assert "organs.nii.gz names its labels 1 Liver; this study has 1 nucleus, and no Liver" in told
    assert "--match ids  take its numbers as they are: 1 Liver becomes 1 nucleus" in told
    asked = _run(capsys, "correct", study, "c1", tmp_path / "organs.nii.gz")
    assert (asked["error"], asked["flag"], asked["choices"][0][0]) == ("ChoiceError", "--match", "ids")
    stored = _run(capsys, "correct", study, "c1", tmp_path / "organs.nii.gz", "--match", "ids")
    assert (stored["revision"], stored["code"]) == ("r0001", 0)
    assert any("1 Liver became 1 nucleus" in note for note in stored["notes"])


@pytest.mark.data
def test_a_case_from_dicom_and_its_seg(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, study = real_data("dicom", "dcmqi_segmentations"), tmp_path / "a.study"
    shutil.copytree(folder / "ct-3slice", tmp_path / "ct")
    _run(capsys, "create", study, "--labels", "green,orange,purple,blue,red")
    (case,) = _run(capsys, "add", study, tmp_path / "ct", "--case", "c1")["added"]
    asked = _run(capsys, "correct", study, case, folder / "partial_overlaps.dcm", "--segments", "GREEN,ORANGE")
    assert "GREEN and ORANGE share" in asked["text"]
    stored = _run(capsys, "correct", study, case, folder / "partial_overlaps.dcm", "--segments", "GREEN,ORANGE",
                  "--overlap", "last")  # fmt: skip
    assert stored["code"] == 0
    refused = _run(capsys, "export", study, case, tmp_path / "out.dcm")
    assert "--source" in refused["text"]
    written = _run(capsys, "export", study, case, tmp_path / "out.dcm", "--source", tmp_path / "ct")
    assert written["code"] == 0
    again = read_label_map(tmp_path / "out.dcm")
    assert [np.count_nonzero(again.voxels == n) for n in (1, 2)] == [9602 - 3017, 11888]
    source = {pydicom.dcmread(p).SOPInstanceUID for p in (tmp_path / "ct").iterdir()}
    stored_seg = pydicom.dcmread(tmp_path / "out.dcm")
    items = stored_seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert {i.ReferencedSOPInstanceUID for i in items} == source


def test_two_labels_take_each_others_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = tmp_path / "a.study"
    _run(capsys, "create", study, "--labels", "left,right")
    shown = _run(capsys, "labels", study, "--rename", "left=right", "--rename", "right=left")
    assert [(label["id"], label["name"]) for label in shown["labels"]] == [(1, "right"), (2, "left")]
    refused = _run(capsys, "labels", study, "--rename", "left=right")
    assert refused["code"] != 0
    assert "right" in refused["text"]
