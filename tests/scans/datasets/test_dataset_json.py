import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_sets import write_json
from napari_apprentice.errors import InputError
from napari_apprentice.scans.datasets.dataset_json import DatasetJson, read_dataset_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 70000) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
KEYS = ("name", "labels", "modality", "channel_names", "training", "file_ending", "regions_class_order")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, VALUES)) | VALUES)
def test_whatever_json_says_it_is_understood_or_refused_in_a_sentence(tmp_path, data):
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    with suppress(InputError):
        assert isinstance(read_dataset_json(path), DatasetJson)


def test_both_ways_to_write_labels_mean_the_same(tmp_path):
    old = read_dataset_json(write_json(tmp_path / "a.json", {"labels": {"0": "background", "1": "liver"}}))
    new = read_dataset_json(write_json(tmp_path / "b.json", {"labels": {"background": 0, "liver": 1}}))
    assert old.schema == new.schema


def test_channels_come_in_the_order_of_their_numbers(tmp_path):
    names = {"10": "k", "2": "c", "0": "a"}
    path = write_json(tmp_path / "a.json", {"labels": {"liver": 1}, "channel_names": names})
    assert read_dataset_json(path).channels == ("a", "c", "k")


@pytest.mark.parametrize("labels", [{"a": float("inf")}, {"a": 0}, {"1": ""}, {"x": [1, 2]}, [], "liver"])
def test_labels_that_make_no_sense_are_refused_in_a_sentence(tmp_path, labels):
    with pytest.raises(InputError, match="it needs"):
        read_dataset_json(write_json(tmp_path / "dataset.json", {"labels": labels}))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_dataset_json(tmp_path / "dataset.json")
