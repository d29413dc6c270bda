import json

import pytest

from napari_apprentice.core.labels import Label, LabelSchema
from napari_apprentice.errors import InputError


def test_names_get_ids_and_different_colours():
    schema = LabelSchema.from_names([" liver ", "kidney"])
    assert schema.ids == (1, 2)
    assert schema.name(1) == "liver"
    assert schema.name(0) == "background"
    assert len({x.colour for x in schema.labels}) == 2


def test_labels_are_ordered_by_id():
    schema = LabelSchema((Label(7, "b", "#000000"), Label(3, "a", "#ffffff")))
    assert schema.ids == (3, 7)


def test_json_there_and_back():
    schema = LabelSchema.from_names(["Niere, links", "肝臓"])
    assert LabelSchema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


@pytest.mark.parametrize("names", [[], ["a", "a"], [""]])
def test_schemas_that_make_no_sense_are_refused(names):
    with pytest.raises(InputError):
        LabelSchema.from_names(names)


@pytest.mark.parametrize(("label_id", "colour"), [(0, "#000000"), (65536, "#000000"), (1, "red")])
def test_labels_that_make_no_sense_are_refused(label_id, colour):
    with pytest.raises(InputError):
        Label(label_id, "x", colour)


def test_an_unknown_id_is_told():
    with pytest.raises(InputError, match="Label 5"):
        LabelSchema.from_names(["a"]).name(5)
