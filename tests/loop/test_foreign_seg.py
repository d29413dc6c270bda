"""A DICOM SEG or contours of another person, on the grid of a case: scanners put many persons on one grid."""

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import RTStructureSetStorage

from builders import write_nifti
from dicom_builder import header, items, random_voxels, write_series
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import ChoiceError, InputError, ScanError
from napari_apprentice.loop.adding import AddReport, add_scans
from napari_apprentice.loop.correcting import import_correction
from napari_apprentice.loop.evaluating import evaluate
from napari_apprentice.scans.reader import read_volume
from napari_apprentice.scans.segments.belonging import refuse_foreign
from napari_apprentice.scans.segments.seg_writer import write_seg
from napari_apprentice.store.study import Study

SHAPE = (3, 6, 7)
OWN = {"PatientID": "P-1", "StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.1", "FrameOfReferenceUID": "1.1.9"}
LATER = {**OWN, "StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.1", "FrameOfReferenceUID": "1.2.9"}
OTHER = {**LATER, "PatientID": "P-2"}
SAME_SERIES = {**OWN, "PatientID": "P-2"}
OTHER_SERIES = {**OWN, "SeriesInstanceUID": "1.1.2"}
UNNAMED_LATER = {**LATER, "PatientID": "anonymous", "PatientName": None}
NO_PATIENT = {**OWN, "PatientID": "anonymous", "PatientName": None}


def _seg(folder: Path, **attributes: str | None) -> Path:
    """A SEG of a series on the one grid that all have here."""
    write_series(folder, random_voxels(SHAPE), **attributes)
    geometry = read_volume(folder).geometry
    labels = np.zeros(geometry.shape, np.uint8)
    labels[1, 2:4, 2:5] = 1
    write_seg(folder.with_suffix(".dcm"), labels, geometry, folder, names={1: "liver"})
    return folder.with_suffix(".dcm")


def _add(study: Study, path: Path, corrected: Path | None = None, **settings: object) -> AddReport:
    work = add_scans(study, [path], corrected=corrected, author="ann", settings=ReadSettings(**settings))
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def _case(tmp_path: Path, deidentify: bool, **attributes: str | None) -> tuple[Study, str]:
    study = Study.create(tmp_path / "t.study", LabelSchema.from_names(["liver"]))
    scan = write_series(tmp_path / "scan", random_voxels(SHAPE, seed=1), **attributes)
    return study, _add(study, scan, deidentify=deidentify).added[0]


@pytest.mark.parametrize("deidentify", [True, False])
@pytest.mark.parametrize(
    ("of", "said"),
    [
        (OTHER, r"its patient is {}, the scan's is "),
        (SAME_SERIES, r"its patient is {}, the scan's is "),
        (UNNAMED_LATER, r"its series and frame of reference and study are not the scan's"),
    ],
)
def test_a_seg_of_somebody_or_something_else_is_not_taken_unasked(
    tmp_path: Path, of: dict[str, str], said: str, deidentify: bool
) -> None:
    study, case_id = _case(tmp_path, deidentify, **OWN)
    seg = _seg(tmp_path / "seg", **of)
    who = said.format("sub-[a-z0-9]+" if deidentify else "P-2")  # a pseudonym, and nothing else
    with pytest.raises(ChoiceError, match=f"seg.dcm does not belong to this scan: {who}") as asked:
        import_correction(study, case_id, seg, accept="all", author="ann")
    assert (asked.value.setting, asked.value.choices[0][0]) == ("foreign", "take")
    assert study.revisions.newest(case_id) is None
    told = ReadSettings(foreign="take")
    assert import_correction(study, case_id, seg, accept="all", author="ann", settings=told).revision.name == "r0001"


@pytest.mark.parametrize("deidentify", [True, False])
@pytest.mark.parametrize("of", [OWN, OTHER_SERIES, NO_PATIENT])
def test_a_seg_of_the_scan_or_of_one_beside_it_is_taken(tmp_path: Path, of: dict[str, str], deidentify: bool) -> None:
    study, case_id = _case(tmp_path, deidentify, **OWN)
    import_correction(study, case_id, _seg(tmp_path / "seg", **of), accept="all", author="ann")
    assert study.revisions.read(case_id, "r0001")[0].any()


@pytest.mark.parametrize("deidentify", [True, False])
def test_another_scan_of_the_same_patient_is_taken_with_a_doubt(tmp_path: Path, deidentify: bool) -> None:
    study, case_id = _case(tmp_path, deidentify, **OWN)
    seg = _seg(tmp_path / "seg", **{**LATER, "PatientID": "p-1"})
    told = import_correction(study, case_id, seg, accept="all", author="ann").notes[0]
    assert told.startswith(
        "seg.dcm: it is of the same patient, but its series and frame of reference and study are not"
    )
    seg.rename(tmp_path / f"{case_id}.dcm")
    with pytest.raises(ChoiceError, match="does not belong to this scan"):
        evaluate(study, tmp_path / f"{case_id}.dcm", what="corrected")
    report = _add(Study.create(tmp_path / "u.study", study.schema), tmp_path / "scan", tmp_path / f"{case_id}.dcm")
    assert any("it is of the same patient, but its series" in w for w in report.warnings)


