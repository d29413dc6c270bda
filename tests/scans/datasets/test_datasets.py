import time
from pathlib import Path

import pytest

import data_sets as layouts
from dicom_builder import header, random_voxels, write_series
from napari_apprentice.core.collecting import AddSettings
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.errors import InputError
from napari_apprentice.scans.datasets.finding import find_scans
from napari_apprentice.store.study import Study
from real_data import real_data


def names(found):
    return [c.case_id for c in found.cases]


def test_a_decathlon_folder_with_channels_labels_and_test_scans(tmp_path):
    found = find_scans([layouts.msd(tmp_path / "Task01")])
    assert (found.kind, found.title) == ("msd", "Brains")
    assert names(found) == ["brain_001", "brain_002", "brain_900"]
    assert [c.has_labels for c in found.cases] == [True, True, False]
    assert found.channels == ("FLAIR", "T1w")
    assert found.subjects == ("brain_001", "brain_002", "brain_900")
    assert [x.name for x in found.schema.labels] == ["a", "b"]


def test_a_listed_scan_that_is_not_there_is_told(tmp_path):
    folder = layouts.msd(tmp_path / "Task01")
    (folder / "imagesTr" / "brain_002.nii.gz").unlink()
    ((name, reason),) = find_scans([folder]).refused
    assert name == "brain_002.nii.gz"
    assert "does not hold it" in reason


def test_a_broken_dataset_json_costs_only_the_names(tmp_path):
    folder = layouts.msd(tmp_path / "Task01")
    (folder / "dataset.json").write_text("{", encoding="utf-8")
    found = find_scans([folder])
    assert len(found.cases) == 3
    assert found.schema is None
    assert any("dataset.json" in note for note in found.notes)


def test_the_real_hippocampus_set():
    found = find_scans([real_data("hippocampus")])
    assert (found.kind, len(found.cases), found.channels) == ("msd", 195, ("MRI",))
    assert all(c.labels for c in found.cases)
    assert not found.refused
    assert [(x.id, x.name) for x in found.schema.labels] == [(1, "Anterior"), (2, "Posterior")]


def test_nnunet_channels_by_number_with_a_missing_one_and_ignore(tmp_path):
    found = find_scans([layouts.nnunet(tmp_path / "Dataset001_Liver")])
    assert (found.kind, found.ignore, names(found)) == ("nnunet", 3, ["liver_01", "liver_02"])
    assert [(f.name, f.path is None) for f in found.cases[1].channels] == [("CT", False), ("PET", True)]
    assert [x.name for x in found.schema.labels] == ["liver", "tumour"]


def test_nnunet_v1_is_told_from_the_decathlon_by_its_file_names(tmp_path):
    folder = layouts.msd(tmp_path / "Task501")
    for path in [*folder.glob("images*/brain*")]:
        path.rename(path.with_name(path.name.replace(".nii.gz", "_0000.nii.gz")))
    found = find_scans([folder])
    assert (found.kind, names(found)) == ("nnunet", ["brain_001", "brain_002", "brain_900"])
    assert found.cases[0].labels


def test_regions_of_nnunet_get_the_ids_they_are_painted_with(tmp_path):
    folder = layouts.nnunet(tmp_path / "Dataset002")
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": [3]}
    layouts.write_json(folder / "dataset.json", {"channel_names": {"0": "MR"}, "labels": labels,
                                                 "regions_class_order": [1, 2, 3]})  # fmt: skip
    schema = find_scans([folder]).schema
    assert [(x.id, x.name) for x in schema.labels] == [(1, "whole"), (2, "core"), (3, "enhancing")]


def test_a_folder_of_data_sets_asks_for_one(tmp_path):
    layouts.nnunet(tmp_path / "raw" / "Dataset001_Liver")
    assert find_scans([tmp_path / "raw"]).kind == "nnunet"
    layouts.msd(tmp_path / "raw" / "Dataset002_Brain")
    with pytest.raises(InputError, match="Dataset001_Liver, Dataset002_Brain"):
        find_scans([tmp_path / "raw"])


