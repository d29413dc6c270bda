import json

import pytest

from napari_apprentice.core.labels import PALETTE, Label, LabelSchema, coloured
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


def test_labels_whose_ids_have_gaps_have_colours_of_their_own():
    """Ids that are twelve apart, as 3 and 255, had one colour: nobody could tell them apart on the screen."""
    made = LabelSchema(coloured([(1, "one", ""), (3, "three", ""), (255, "last", ""), (15, "odd", "#112233")]))
    assert len({x.colour for x in made.labels}) == 4
    assert [x.colour for x in made.labels[:2]] == [PALETTE[0], PALETTE[2]]
    more = made.with_names(["far", "farther"], 267)
    assert len({x.colour for x in more.labels}) == 6
    many = LabelSchema.from_names([f"n{i}" for i in range(30)])
    assert [x.colour for x in many.labels] == [PALETTE[i % 12] for i in range(30)]
