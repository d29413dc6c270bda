"""Many files and whole data sets into a study."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom import dcmread

import data_sets
from builders import OBLIQUE
from napari_apprentice.core.collecting import AddSettings
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import InputError
from napari_apprentice.loop.adding import add_scans, add_volume
from napari_apprentice.scans.datasets.finding import find_scans
from napari_apprentice.scans.datasets.found import ChannelFile, Found, FoundCase
from napari_apprentice.store.study import Study
from real_data import real_data

MOVED = OBLIQUE + np.array([[0, 0, 0, 0.4], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


@pytest.fixture
def study(tmp_path):
    return Study.create(tmp_path / "a.study", LabelSchema.from_names(["a", "b"]))


def add(study, paths, **more):
    """Add to the end and return the report."""
    work = add_scans(study, paths if isinstance(paths, Found) else [paths], **more)
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def test_a_label_map_that_is_given_as_a_scan_is_told(study, tmp_path):
    data_sets.scan(tmp_path / "in" / "a.nii.gz")
    data_sets.label_map(tmp_path / "in" / "b.nii.gz", 1, 2)
    (told,) = add(study, tmp_path / "in").warnings
    assert told.startswith("b.nii.gz was added as a scan, but holds few whole numbers")


def test_of_100_files_9_broken_ones_are_told_and_91_added(study, tmp_path):
    folder = tmp_path / "scans"
    for n in range(100):
        data_sets.scan(folder / f"s{n:02}.nii.gz", n, shape=(4, 3, 2))
    broken = {
        "s03": b"", "s11": b"<html>404</html>", "s22": b"version https://git-lfs.github.com/spec/v1\n",
        "s37": b"\x1f\x8b\x08\x00", "s41": b"PK\x03\x04", "s58": b"garbage" * 90, "s66": b"BZh91AY", "s79": b"\0" * 400,
    }  # fmt: skip
    for name, content in broken.items():
        (folder / f"{name}.nii.gz").write_bytes(content)
    whole = (folder / "s90.nii.gz").read_bytes()
    (folder / "s90.nii.gz").write_bytes(whole[: len(whole) // 2])
    report = add(study, folder)
    assert len(report.added) == 91
    assert [name for name, _ in report.refused] == [f"{n}.nii.gz" for n in sorted([*broken, "s90"])]
    assert all(reason.endswith(".") and len(reason) > 20 for _, reason in report.refused)
    assert len(study.cases.ids()) == 91


def test_a_data_set_brings_its_label_maps_as_accepted_revisions(study, tmp_path):
    report = add(study, data_sets.msd(tmp_path / "Task01"), author="ann")
    assert report.labelled == ("brain_001", "brain_002")
    revision = study.revisions.newest("brain_001")
    labels, status = study.revisions.read("brain_001", revision.name)
    assert set(np.unique(labels)) == {0, 1, 2}
    assert (status == 1).all()
    assert (revision.provenance.author, revision.provenance.origin) == ("ann", "import")
    assert study.cases.info("brain_001").subject == "brain_001"


def test_what_nnunet_says_to_ignore_stays_unseen(tmp_path):
    study = Study.create(tmp_path / "a.study", LabelSchema.from_names(["liver", "tumour"]))
    report = add(study, data_sets.nnunet(tmp_path / "Dataset001"), collect=AddSettings(missing="zero"))
    assert report.labelled == ("liver_01", "liver_02")
    labels, status = study.revisions.read("liver_01", study.revisions.newest("liver_01").name)
    assert sorted(np.unique(labels)) == [0, 1, 2]
    assert (status == 0).sum() == 1
    assert not labels[status == 0].any()


@pytest.mark.parametrize("dataset", [True, False])
def test_what_nobody_is_sure_about_stays_unseen_where_only_some_labels_are_taken(tmp_path, dataset):
    study = Study.create(tmp_path / "a.study", LabelSchema.from_names(["liver"]))
    folder = data_sets.nnunet(tmp_path / "Dataset001")
    if not dataset:
        data_sets.label_map(folder / "labelsTr" / "liver_01.nii.gz", 1, 2, 255)
        (folder / "dataset.json").unlink()
    add(study, folder, settings=ReadSettings(segments="1"), collect=AddSettings(missing="zero"))
    labels, status = study.revisions.read("liver_01", "r0001")
    assert [(labels == i).sum() for i in (1, 2)] == [1, 0]
    assert [(status == i).sum() for i in (0, 1)] == [1, 7 * 6 * 5 - 1]


def test_what_a_data_set_calls_its_labels_counts_more_than_a_header_that_was_copied_along(tmp_path):
    study = Study.create(tmp_path / "a.study", LabelSchema.from_names(["spleen", "liver", "tumour"]))
    folder = data_sets.nnunet(tmp_path / "Dataset001")
    path = folder / "labelsTr" / "liver_01.nii.gz"
    image = nib.load(path)
    label = b'<Label Key="1" Red="0" Green="1" Blue="0">spleen</Label>'
    text = b"<CaretExtension><LabelTable>" + label + b"</LabelTable></CaretExtension>"
    image.header.extensions.append(nib.nifti1.Nifti1Extension(0, text))
    nib.save(nib.Nifti1Image(np.asanyarray(image.dataobj), image.affine, image.header), path)
    report = add(study, folder, collect=AddSettings(missing="zero"))
    assert sorted(np.unique(study.revisions.read("liver_01", "r0001")[0])) == [0, 2, 3]
    assert any("1 is liver and not spleen, as its data set says" in w for w in report.warnings)


def test_labels_a_study_lacks_are_counted_and_the_scan_stays(study, tmp_path):
    folder = data_sets.msd(tmp_path / "Task01")
    (folder / "dataset.json").unlink()
    data_sets.label_map(folder / "labelsTr" / "brain_002.nii.gz", 1, 7, 7, 9)
    report = add(study, folder)
    assert (len(report.added), report.labelled) == (3, ("brain_001",))
    told = [w for w in report.warnings if w.startswith("brain_002 was added without its label map")]
    assert "7 (2 voxels), 9 (1 voxel)" in told[0]


def test_other_labels_of_a_whole_data_set_are_told_once(tmp_path):
    study = Study.create(tmp_path / "a.study", LabelSchema.from_names(["liver"]))
    report = add(study, data_sets.msd(tmp_path / "Task01", cases=9))
    assert (len(report.added), report.labelled) == (10, ())
    said = [w for w in report.warnings if "label" in w]
    assert len(said) == 2
    assert "1 a, 2 b, the study 1 liver" in said[0]
    assert "9 scans were added without their label maps" in said[1]


def test_label_maps_that_fit_by_chance_among_many_that_do_not_are_pointed_out(tmp_path):
    # Objects counted one by one: a picture of one nucleus looks as if it held the study's only label.
    study = Study.create(tmp_path / "a.study", LabelSchema.from_names(["nucleus"]))
    for n in range(14):
        data_sets.scan(tmp_path / "set" / "images" / f"{n:02}.nii.gz", n)
        data_sets.label_map(tmp_path / "set" / "labels" / f"{n:02}.nii.gz", 1, *([2, 3] if n else []))
    report = add(study, tmp_path / "set")
    assert report.labelled == ("00",)
    (note,) = report.warnings
    assert note.startswith("13 scans were added without their label maps; the first is 01: ")
    assert "Only 1 of 14 label maps have no other labels than the study's" in note


def test_labels_of_the_same_name_get_the_studys_ids(tmp_path):
    study = Study.create(tmp_path / "a.study", LabelSchema.from_names(["b", "a"]))
    folder = data_sets.msd(tmp_path / "Task01", cases=5)
    for path in (folder / "labelsTr").iterdir():
        data_sets.label_map(path, 1, 1, 1, 2)
    report = add(study, folder)
    labels, _ = study.revisions.read("brain_001", study.revisions.newest("brain_001").name)
    assert [(labels == i).sum() for i in (1, 2)] == [1, 3]
    assert sum("became" in w for w in report.warnings) == 1, "said once for all five"


def test_a_label_of_another_name_waits_for_an_answer_instead_of_being_taken_by_number(tmp_path):
    study = Study.create(tmp_path / "a.study", LabelSchema.from_names(["nucleus"]))
    folder = data_sets.msd(tmp_path / "Task01")
    data_sets.write_json(folder / "dataset.json", {"name": "L", "channel_names": {"0": "MR", "1": "T2"},
                                                   "labels": {"background": 0, "Liver": 1}})  # fmt: skip
    for path in (folder / "labelsTr").iterdir():
        data_sets.label_map(path, 1, 1)
    report = add(study, find_scans([folder], AddSettings(layout="msd")))
    assert report.added == ("brain_900",), "the one without a label map"
    assert [q.setting for q in report.questions] == ["match", "match"]
    assert "names its labels 1 Liver; this study has 1 nucleus, and no Liver" in report.questions[0].text
    by_number = add(study, find_scans([folder], AddSettings(layout="msd")), settings=ReadSettings(match="ids"))
    assert by_number.labelled == ("brain_001", "brain_002")
    assert any("1 Liver became 1 nucleus" in w for w in by_number.warnings)
    left = Study.create(tmp_path / "b.study", study.schema)
    assert len(add(left, folder, collect=AddSettings(layout="msd", labels=False)).added) == 3


def test_adding_a_data_set_again_gives_cases_the_label_maps_they_lack(study, tmp_path):
    folder = data_sets.msd(tmp_path / "Task01")
    assert add(study, folder, collect=AddSettings(labels=False)).labelled == ()
    again = add(study, folder)
    assert (again.added, again.labelled) == ((), ("brain_001", "brain_002"))
    assert [name for name, _ in again.already] == ["brain_900.nii.gz"]
    once_more = add(study, folder)
    assert len(once_more.already) == len(once_more.refused) == 3
    assert len(study.revisions.names("brain_001")) == 1


def test_a_scan_that_was_packed_or_converted_is_no_second_subject(study, tmp_path):
    folder = tmp_path / "scans"
    packed = data_sets.scan(folder / "a.nii.gz", 1, affine=np.diag([1.0, 1, 2, 1]))
    nib.save(nib.load(packed), folder / "a.nii")
    sitk.WriteImage(sitk.ReadImage(packed), folder / "other name.nrrd")
    report = add(study, folder)
    assert len(report.added) == len(study.cases.ids()) == 1
    assert len(report.already) == 2
    # Its grid put right, it is another scan.
    mended = nib.load(packed)
    nib.save(nib.Nifti1Image(np.asanyarray(mended.dataobj), np.diag([1, 1, 9, 1])), tmp_path / "mended.nii")
    assert add(study, tmp_path / "mended.nii").added == ("mended",)


def test_names_that_are_one_name_in_plain_letters_are_no_reason_to_refuse_a_scan(study, tmp_path):
    names = ["张伟_CT", "李娜_CT", "王芳_CT", "CT", "a b", "a_b", "a-b "]
    for n, name in enumerate(names):
        data_sets.scan(tmp_path / "scans" / f"{name}.nii.gz", n)
    report = add(study, tmp_path / "scans")
    assert report.refused == ()
    assert len(study.cases.ids()) == len({study.cases.info(c).subject for c in report.added}) == len(names)
    assert {study.cases.info(c).source_name for c in report.added} == {f"{name}.nii.gz" for name in names}


def test_a_damaged_case_keeps_no_scan_from_being_added(study, tmp_path):
    for n, name in enumerate("ab"):
        add(study, data_sets.scan(tmp_path / f"{name}.nii.gz", n))
    (study.cases.folder("a") / "image" / "zarr.json").write_text("{")
    assert add(study, data_sets.scan(tmp_path / "c.nii.gz", 2)).added == ("c",)
    assert add(study, tmp_path / "b.nii.gz").already
    assert add(study, data_sets.scan(tmp_path / "more" / "a.nii.gz", 3)).added == ("more_a",), "its id stays taken"


def test_nobody_gets_the_number_of_the_person_of_a_damaged_case(study, tmp_path):
    hidden = ReadSettings(hide_names=True)
    for n in range(2):
        add(study, data_sets.scan(tmp_path / f"{n}.nii.gz", n), settings=hidden)
    assert study.cases.info("case-0002").subject == "subject-0002"
    (study.cases.folder("case-0002") / "image" / "zarr.json").write_text("{")
    (case,) = add(study, data_sets.scan(tmp_path / "new.nii.gz", 2), settings=hidden).added
    assert study.cases.info(case).subject == "subject-0003"


def test_the_label_map_beside_a_packed_copy_goes_to_the_case_that_is_there(study, tmp_path):
    packed = data_sets.scan(tmp_path / "in" / "a.nii.gz", 1)
    nib.save(nib.load(packed), tmp_path / "a.nii")
    (case,) = add(study, tmp_path / "a.nii").added
    data_sets.label_map(tmp_path / "in" / "a_seg.nii.gz", 1, 1)
    assert add(study, tmp_path / "in").labelled == (case,)


def test_masks_in_a_folder_beside_each_scan_are_its_label_map_and_no_scans(tmp_path):
    study = Study.create(tmp_path / "t.study", LabelSchema.from_names(["spleen", "liver"]))
    for n in (1, 2):  # as TotalSegmentator's data set is laid out
        person = tmp_path / "in" / f"s000{n}"
        data_sets.scan(person / "ct.nii.gz", n)
        data_sets.label_map(person / "segmentations" / "liver.nii.gz", 1, 0)
        data_sets.label_map(person / "segmentations" / "spleen.nii.gz", 0, 1)
    report = add(study, tmp_path / "in")
    assert report.added == report.labelled == ("s0001_ct", "s0002_ct")
    voxels = study.revisions.read("s0001_ct", "r0001")[0]
    assert {i: int((voxels == i).sum()) for i in (1, 2)} == {1: 1, 2: 1}
    other = Study.create(tmp_path / "o.study", LabelSchema.from_names(["liver"]))
    told = add(other, tmp_path / "in").warnings
    assert any("s0001_ct was added without its label map" in w and "spleen" in w for w in told)
    again = Study.create(tmp_path / "p.study", LabelSchema.from_names(["liver"]))
    assert add(again, tmp_path / "in", settings=ReadSettings(segments="liver")).labelled == ("s0001_ct", "s0002_ct")


def test_a_folder_with_a_mask_that_the_study_lacks_is_refused_before_all_of_it_is_read(tmp_path):
    person = tmp_path / "in" / "s1"
    data_sets.scan(person / "ct.nii.gz", 1)
    data_sets.label_map(person / "segmentations" / "aorta.nii.gz", 1)
    (person / "segmentations" / "liver.nii.gz").write_bytes(b"would be told as damaged if it were read")
    study = Study.create(tmp_path / "t.study", LabelSchema.from_names(["liver"]))
    report = add(study, tmp_path / "in")
    assert any("segmentations has masks of aorta, which this study does not have" in w for w in report.warnings)


def test_of_two_folders_of_masks_beside_a_scan_one_is_chosen_and_neither_becomes_cases(tmp_path):
    for n in (1, 2):
        person = tmp_path / "in" / f"s{n}"
        data_sets.scan(person / "ct.nii.gz", n)
        for folder, values in (("labels_draft", (1, 1, 0)), ("segmentations", (1, 0, 0))):
            data_sets.label_map(person / folder / "liver.nii.gz", *values)
            data_sets.label_map(person / folder / "spleen.nii.gz", 0, 0, 1)
    study = Study.create(tmp_path / "t.study", LabelSchema.from_names(["liver", "spleen"]))
    report = add(study, tmp_path / "in")
    assert (report.added, [q.setting for q in report.questions]) == ((), ["labels_from"] * 2)
    assert {key for key, _ in report.questions[0].choices} == {"labels_draft", "segmentations"}
    report = add(study, tmp_path / "in", collect=AddSettings(labels_from="labels_draft"))
    assert report.added == report.labelled == ("s1_ct", "s2_ct")
    assert (study.revisions.read("s1_ct", "r0001")[0] == 1).sum() == 2
    one = find_scans([tmp_path / "in"], AddSettings(labels_from="segmentations/spleen"))
    assert [c.labels.name for c in one.cases] == ["spleen.nii.gz"] * 2


def test_a_label_map_on_another_grid_is_left_out_or_resampled_when_asked(study, tmp_path):
    folder = data_sets.msd(tmp_path / "Task01")
    data_sets.label_map(folder / "labelsTr" / "brain_001.nii.gz", *[1] * 100, affine=MOVED)
    report = add(study, folder)
    assert report.labelled == ("brain_002",)
    assert any(w.startswith("brain_001 was added without its label map") and "--resample" in w for w in report.warnings)
    other = Study.create(tmp_path / "b.study", study.schema)
    assert add(other, folder, collect=AddSettings(resample=True)).labelled == ("brain_001", "brain_002")


def test_subjects_come_from_the_data_set_or_from_the_person(tmp_path):
    study = Study.create(tmp_path / "a.study", LabelSchema.from_names(["lesion"]))
    folder = data_sets.bids(tmp_path / "ds")
    assert add(study, folder).added == ("sub-01_ses-a", "sub-01_ses-b", "sub-02")
    assert [study.cases.info(c).subject for c in study.cases.ids()] == ["sub-01", "sub-01", "sub-02"]
    assert study.cases.info("sub-02").channels == ("FLAIR", "T1w", "T1w-gad")
    other = Study.create(tmp_path / "b.study", study.schema)
    add(other, folder, subject="me")
    assert {other.cases.info(c).subject for c in other.cases.ids()} == {"me"}


def test_contrasts_on_other_grids_are_asked_about_and_the_rest_goes_on(tmp_path):
    study = Study.create(tmp_path / "a.study", LabelSchema.from_names(["lesion"]))
    folder = data_sets.bids(tmp_path / "ds")
    data_sets.scan(folder / "sub-02/anat/sub-02_T1w.nii.gz", 77, MOVED)
    report = add(study, folder)
    assert report.added == ("sub-01_ses-a", "sub-01_ses-b")
    (question,) = report.questions
    assert (question.case, question.setting) == ("sub-02", "reference")
    apart = add(study, folder, collect=AddSettings(reference="separate"))
    assert apart.added == ("sub-02_FLAIR", "sub-02_T1w", "sub-02_T1w-gad")
    assert {study.cases.info(c).subject for c in apart.added} == {"sub-02"}


def test_several_label_maps_are_asked_about_and_the_answer_works(tmp_path):
    study = Study.create(tmp_path / "a.study", LabelSchema.from_names(["lesion", "other"]))
    folder = data_sets.bids(tmp_path / "ds")
    data_sets.label_map(folder / "derivatives/net/sub-02/anat/sub-02_dseg.nii.gz", 1)
    data_sets.label_map(folder / "derivatives/hand/sub-02/anat/sub-02_dseg.nii.gz", 2)
    (question,) = add(study, folder).questions
    assert question.setting == "labels_from"
    answer = next(value for value, _ in question.choices if "net" in value)
    assert add(study, folder, collect=AddSettings(labels_from=answer)).labelled == ("sub-02",)
    labels, _ = study.revisions.read("sub-02", study.revisions.newest("sub-02").name)
    assert labels.max() == 1


def test_the_same_scan_is_not_added_twice_even_as_a_channel(study, tmp_path):
    a, b = data_sets.scan(tmp_path / "a.nii.gz", 1), data_sets.scan(tmp_path / "b.nii.gz", 2)
    pair = Found("files", (FoundCase("pair", "", (ChannelFile("T1", a), ChannelFile("T2", b))),))
    assert add(study, pair).added == ("pair",)
    ((name, reason),) = add(study, b).refused
    assert name == "b.nii.gz"
    assert "already, as case pair" in reason
    assert "already" in add(study, pair).refused[0][1]


def test_hidden_names_never_reach_the_study(study, tmp_path):
    folder = tmp_path / "scans"
    for n, name in enumerate(("SMITH_JOHN", "DOE_JANE")):
        data_sets.scan(folder / f"{name}.nii.gz", n)
    data_sets.scan(folder / "nan_MILLER.nii.gz", 7)
    report = add(study, folder, settings=ReadSettings(hide_names=True))
    assert report.added == ("case-0001", "case-0002", "case-0003")
    assert [study.cases.info(c).subject for c in report.added] == ["subject-0001", "subject-0002", "subject-0003"]
    held = b"".join(p.read_bytes() + p.name.encode() for p in study.path.rglob("*") if p.is_file())
    assert not any(name in held for name in (b"SMITH", b"DOE", b"MILLER"))


def test_hidden_names_keep_scans_of_one_person_together(study, tmp_path):
    report = add(study, data_sets.brats(tmp_path / "training", new=True), settings=ReadSettings(hide_names=True))
    assert {study.cases.info(c).subject for c in report.added} == {"subject-0001"}
    scan = data_sets.scan(tmp_path / "later.nii.gz", 50)
    later = add(study, scan, settings=ReadSettings(hide_names=True))
    assert later.added == ("case-0003",)
    assert any("not recognised" in w for w in later.warnings)
    assert not any("not recognised" in w for w in report.warnings)


def test_warnings_do_not_show_hidden_names(study, tmp_path):
    scan = data_sets.write_nifti(tmp_path / "SMITH.nii.gz", np.zeros((5, 4, 3), np.int16))
    report = add(study, scan, settings=ReadSettings(hide_names=True))
    assert report.warnings
    assert not any("SMITH" in w for w in report.warnings)


def test_channel_names_that_come_from_single_files_are_hidden_too(study, tmp_path):
    for person in ("SMITH", "DOE"):
        data_sets.scan(tmp_path / "set" / person / "CT.nii.gz", len(person))
        data_sets.scan(tmp_path / "set" / person / f"{person}_extra.nii.gz", 9 + len(person))
    report = add(study, tmp_path / "set", settings=ReadSettings(hide_names=True))
    assert [study.cases.info(c).channels for c in report.added] == [("CT", "c1"), ("CT", "c1")]


def test_each_series_of_a_folder_is_a_case_when_asked(study):
    folder = real_data("odd", "made", "dcm_two_series")
    (question,) = add(study, folder).questions
    assert question.setting == "series"
    assert question.path == folder
    report = add(study, folder, settings=ReadSettings(series="all"))
    assert question.choices[-1][0] == "all"
    assert len(report.added) == len(question.choices) - 1
    assert "dcm_two_series" not in "".join(report.added), "a folder's name may be a person's"


def test_a_tree_of_dicom_folders_named_after_people_leaves_no_name(study, tmp_path):
    for person, series in (("SMITH^JOHN", "one"), ("SMITH^JOHN", "two"), ("DOE^JANE", "one")):
        folder = tmp_path / "tree" / person / f"{person}_{series}"
        folder.mkdir(parents=True)
        for path in sorted(real_data("odd", "made", "dcm_ok").iterdir()):
            slice_ = dcmread(path)
            slice_.decompress()
            slice_.PatientName, slice_.PatientID = person, f"ID-{person}"
            slice_.SeriesInstanceUID = f"1.2.{len(person)}.{ord(series[0])}"
            slice_.PixelData = bytes([ord(series[0]) % 7, len(person)]) + slice_.PixelData[2:]
            slice_.save_as(folder / path.name)
    report = add(study, tmp_path / "tree")
    assert len(report.added) == 3, report
    subjects = [study.cases.info(c).subject for c in report.added]
    assert len(set(subjects)) == 2, "two scans of one person stay together"
    assert all(c.startswith(s) for c, s in zip(report.added, subjects, strict=True))
    held = b"".join(
        p.read_bytes() + str(p.relative_to(study.path)).encode() for p in study.path.rglob("*") if p.is_file()
    )
    assert not any(name in held for name in (b"SMITH", b"DOE", b"JANE"))


def test_a_dicom_seg_comes_with_the_series_it_refers_to(tmp_path):
    study = Study.create(tmp_path / "a.study", LabelSchema.from_names(["liver"]))
    report = add(study, real_data("dicom", "dcmqi_segmentations", "23x38x3"))
    assert len(report.labelled) == 1, report
    labels, _ = study.revisions.read(report.labelled[0], "r0001")
    assert labels.any()


def test_of_several_contours_of_one_series_one_is_chosen(tmp_path):
    study = Study.create(tmp_path / "a.study", LabelSchema.from_names(["a", "b"]))
    found = find_scans([real_data("dicom", "rtstruct_rtutils", "mock_data")])
    (question,) = add(study, found).questions
    assert question.setting == "labels_from"
    assert any(value.endswith("rt.dcm") for value, _ in question.choices)
    chosen = AddSettings(labels_from=question.choices[-1][0])
    (question,) = add(study, found, collect=chosen).questions
    assert question.setting == "match", "its contours are called ROI-1 and ROI-2"
    report = add(study, found, settings=ReadSettings(match="ids"), collect=chosen)
    assert len(report.added) == len(report.labelled) == 1


def test_series_of_one_study_can_be_channels_of_one_case(study):
    found = find_scans([real_data("odd", "made", "dcm_two_series")], AddSettings(per="study"))
    report = add(study, found, collect=AddSettings(per="study"))
    if report.questions:
        choice = report.questions[0].choices[0][0]
        report = add(study, found, collect=AddSettings(per="study", reference=choice))
    assert len(report.added) == 1
    assert len(study.cases.info(report.added[0]).channels) == 2


def test_sarcoma_by_channel_keeps_each_grids_own_label_map(tmp_path):
    study = Study.create(tmp_path / "a.study", LabelSchema.from_names(["tumour"]))
    found = find_scans([real_data("sarcoma")])
    one = replace(found, cases=found.cases[2:3])
    report = add(study, one, collect=AddSettings(reference="PET"))
    assert report.labelled == report.added == ("STS_024",)
    info = study.cases.info("STS_024")
    assert (info.channels, info.shape) == (("CT", "MR_T1", "PET"), study.cases.levels("STS_024")[0].shape[1:])
    apart = add(Study.create(tmp_path / "b.study", study.schema), one, collect=AddSettings(reference="separate"))
    assert apart.labelled == ("STS_024_CT", "STS_024_MR_T1", "STS_024_PET")


def test_a_case_id_and_a_label_map_go_with_one_scan(study, tmp_path):
    for n in range(2):
        data_sets.scan(tmp_path / "scans" / f"{n}.nii.gz", n)
    with pytest.raises(InputError, match="--case goes with one scan, not with 2"):
        add(study, tmp_path / "scans", collect=AddSettings(case="x"))
    assert add(study, tmp_path / "scans" / "0.nii.gz", collect=AddSettings(case="../x")).refused
    assert add(study, tmp_path / "scans" / "0.nii.gz", collect=AddSettings(case="x")).added == ("x",)
    assert "already" in add(study, tmp_path / "scans" / "1.nii.gz", collect=AddSettings(case="X")).refused[0][1]


def test_a_damaged_case_keeps_no_scan_of_several_channels_from_being_added_in_order(study):
    for case_id in ("a", "b"):
        add_volume(study, two_channels("T1", "T2"), case_id)
    (study.cases.root / "a" / "image" / "zarr.json").write_text("{")
    add_volume(study, two_channels("T2", "T1"), "c")
    assert study.cases.info("c").channels == ("T1", "T2")


def two_channels(*names):
    """A small volume."""
    voxels = np.arange(2 * 4 * 3 * 2, dtype=np.float32).reshape(2, 4, 3, 2)
    return Volume(voxels, Geometry.from_source((2, 3, 4), np.eye(4)), names, "a.nii.gz", "0" * 64)