@pytest.mark.parametrize(("new", "subjects"), [(False, ("BraTS20_001", "BraTS20_002")), (True, ("BraTS-GLI-00001",))])
def test_brats_of_both_namings(tmp_path, new, subjects):
    found = find_scans([layouts.brats(tmp_path / "training", new=new)])
    assert (found.kind, found.channels, found.subjects) == ("brats", ("T1", "T1CE", "T2", "FLAIR"), subjects)
    assert all(c.labels and "seg" in c.labels.name for c in found.cases)
    assert found.schema.ids == ((1, 2, 3) if new else (1, 2, 4))


def test_a_brain_collection_with_seg_but_other_contrasts_is_not_taken_for_brats(tmp_path):
    for person in ("p1", "p2"):
        for name in ("t1", "t2", "flair"):
            layouts.scan(tmp_path / person / f"{name}.nii.gz")
        layouts.label_map(tmp_path / person / "seg.nii.gz", 1)
    found = find_scans([tmp_path])
    assert (found.kind, found.schema) == ("folders", None)
    assert all(c.labels for c in found.cases)


def test_a_brats_case_without_a_contrast_lacks_that_channel(tmp_path):
    folder = layouts.brats(tmp_path / "training", new=False)
    (folder / "BraTS20_002" / "BraTS20_002_t2.nii.gz").unlink()
    found = find_scans([folder])
    assert [f.name for f in found.cases[1].channels if f.path is None] == ["T2"]


def test_bids_sessions_with_contrasts_as_channels(tmp_path):
    found = find_scans([layouts.bids(tmp_path / "ds")])
    assert (found.kind, found.title, found.subjects) == ("bids", "Lesions", ("sub-01", "sub-02"))
    assert names(found) == ["sub-01_ses-a", "sub-01_ses-b", "sub-02"]
    assert found.channels == ("FLAIR", "T1w", "T1w-gad")
    assert [c.labels is not None for c in found.cases] == [True, True, False], "a map in template space is not taken"
    assert found.schema.name(1) == "lesion"


def test_of_several_bids_label_maps_one_is_chosen_by_path(tmp_path):
    folder = layouts.bids(tmp_path / "ds")
    layouts.label_map(folder / "derivatives/net/sub-02/anat/sub-02_dseg.nii.gz", 1)
    layouts.label_map(folder / "derivatives/hand/sub-02/anat/sub-02_dseg.nii.gz", 1)
    assert len(find_scans([folder]).cases[2].choices) == 2
    chosen = find_scans([folder], AddSettings(labels_from="derivatives/net"))
    assert chosen.cases[2].labels.parts[-4] == "net"


def test_a_second_run_of_a_contrast_is_a_case_of_its_own_of_the_same_subject(tmp_path):
    folder = layouts.bids(tmp_path / "ds")
    layouts.scan(folder / "sub-02/anat/sub-02_run-2_T1w.nii.gz")
    found = find_scans([folder])
    assert [(c.case_id, c.subject) for c in found.cases[2:]] == [("sub-02", "sub-02"), ("sub-02_run-2_T1w", "sub-02")]


def test_names_and_colours_of_bids_labels_come_from_the_table_beside_them(tmp_path):
    folder = layouts.bids(tmp_path / "ds")
    table = folder / "derivatives" / "hand" / "desc-hand_dseg.tsv"
    table.write_text("index\tname\tcolor\n0\tbackground\t#000000\n1\tlesion\t#ff0000\n", encoding="utf-8")
    assert [(x.id, x.name, x.colour) for x in find_scans([folder]).schema.labels] == [(1, "lesion", "#ff0000")]


