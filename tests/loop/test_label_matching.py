"""Labels of files as labels of a study."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import SHAPE, volume
from napari_apprentice.core.labels import Label, LabelSchema
from napari_apprentice.core.volume import LabelMap
from napari_apprentice.errors import ChoiceError, InputError
from napari_apprentice.loop.label_matching import match_labels
from napari_apprentice.scans.reader import read_label_map
from real_data import real_data

SCHEMA = LabelSchema((Label(1, "Liver", "#e69f00"), Label(2, "tumour", "#56b4e9"), Label(7, "Cyst", "#009e73")))


def _map(counts, names=None, dtype=np.uint8):
    voxels = np.zeros(SHAPE, dtype)
    flat = voxels.reshape(-1)
    start = 0
    for value, count in counts.items():
        flat[start : start + count] = value
        start += count
    return LabelMap(voxels, volume().geometry, names or {})


def _seen(matched):
    values, counts = np.unique(matched.voxels, return_counts=True)
    return {int(v): int(n) for v, n in zip(values, counts, strict=True) if v}


def test_ids_are_taken_as_they_are_where_the_file_has_no_names():
    labels = _map({1: 10, 7: 5})
    matched = match_labels(SCHEMA, labels, "a.nii")
    assert matched.voxels is labels.voxels
    assert (matched.ignored, matched.notes) == (None, ())


def test_a_label_map_without_a_label_is_told_since_it_may_be_one_that_nobody_has_drawn_yet():
    (note,) = match_labels(SCHEMA, _map({}), "a.nii").notes
    assert note == "a.nii: no voxel of it has a label; it teaches that all of the scan is background."


def test_names_come_before_ids_in_any_case():
    matched = match_labels(SCHEMA, _map({1: 10, 2: 5}, {1: "TUMOUR", 2: "liver "}), "a.dcm")
    assert _seen(matched) == {2: 10, 1: 5}
    assert matched.notes == ("a.dcm: 1 TUMOUR became 2 tumour, 2 liver became 1 Liver.",)


def test_numbers_of_a_file_that_counts_otherwise_are_not_trusted():
    # 1 is the study's liver, and the file's kidney: taking it by number would merge the two.
    labels = _map({1: 10, 2: 5}, {1: "Kidney", 2: "Liver"})
    with pytest.raises(ChoiceError, match=r"names its labels 1 Kidney, 2 Liver; this study has 1 Liver.*and no Kidney"):
        match_labels(SCHEMA, labels, "a.dcm")


def test_another_name_at_the_same_number_is_asked_about():
    labels = _map({1: 10, 2: 5}, {1: "liver", 2: "Lesion"})
    with pytest.raises(ChoiceError, match=r"1 liver, 2 Lesion; this study has 1 Liver, 2 tumour.*no Lesion") as asked:
        match_labels(SCHEMA, labels, "a.nrrd")
    assert asked.value.setting == "match"
    assert asked.value.choices == (("ids", "take its numbers as they are: 2 Lesion becomes 2 tumour"),)
    matched = match_labels(SCHEMA, labels, "a.nrrd", "ids")
    assert _seen(matched) == {1: 10, 2: 5}
    assert matched.notes == ("a.nrrd: 2 Lesion became 2 tumour.",)


def test_numbers_are_no_way_out_where_the_study_lacks_them_too():
    for match in ("names", "ids"):
        with pytest.raises(InputError, match=r"3 Spleen \(4 voxels\), which this study does not have \(1 Liver"):
            match_labels(SCHEMA, _map({1: 10, 3: 4}, {1: "liver", 3: "Spleen"}), "a.dcm", match)


@pytest.mark.parametrize("name", ["left lung", "LEFT_LUNG", "Left-Lung ", "leftlung"])
def test_spaces_dashes_and_capitals_of_a_name_make_no_difference(name):
    schema = LabelSchema.from_names(["heart", "Left Lung", "Niere rechts", "Dru\u0308se"])
    assert match_labels(schema, _map({2: 5}, {2: name}), "a.nii").notes == (), "the same name needs no word"
    assert _seen(match_labels(schema, _map({1: 5}, {1: name}), "a.nii")) == {2: 5}
    assert _seen(match_labels(schema, _map({1: 5}, {1: "Dr\u00fcse"}), "a.nii")) == {4: 5}, "an umlaut of a Mac"


def test_a_name_that_fits_two_labels_is_not_guessed():
    schema = LabelSchema.from_names(["lung_1", "lung 1"])
    assert _seen(match_labels(schema, _map({1: 5}, {1: "lung 1"}), "a.nii")) == {2: 5}
    with pytest.raises(ChoiceError, match="no Lung-1"):
        match_labels(schema, _map({1: 5}, {1: "Lung-1"}), "a.nii")


def test_two_labels_of_one_name_become_one():
    assert _seen(match_labels(SCHEMA, _map({4: 10, 9: 5}, {4: "cyst", 9: "Cyst"}), "a.dcm")) == {7: 15}


def test_large_ids_fit():
    schema = LabelSchema((Label(300, "liver", "#e69f00"),))
    matched = match_labels(schema, _map({1: 10}, {1: "liver"}), "a.dcm")
    assert _seen(matched) == {300: 10}


def test_what_the_study_lacks_is_refused_with_counts():
    with pytest.raises(InputError, match=r"label 3 \(1 voxel\), 9 Spleen \(20 voxels\), which this study"):
        match_labels(SCHEMA, _map({1: 10, 3: 1, 9: 20}, {9: "Spleen"}), "a.nii")


def test_instance_labels_are_refused_with_a_hint():
    labels = LabelMap(np.arange(480, dtype=np.uint16).reshape(SHAPE), volume().geometry)
    with pytest.raises(InputError, match=r"2 \(1 voxel\), 3 .*, 9 \(1 voxel\) and 470 more.*one by one"):
        match_labels(LabelSchema.from_names(["nucleus"]), labels, "a.nii")


def test_255_is_unknown_where_the_study_has_no_such_label():
    matched = match_labels(SCHEMA, _map({1: 10, 255: 5}), "a.nii")
    assert _seen(matched) == {1: 10}
    assert int(matched.ignored.sum()) == 5
    assert matched.notes == ("a.nii: 255 was taken for unknown; its 5 voxels stay unseen.",)
    own = LabelSchema((Label(1, "a", "#e69f00"), Label(255, "b", "#56b4e9")))
    assert _seen(match_labels(own, _map({1: 10, 255: 5}), "a.nii")) == {1: 10, 255: 5}
    with pytest.raises(InputError, match=r"255 Spleen \(5 voxels\)"):
        match_labels(SCHEMA, _map({1: 10, 255: 5}, {255: "Spleen"}), "a.nii")
    with pytest.raises(InputError, match=r"holds only 0 and 255 \(5 voxels\): a mask"):
        match_labels(SCHEMA, _map({255: 5}), "a.nii")
    named = {1: "Liver", 300: "tumour"}  # a file that names its labels says by that what 255 is not
    assert int(match_labels(SCHEMA, _map({300: 10, 255: 5}, named, np.uint16), "a.nii").ignored.sum()) == 5
    with pytest.raises(InputError, match="holds only 0 and 255"):  # names of a data set make it no less of a mask
        match_labels(SCHEMA, _map({255: 5}, named), "a.nii")


@given(st.dictionaries(st.sampled_from([1, 2, 7]), st.integers(1, 60)), st.permutations([10, 20, 30]))
def test_matching_by_name_keeps_every_voxel(counts, values):
    ours = dict(zip((1, 2, 7), values, strict=True))
    names = {ours[x.id]: x.name for x in SCHEMA.labels}
    there = _map({ours[label]: n for label, n in counts.items()}, names)
    assert _seen(match_labels(SCHEMA, there, "a.dcm")) == counts


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "outcome"),
    [("ok", ""), ("ignore255", "taken for unknown"), ("unexpected_7", r"7 \(1 voxel\), which this study does not")],
)
def test_odd_label_maps(name, outcome):
    schema = LabelSchema.from_names(["anterior", "posterior"])
    labels = read_label_map(real_data("odd", "made", "label", f"{name}.nii.gz"))
    if name == "unexpected_7":
        with pytest.raises(InputError, match=outcome):
            match_labels(schema, labels, name)
        return
    matched = match_labels(schema, labels, name)
    assert bool(matched.notes) == bool(outcome)
    assert all(outcome in note for note in matched.notes)
    assert sorted(np.unique(matched.voxels)) == [0, 1, 2]