def test_a_scan_is_not_added_with_the_label_map_of_somebody_else(tmp_path: Path) -> None:
    study = Study.create(tmp_path / "t.study", LabelSchema.from_names(["liver"]))
    scan = write_series(tmp_path / "scan", random_voxels(SHAPE, seed=1), **OWN)
    report = _add(study, scan, _seg(tmp_path / "seg", **OTHER))
    assert (report.added, [q.setting for q in report.questions]) == ((), ["foreign"])
    assert _add(study, scan, tmp_path / "seg.dcm", foreign="take").labelled == study.cases.ids() != ()


def test_where_nothing_is_known_of_the_scan_it_is_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, case_id = _case(tmp_path, True, **OWN)
    seg = _seg(tmp_path / "seg", **OTHER)
    monkeypatch.setenv("APPRENTICE_HOME", str(tmp_path / "somebody"))  # whose pseudonyms are others
    import_correction(study, case_id, seg, accept="all", author="bob")
    geometry = read_volume(tmp_path / "scan").geometry
    nifti = write_nifti(tmp_path / "scan.nii.gz", geometry.to_source(random_voxels(SHAPE)), geometry.source_affine)
    (case_id,) = _add(study, nifti).added
    import_correction(study, case_id, seg, accept="all", author="bob")


def _contours(path: Path, patient: str | None, study: str, series: str, frame: str) -> Path:
    referenced = items(
        FrameOfReferenceUID=frame,
        RTReferencedStudySequence=items(
            ReferencedSOPInstanceUID=study, RTReferencedSeriesSequence=items(SeriesInstanceUID=series)
        ),
    )
    data = header(
        SOPClassUID=RTStructureSetStorage, PatientID=patient, PatientName=None, StudyInstanceUID="7.7",
        SeriesInstanceUID="7.7.7", FrameOfReferenceUID=None, ReferencedFrameOfReferenceSequence=referenced,
    )  # fmt: skip
    data.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("deidentify", [True, False])
def test_a_study_that_a_program_made_up_for_what_it_wrote_is_no_doubt(tmp_path: Path, deidentify: bool) -> None:
    study, case_id = _case(tmp_path, deidentify, **OWN)
    known, path = study.cases.record(case_id)["acquisition"], tmp_path / "rt.dcm"
    told = {}
    for patient in ("P-1", "anonymous"):
        header(
            SOPClassUID=RTStructureSetStorage, PatientID=patient, PatientName=None, StudyInstanceUID="7.7",
            SeriesInstanceUID="7.7.7", FrameOfReferenceUID=None,
        ).save_as(path, enforce_file_format=True)  # fmt: skip
        try:
            told[patient] = refuse_foreign(path, known, ReadSettings())
        except ChoiceError as error:
            told[patient] = str(error)
    assert told["P-1"] == ""
    assert "its study is not the scan's" in told["anonymous"]


def test_contours_that_are_cut_off_are_told_and_the_scans_are_added(tmp_path: Path) -> None:
    study = Study.create(tmp_path / "t.study", LabelSchema.from_names(["liver"]))
    for n, uids in ((1, OWN), (2, OTHER)):
        write_series(tmp_path / "in" / f"p{n}", random_voxels(SHAPE, seed=n), **uids)
    path = _contours(tmp_path / "rt.dcm", *OWN.values())
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"\x06\x30\x10\x00") + 14])  # ReferencedFrameOfReferenceSequence
    with pytest.raises(ScanError, match=r"rt\.dcm is damaged"):
        refuse_foreign(path, read_volume(tmp_path / "in" / "p1").acquisition, ReadSettings())
    assert _add(study, tmp_path / "in" / "p1", path).added == ()
    path.rename(tmp_path / "in" / "rt.dcm")
    report = _add(study, tmp_path / "in")
    assert len(report.added) == 2
    assert [name for name, why in report.refused if "rt.dcm is damaged" in why] == ["rt.dcm"]


def test_contours_say_by_what_they_refer_to(tmp_path: Path) -> None:
    rt = tmp_path / "rt.dcm"
    known = read_volume(write_series(tmp_path / "scan", random_voxels(SHAPE), **OWN)).acquisition
    for right in (("P-1", "1.1", "1.1.1", "1.1.9"), (None, "1.5", "1.1.1", "1.5.9")):
        refuse_foreign(_contours(rt, *right), known, ReadSettings())
    for wrong in (("P-2", "1.1", "1.1.1", "1.1.9"), (None, "1.5", "1.5.1", "1.5.9")):
        with pytest.raises(ChoiceError, match=r"rt\.dcm does not belong to this scan"):
            refuse_foreign(_contours(rt, *wrong), known, ReadSettings())