def test_folders_of_patients_with_a_label_map_on_each_channels_grid():
    found = find_scans([real_data("sarcoma")])
    assert (found.kind, len(found.cases), found.channels) == ("folders", 8, ("CT", "MR_T1", "PET"))
    assert all(f.labels.name == f"{f.name}_tumour.nii.gz" for c in found.cases for f in c.channels)
    assert found.schema.name(1) == "tumour"


def test_label_maps_of_a_case_without_a_channels_name_are_the_cases():
    found = find_scans([real_data("ms_lesions")], AddSettings(layout="folders"))
    (case,) = found.cases
    assert [f.name for f in case.channels] == ["FLAIR", "T1", "T1POST", "T2"]
    assert case.labels.name == "lesions.nii.gz"
    assert found.schema.name(1) == "lesions"


def test_several_label_maps_in_a_persons_folder_are_to_be_chosen_from(tmp_path):
    for person in ("p1", "p2"):
        layouts.scan(tmp_path / person / "T1.nii.gz")
        for reader in ("ann", "bob"):
            layouts.label_map(tmp_path / person / f"{reader}_mask.nii.gz", 1)
    assert [len(c.choices) for c in find_scans([tmp_path]).cases] == [2, 2]
    chosen = find_scans([tmp_path], AddSettings(labels_from="bob"))
    assert [c.labels.name for c in chosen.cases] == ["bob_mask.nii.gz"] * 2
    assert chosen.schema is None, "a mask does not say of what"


PAIRED = [("a", "a_seg"), ("volume-0", "segmentation-0"), ("img0001", "label0001"), ("c1_image", "c1_label"),
          ("CASE.1", "mask_case.1"), ("x", "x.gt"), ("c_0000", "c_mask")]  # fmt: skip


@pytest.mark.parametrize(("scan", "label_map"), PAIRED)
def test_a_scan_and_the_label_map_named_after_it_are_one_case(tmp_path, scan, label_map):
    for other in ("b", "z"):
        layouts.scan(tmp_path / f"{other}.nii.gz")
    layouts.scan(tmp_path / f"{scan}.nii.gz")
    layouts.label_map(tmp_path / f"{label_map}.nii.gz", 1)
    for given in ([tmp_path], sorted(tmp_path.iterdir())):
        found = find_scans(given)
        assert {c.channels[0].path.name: c.labels and c.labels.name for c in found.cases} == {
            "b.nii.gz": None, f"{scan}.nii.gz": f"{label_map}.nii.gz", "z.nii.gz": None}  # fmt: skip
        assert f"{label_map}.nii.gz is taken as the label map of {scan}.nii.gz" in found.notes[0]
    as_files = find_scans([tmp_path], AddSettings(layout="files"))
    assert len(as_files.cases) == 4
    assert "named like a label map but taken as a scan" in as_files.notes[0]


def test_a_label_map_of_nobody_among_plain_scans_is_pointed_out(tmp_path):
    for name in ("a", "b"):
        layouts.scan(tmp_path / f"{name}.nii.gz")
    layouts.label_map(tmp_path / "mask.nii.gz", 1)
    (note,) = find_scans([tmp_path]).notes
    assert note.startswith("mask.nii.gz is named like a label map but taken as a scan")


def test_the_folder_of_a_single_person_is_one_case_like_its_parent_is_several():
    found = find_scans([real_data("sarcoma", "STS_005")])
    (case,) = found.cases
    assert (found.kind, case.case_id, case.subject, found.channels) == (
        "folders", "STS_005", "STS_005", ("CT", "MR_T1", "PET"))  # fmt: skip
    assert found.schema.name(1) == "tumour"
    assert case == next(c for c in find_scans([real_data("sarcoma")]).cases if c.case_id == "STS_005")
    (case,) = find_scans([real_data("ms_lesions", "patient07")]).cases
    assert [f.name for f in case.channels] == ["FLAIR", "T1", "T1POST", "T2"]
    assert (case.case_id, case.labels.name) == ("patient07", "lesions.nii.gz")
    (case,) = find_scans([real_data("abdomen_ct")]).cases
    assert (case.case_id, case.labels.name, case.channels[0].name) == ("abdomen_ct", "labels_117.nii.gz", "")


