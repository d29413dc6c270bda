"""Scores against references: which of them say something about new scans."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from builders import SHAPE, volume
from builders import study as study_of
from napari_apprentice.cli import main
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.records import Prediction
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import ChoiceError, InputError, ModelError
from napari_apprentice.loop.evaluating import _of_study, evaluate
from napari_apprentice.loop.exporting import export
from napari_apprentice.loop.label_import import keep_accepted
from napari_apprentice.loop.label_matching import match_labels
from napari_apprentice.scans.reader import read_label_map
from napari_apprentice.scans.writer import write_label_map
from napari_apprentice.store.study import Study
from sound_study import sound_study


def test_scans_that_were_learned_from_are_named_and_left_out_of_a_second_mean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = Study.open(sound_study(tmp_path / "a.study"))  # v0001 learned from c1
    study.cases.add("c3", "s3", volume(3, "c3.nii.gz"))
    refs = tmp_path / "refs"
    refs.mkdir()
    _predict(study, "c3", 1)
    for case_id in ("c1", "c3"):
        export(study, case_id, refs / f"{case_id}.nii.gz", "prediction")
    _predict(study, "c3", 2)
    found = evaluate(study, refs)
    assert found.learned == ("c1",)
    rest = found.unlearned()
    assert rest is not None
    assert (rest.mean, set(rest.dice)) == (0.0, {"c3"})
    assert found.mean > 0.4
    assert main(["evaluate", str(study.path), str(refs)]) == 0
    assert "v0001 learned from the subjects of c1; the mean without is 0.000." in capsys.readouterr().out


def test_only_the_cases_that_are_named_are_compared_and_none_is_passed_over_unsaid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = Study.open(sound_study(tmp_path / "a.study"))
    refs = tmp_path / "refs"
    refs.mkdir()
    for case_id in ("c3", "c4", "c5"):
        study.cases.add(case_id, "s3", volume(3, "c3.nii.gz"))
    _predict(study, "c3", 1)
    for case_id in ("c1", "c3"):
        export(study, case_id, refs / f"{case_id}.nii.gz", "prediction")
    (refs / "c4.nii.gz").write_bytes((refs / "c3.nii.gz").read_bytes())
    words = ["evaluate", str(study.path), str(refs)]
    assert main([*words, "c3", "c4", "c5"]) == 0
    told = capsys.readouterr().out
    assert "c3: " in told
    assert "c1" not in told
    assert "Case c4 was not compared: it was not predicted by v0001." in told
    assert "Case c5 was not compared: no reference belongs to it." in told
    assert main([*words, "c3", "c9"]) == 1
    assert "There is no case 'c9' in this study" in capsys.readouterr().err
    assert main([*words, "c5"]) == 1
    assert "belongs to c5: references are matched by file name" in capsys.readouterr().err


def test_a_model_version_that_has_predicted_nothing_yet_is_not_blamed_on_the_files(tmp_path: Path) -> None:
    study = Study.open(sound_study(tmp_path / "a.study"))
    refs = tmp_path / "refs"
    refs.mkdir()
    export(study, "c1", refs / "c1.nii.gz", "prediction")
    with pytest.raises(ModelError, match=r"no model version 'v0002' in this study \(v0001\)"):
        evaluate(study, refs, model="v0002")
    study.models.register(replace(study.models.info("v0001"), name="v0002"), study.models.weights("v0001"))
    with pytest.raises(InputError, match="was predicted by v0002: predict them first"):
        evaluate(study, refs, model="v0002")
    (refs / "c1.nii.gz").rename(refs / "else.nii.gz")
    with pytest.raises(InputError, match="matched by file name"):
        evaluate(study, refs)


def test_labels_of_a_reference_are_the_studys_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = Study.open(sound_study(tmp_path / "a.study"))  # its labels are 1 one, 2 two
    refs = tmp_path / "refs"
    refs.mkdir()
    for case_id, names, value in (("other", {1: "two", 2: "One", 7: "x"}, 2), ("same", {1: "one", 2: "two"}, 1)):
        study.cases.add(case_id, case_id, volume(3, f"{case_id}.nii.gz"))
        _predict(study, case_id, 1)
        labels = np.full(SHAPE, value, np.uint8)
        labels[0] = max(names)
        write_label_map(refs / f"{case_id}.nii.gz", labels, study.cases.info(case_id).geometry, names)
    found = evaluate(study, refs)
    assert found.dice["other"] == {1: pytest.approx(10 / 11)}, "all but a sixth is One, whatever its number"
    assert found.dice["same"] == {1: pytest.approx(10 / 11), 2: 0.0}

    geometry = study.cases.info("same").geometry
    write_label_map(refs / "same.nii.gz", np.ones(SHAPE, np.uint8), geometry, {1: "liver"}, overwrite=True)
    assert main(["evaluate", str(study.path), str(refs)]) == 1
    told = capsys.readouterr().err
    assert "same.nii.gz names its labels 1 liver; this study has 1 one, 2 two, and no liver" in told
    assert "--match ids" in told
    assert main(["evaluate", str(study.path), str(refs), "--match", "ids"]) == 0


@pytest.mark.parametrize("match", ["names", "ids"])
def test_labels_of_a_reference_in_layers_are_found_by_name_whatever_its_numbers(tmp_path: Path, match: str) -> None:
    study = Study.open(sound_study(tmp_path / "a.study"))  # its labels are 1 one, 2 two
    refs = tmp_path / "refs"
    for n, name in enumerate(("else", "none", "one")):  # a folder of masks: numbered by their order only
        labels = np.zeros(SHAPE, np.uint8)
        labels[n] = 1
        (refs / "c1").mkdir(parents=True, exist_ok=True)
        write_label_map(refs / "c1" / f"{name}.nii.gz", labels, study.cases.info("c1").geometry)
    reference = read_label_map(refs / "c1")
    kept = _of_study(study.schema, reference, ReadSettings(match=match))
    assert sorted(np.unique(kept.voxels)) == [0, 3]
    assert sorted(np.unique(match_labels(study.schema, kept, "c1", match).voxels)) == [0, 1]


def test_two_files_that_may_be_the_reference_of_one_case_are_told(tmp_path: Path) -> None:
    study = Study.open(sound_study(tmp_path / "a.study"))
    refs = tmp_path / "refs"
    refs.mkdir()
    export(study, "c1", refs / "c1.nii.gz", "prediction")
    export(study, "c1", refs / "c1.mha", "corrected")
    with pytest.raises(InputError, match=r"c1\.mha and c1\.nii\.gz in .* reference of case c1"):
        evaluate(study, refs)


def test_named_labels_of_a_reference_are_found_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, labels = _corrected(tmp_path)  # 1 one, 2 two
    refs = tmp_path / "refs"
    refs.mkdir()
    geometry = study.cases.info("c1").geometry
    # As 3D Slicer or a DICOM SEG may count, with a label that is no business of this study.
    counted = np.array([3, 2, 1], np.uint8)[labels]
    write_label_map(refs / "c1.nrrd", counted, geometry, {1: "Two", 2: "one", 3: "body"})
    assert evaluate(study, refs, what="corrected").dice == {"c1": {1: 1.0, 2: 1.0}}
    write_label_map(refs / "c1.nrrd", counted, geometry, {1: "spleen", 2: "kidney", 3: "body"}, overwrite=True)
    with pytest.raises(ChoiceError, match="no spleen, kidney"):
        evaluate(study, refs, what="corrected")
    assert main(["evaluate", str(study.path), str(refs), "--what", "corrected", "--match", "ids"]) == 0
    assert "mean: 0.000" in capsys.readouterr().out


def test_what_a_reference_calls_unknown_is_not_compared_and_a_mask_is_no_reference(tmp_path: Path) -> None:
    study, labels = _corrected(tmp_path)
    refs = tmp_path / "refs"
    refs.mkdir()
    geometry = study.cases.info("c1").geometry
    unsure = labels.copy()
    unsure[0] = 255
    write_label_map(refs / "c1.nii.gz", unsure, geometry)
    assert evaluate(study, refs, what="corrected").mean == 1.0
    more = np.where(unsure == 0, np.uint16(300), unsure)  # and one of no interest here
    named = {1: "one", 2: "two", 300: "vessel"}
    write_label_map(refs / "c1.nii.gz", more, geometry, named, overwrite=True)
    assert evaluate(study, refs, what="corrected").mean == 1.0
    for odd, why in ((np.where(labels == 1, 255, 0), "a mask"), (np.where(labels == 1, 7, 0), "does not have")):
        write_label_map(refs / "c1.nii.gz", odd.astype(np.uint8), geometry, overwrite=True)
        with pytest.raises(InputError, match=why):
            evaluate(study, refs, what="corrected")


def _corrected(folder: Path) -> tuple[Study, LabelArray]:
    made = study_of(folder)
    labels = np.random.default_rng(0).integers(0, 3, SHAPE).astype(np.uint8)
    keep_accepted(made, "c1", labels, author="ann")
    return made, labels


def _predict(study: Study, case_id: str, label: int) -> None:
    labels = np.full(SHAPE, label, np.uint8)
    study.predictions.write(case_id, "v0001", Prediction(labels, labels, {label: 0.9}, 1.0, "cpu"))