@pytest.mark.parametrize("deidentify", [True, False])
def test_references_in_dicom_belong_to_the_case_whose_series_they_refer_to(tmp_path: Path, deidentify: bool) -> None:
    study, one = _case(tmp_path, deidentify, **OWN)
    two = _add(study, write_series(tmp_path / "other", random_voxels(SHAPE), **OTHER), deidentify=deidentify).added[0]
    refs = tmp_path / "refs"
    (refs / "second").mkdir(parents=True)
    _seg(tmp_path / "seg", **OWN).rename(refs / "SEG0001.dcm")
    _seg(tmp_path / "later", **OTHER).rename(refs / "second" / "SEG0001.dcm")
    for case_id, folder in ((one, refs), (two, refs / "second")):
        import_correction(study, case_id, folder / "SEG0001.dcm", accept="all", author="ann")
    assert evaluate(study, refs, what="corrected").dice == {one: {1: 1.0}, two: {1: 1.0}}
    assert set(evaluate(study, refs / "SEG0001.dcm", what="corrected").dice) == {one}
    _seg(tmp_path / "again", **OWN).rename(refs / "again.dcm")
    found = evaluate(study, refs, what="corrected")
    assert {*found.dice} == {two}
    assert f"SEG0001.dcm and again.dcm in {refs} may all be the reference of case {one}" in found.doubts[0]
    (refs / "SEG0001.dcm").rename(refs / "second" / "again.dcm")
    with pytest.raises(InputError, match=rf"again\.dcm and second/again\.dcm in .* reference of case {one}"):
        evaluate(study, refs, what="corrected", cases=[one])
    with pytest.raises(InputError, match="also by the series that they refer to"):
        evaluate(study, _seg(tmp_path / "nobody", **{**OTHER, "SeriesInstanceUID": "1.9"}), what="corrected")


def test_a_reference_in_dicom_without_a_series_of_the_study_goes_by_its_name(tmp_path: Path) -> None:
    study = Study.create(tmp_path / "t.study", LabelSchema.from_names(["liver"]))
    seg = _seg(tmp_path / "scan", **OWN)
    scan = read_volume(tmp_path / "scan")
    study.cases.add("c1", "s1", Volume(scan.voxels, scan.geometry, ("CT",), "c1.nii.gz", "0" * 64))
    refs = tmp_path / "refs"
    refs.mkdir()
    import_correction(study, "c1", seg.rename(refs / "c1.dcm"), accept="all", author="ann")
    assert evaluate(study, refs, what="corrected").mean == 1.0


def test_the_names_of_references_count_before_the_series_that_others_refer_to(tmp_path: Path) -> None:
    study, one = _case(tmp_path, False, **OWN)
    again = write_series(tmp_path / "again", random_voxels(SHAPE, seed=2), **OWN)
    (two,) = _add(study, again, deidentify=False).added  # another scan of one series, as after an update
    refs = tmp_path / "refs"
    (refs / "old").mkdir(parents=True)
    seg = _seg(tmp_path / "seg", **OWN)
    for case_id in (one, two):
        import_correction(study, case_id, seg, accept="all", author="ann")
        shutil.copy(seg, refs / f"{case_id}.dcm")
    shutil.copy(seg, refs / "old" / "reader2.dcm")
    shutil.copy(seg, refs / "old" / f"{one}.dcm")
    found = evaluate(study, refs, what="corrected")
    assert (found.dice, found.doubts) == ({one: {1: 1.0}, two: {1: 1.0}}, ())
    (refs / f"{two}.dcm").unlink()
    damaged = _contours(refs / "old" / "reader2.dcm", *OWN.values())
    damaged.write_bytes((whole := damaged.read_bytes())[: whole.index(b"\x06\x30\x10\x00") + 14])
    assert evaluate(study, refs, what="corrected", cases=[one]).doubts == ()
    found = evaluate(study, refs, what="corrected")
    assert {*found.dice} == {one}
    assert "reader2.dcm is damaged" in found.doubts[0]


def test_an_object_that_lists_two_series_is_of_the_one_in_its_frame_of_reference(tmp_path: Path) -> None:
    study, one = _case(tmp_path, False, **OWN)
    cases = [one]
    for name, uids in (("later", LATER), ("beside", OTHER_SERIES)):
        scan = write_series(tmp_path / name, random_voxels(SHAPE, seed=len(name)), **uids)
        cases += _add(study, scan, deidentify=False).added
    seg = _seg(tmp_path / "seg", **OWN)
    for case_id in cases:
        settings = ReadSettings(foreign="take")
        import_correction(study, case_id, seg, accept="all", author="ann", settings=settings)
    told = {}
    for other in (LATER, OTHER_SERIES):
        data = pydicom.dcmread(seg)
        data.ReferencedSeriesSequence.extend(items(SeriesInstanceUID=other["SeriesInstanceUID"]))
        data.save_as(tmp_path / "both.dcm")
        try:
            told[other["SeriesInstanceUID"]] = [*evaluate(study, tmp_path / "both.dcm", what="corrected").dice]
        except InputError as error:
            told[other["SeriesInstanceUID"]] = str(error)
    assert told["1.2.1"] == [one]
    assert f"both.dcm refers to the series of the cases {cases[2]} and {one}: call it like the one" in told["1.1.2"]