def test_a_person_is_told_by_the_reference_or_by_contrasts_after_a_common_start(tmp_path):
    for name in ("before", "after"):
        layouts.scan(tmp_path / "x" / f"{name}.nii.gz")
    assert len(find_scans([tmp_path / "x"]).cases) == 2
    assert len(find_scans([tmp_path / "x"], AddSettings(reference="after")).cases) == 1
    for person in ("p1", "p2"):
        for name in ("T1", "adc", "CT_venous", "lesion"):
            layouts.scan(tmp_path / "y" / person / f"{person}_{name}.nii.gz")
    (case,) = find_scans([tmp_path / "y" / "p1"]).cases
    assert (case.case_id, [f.name for f in case.channels]) == ("p1", ["CT_venous", "T1", "adc"])
    assert case.labels.name == "p1_lesion.nii.gz"
    both = find_scans([tmp_path / "y"])
    assert (names(both), both.channels) == (["p1", "p2"], ("CT_venous", "T1", "adc"))


def test_scans_called_after_persons_are_not_one_person(tmp_path):
    for n in range(4):
        layouts.scan(tmp_path / f"P{n}.nii.gz")
        layouts.label_map(tmp_path / f"P{n}_mask.nii.gz", 1)
    found = find_scans([tmp_path])
    assert (found.kind, names(found)) == ("pairs", ["P0", "P1", "P2", "P3"])
    assert all(c.labels for c in found.cases)


@pytest.mark.parametrize("settings", [{"reference": "XX"}, {"labels_from": "XX"}])
def test_an_answer_to_no_question_is_refused_not_ignored(tmp_path, settings):
    for name in ("a", "b"):
        layouts.scan(tmp_path / "plain" / f"{name}.nii.gz")
    sets = (tmp_path / "plain", layouts.bids(tmp_path / "ds"), layouts.brats(tmp_path / "b", new=True))
    for folder in sets[:2] if "labels_from" in settings else sets:
        with pytest.raises(InputError, match="XX"):
            find_scans([folder], AddSettings(**settings))


def test_a_single_subject_of_a_bids_or_brats_set_is_understood_like_the_set(tmp_path):
    folder = layouts.bids(tmp_path / "ds")
    whole = find_scans([folder])
    for place, count in (("sub-01", 2), ("sub-01/ses-b", 1), ("sub-02/anat", 1)):
        found = find_scans([folder / place])
        assert (found.kind, len(found.cases), found.schema) == (
            "bids",
            count,
            whole.schema if place[:6] == "sub-01" else None,
        )
        assert set(found.cases) <= set(whole.cases)
    brats = layouts.brats(tmp_path / "b", new=True)
    assert find_scans([brats / "BraTS-GLI-00001-000"]).cases == find_scans([brats]).cases[:1]


def test_images_and_labels_are_pairs_in_all_their_spellings(tmp_path):
    for images, maps, end in (("images", "labels", ""), ("img", "mask", "_mask"), ("scans", "segmentations", "_seg")):
        folder = tmp_path / images
        for n in range(3):
            layouts.scan(folder / "train" / images / f"{n}.nii.gz")
            layouts.scan(folder / "val" / images / f"v{n}.nii.gz")
            if n:
                layouts.label_map(folder / "train" / maps / f"{n}{end}.nii.gz", 1)
                layouts.label_map(folder / "val" / maps / f"v{n}{end}.nii.gz", 1)
        found = find_scans([folder])
        assert (found.kind, names(found)) == ("pairs", ["0", "1", "2", "v0", "v1", "v2"])
        assert [c.labels is not None for c in found.cases] == [False, True, True] * 2
        assert f"1 scans of {images} have no label map." in found.notes
        both = find_scans([folder / "train" / images, folder / "train" / maps])
        assert (both.kind, [c.case_id for c in both.cases if c.labels]) == ("pairs", ["1", "2"])
        alone = find_scans([folder / "train" / images])
        assert not any(c.labels for c in alone.cases)
        assert alone.notes[0].startswith(f"{maps} lies beside it and was left out")
        assert f"{maps} is named like a folder of label maps" in find_scans([folder / "train" / maps]).notes[-1]


def test_a_channel_that_most_persons_have_is_missing_where_one_lacks_it(tmp_path):
    for person in ("p1", "p2", "p3"):
        for name in ("T1", "T2", *(["PET"] if person == "p1" else [])):
            layouts.scan(tmp_path / "folders" / person / f"{name}.nii.gz")
    (tmp_path / "folders" / "p2" / "T1.nii.gz").unlink()
    found = find_scans([tmp_path / "folders"])
    assert [[(f.name, f.path is None) for f in c.channels] for c in found.cases] == [
        [("PET", False), ("T1", False), ("T2", False)],
        [("T1", True), ("T2", False)],
        [("T1", False), ("T2", False)],
    ]
    bids = layouts.bids(tmp_path / "ds")
    (bids / "sub-01/ses-b/anat/sub-01_ses-b_FLAIR.nii.gz").unlink()
    layouts.scan(bids / "sub-02/anat/sub-02_run-2_T1w.nii.gz")
    lacking = {c.case_id: [f.name for f in c.channels if f.path is None] for c in find_scans([bids]).cases}
    assert lacking == {"sub-01_ses-a": [], "sub-01_ses-b": ["FLAIR"], "sub-02": [], "sub-02_run-2_T1w": []}


def test_a_thousand_files_are_understood_at_once(tmp_path):
    scan = layouts.scan(tmp_path / "s0000.nii.gz").read_bytes()
    for n in range(1, 1000):
        (tmp_path / f"s{n:04}.nii.gz").write_bytes(scan)
        (tmp_path / f"s{n:04}_seg.nii.gz").write_bytes(scan)
    start = time.perf_counter()
    found = find_scans([tmp_path])
    assert time.perf_counter() - start < 10, "it took minutes when every name was compared with every other"
    assert sum(c.labels is not None for c in found.cases) == 999


def test_nuclei_are_pairs():
    found = find_scans([real_data("nuclei")])
    assert found.kind == "pairs"
    assert all(c.labels and c.labels.parent.name == "labels" for c in found.cases)
    assert find_scans([real_data("nuclei", "images"), real_data("nuclei", "labels")]).cases == found.cases


def test_images_tr_by_itself_and_with_labels_tr_named(tmp_path):
    folder = layouts.nnunet(tmp_path / "Dataset001")
    both = find_scans([folder / "imagesTr", folder / "labelsTr"])
    assert both == find_scans([folder])
    alone = find_scans([folder / "imagesTr"])
    assert [c.channels for c in alone.cases] == [c.channels for c in both.cases], "not each channel a case"
    assert not any(c.labels for c in alone.cases)
    assert "labelsTr lies beside it" in alone.notes[-1]


def test_links_to_files_that_were_not_fetched_are_named(tmp_path):
    folder = layouts.bids(tmp_path / "ds")
    for path in (*folder.glob("sub-01/ses-a/anat/*T1w*"), *folder.glob("derivatives/hand/sub-01/ses-b/anat/*lesion*")):
        path.unlink()
        path.symlink_to("../.git/annex/nothing")
    (folder / "sub-03").symlink_to("nowhere")
    found = find_scans([folder])
    assert names(found) == ["sub-01_ses-b", "sub-02"]
    assert found.cases[0].labels is None
    assert all("link to a file that is not here" in reason for _, reason in found.refused)
    assert len(found.refused) == 2
    assert any("1 label maps are links" in n for n in found.notes)
    assert any("sub-03" in n and "datalad get" in n for n in found.notes)
    for n in range(3):
        (tmp_path / "dicom").mkdir(exist_ok=True)
        (tmp_path / "dicom" / f"{n}.dcm").symlink_to("nothing")
    assert "3 links to files that are not here: 0.dcm, 1.dcm, 2.dcm" in find_scans([tmp_path / "dicom"]).notes[0]


def test_scans_in_folders_of_no_known_layout_are_found_below(tmp_path):
    for n in range(20):
        layouts.scan(tmp_path / "a" / f"a{n}.nii.gz")
        layouts.scan(tmp_path / "b" / "deep" / f"b{n}.nii.gz")
    for name in ("T1", "T2"):
        layouts.scan(tmp_path / "c" / f"{name}.nii.gz")
    found = find_scans([tmp_path])
    assert len(found.cases) == 41
    assert [len(c.channels) for c in found.cases if c.case_id == "c"] == [2]


def test_a_plain_folder_is_its_scans_and_junk_is_passed_over(tmp_path):
    for name in ("a.nii.gz", "b.nii.gz"):
        layouts.scan(tmp_path / name)
    for junk in ("._a.nii.gz", "Thumbs.db", ".DS_Store", "desktop.ini"):
        (tmp_path / junk).write_bytes(b"x")
    (tmp_path / "__MACOSX").mkdir()
    assert names(find_scans([tmp_path])) == ["a", "b"]
    assert names(find_scans([*sorted(tmp_path.iterdir())])) == ["a", "b"], "as a shell's star gives them"


def test_what_a_folder_is_taken_for_can_be_overruled(tmp_path):
    folder = layouts.brats(tmp_path / "training", new=False) / "BraTS20_001"
    assert names(find_scans([folder])) == ["BraTS20_001"]
    found = find_scans([folder], AddSettings(layout="files"))
    assert (found.kind, len(found.cases)) == ("files", 5)
    with pytest.raises(InputError, match="annotations"):
        find_scans([folder], AddSettings(layout="luna16"))
    with pytest.raises(InputError, match="not laid out as msd"):
        find_scans([folder], AddSettings(layout="msd"))


def test_trees_of_dicom_folders_become_cases_without_folder_names():
    found = find_scans([real_data("odd", "made", "dcm_ok").parent], AddSettings(layout="dicom"))
    assert found.kind == "dicom"
    assert len(found.cases) > 3
    assert {(c.case_id, c.subject) for c in found.cases} == {("", "")}


def test_label_maps_and_contours_of_a_dicom_tree_belong_to_the_series_they_refer_to():
    found = find_scans([real_data("dicom", "dcmqi_segmentations", "23x38x3")])
    assert {c.channels[0].path.name: c.has_labels for c in found.cases} == {"image": True, "multiframe": False}
    contours = find_scans([real_data("dicom", "rtstruct_rtutils", "mock_data")])
    assert [p.name for p in contours.cases[0].choices] == ["invalid_reference_rt.dcm", "rt.dcm"]
    assert "1 label maps or contours belong to no series here" in contours.notes[0]


def test_a_disc_is_found_once_whatever_its_table_of_contents_is_called(tmp_path):
    for name in ("DICOMDIR", "DICOMDIR.old"):
        listing = header(SOPClassUID="1.2.840.10008.1.3.10")
        listing.save_as(tmp_path / name, enforce_file_format=True)
    for folder in ("S1", "S2"):
        write_series(tmp_path / folder, random_voxels((3, 4, 5)))
    found = find_scans([tmp_path], AddSettings(layout="dicom"))
    assert [c.channels[0].path.name for c in found.cases] == ["S1", "S2"]
    write_series(tmp_path, random_voxels((3, 4, 5)))  # then reading the disc reads the folders too
    found = find_scans([tmp_path], AddSettings(layout="dicom"))
    assert [c.channels[0].path for c in found.cases] == [tmp_path]


def test_a_picture_beside_the_scans_is_no_channel_and_no_reason_to_look_no_further(tmp_path):
    for place in ("p1", "p2", "."):
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / "overview.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for person in ("p1", "p2"):
        layouts.scan(tmp_path / person / "T1.nii.gz")
        layouts.scan(tmp_path / person / "T2.nii.gz")
    found = find_scans([tmp_path])
    assert names(found) == ["p1", "p2"]
    assert found.channels == ("T1", "T2")


def test_images_and_labels_in_a_folder_each_are_not_two_persons(tmp_path):
    for n in range(3):
        layouts.scan(tmp_path / "images" / f"{n}.nii.gz")
        layouts.label_map(tmp_path / "labels" / f"{n}.nii.gz", 1)
    assert find_scans([tmp_path]).kind == "pairs"


def test_links_to_folders_are_followed_once(tmp_path):
    for person in ("p1", "p2"):
        layouts.scan(tmp_path / "store" / person / "T1.nii.gz")
    (tmp_path / "set").mkdir()
    for person in ("p1", "p2"):
        (tmp_path / "set" / person).symlink_to(tmp_path / "store" / person)
        (tmp_path / "store" / person / "circle").symlink_to(tmp_path / "set")
    assert names(find_scans([tmp_path / "set"])) == ["p1", "p2"]


def test_scans_below_a_folder_of_plain_scans_are_mentioned(tmp_path):
    layouts.scan(tmp_path / "a.nii.gz")
    layouts.scan(tmp_path / "more" / "b.nii.gz")
    (note,) = find_scans([tmp_path]).notes
    assert note.startswith("1 folder below holds scans too: more")


def test_scans_of_other_formats_among_dicom_are_mentioned():
    found = find_scans([real_data("dicom", "dcmqi_segmentations")])
    (note,) = [n for n in found.notes if "no DICOM" in n]
    assert note.startswith("13 files that are no DICOM were left out: heart_seg.nrrd, ")


def test_series_of_dicom_below_a_folder_of_plain_scans_are_mentioned_too():
    found = find_scans([real_data("odd", "made")])
    assert any("dcm_" in note and "folders below hold scans too" in note for note in found.notes)


def test_a_study_among_the_folders_is_not_taken_for_scans(tmp_path):
    for person in ("p1", "p2"):
        layouts.scan(tmp_path / person / "T1.nii.gz")
    Study.create(tmp_path / "mine.study", LabelSchema.from_names(["a"]))
    assert names(find_scans([tmp_path])) == ["p1", "p2"]


def test_nothing_found_is_said_with_the_path(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        find_scans([tmp_path / "nowhere" / ".hidden"])
    with pytest.raises(InputError, match="nothing"):
        find_scans([Path(".DS_Store")] * 0)


@pytest.mark.parametrize("per", ["series", "study"])
def test_a_dicom_series_whose_slices_lie_in_several_folders_is_not_taken_for_several_scans(tmp_path, per):
    write_series(tmp_path / "all", random_voxels((8, 4, 5)))
    for n, file in enumerate(sorted((tmp_path / "all").iterdir())):
        (tmp_path / "disc" / f"{n // 3}").mkdir(parents=True, exist_ok=True)
        file.rename(tmp_path / "disc" / f"{n // 3}" / file.name)
    write_series(tmp_path / "disc" / "other", random_voxels((3, 4, 5)), SeriesInstanceUID="1.2.3.4.9")
    found = find_scans([tmp_path / "disc"], AddSettings(per=per))
    assert [c.channels[0].path.name for c in found.cases] == ["other"]
    assert [name for name, _ in found.refused] == ["disc"]
    assert "lie in 3 folders (0, 1, 2). Put all of them into one folder" in found.refused[0][1]


def test_copies_of_a_dicom_series_are_scans_of_their_own(tmp_path):
    for folder in ("phase 1", "phase 2"):
        write_series(tmp_path / folder, random_voxels((3, 4, 5)))
    assert len(find_scans([tmp_path]).cases) == 2
