"""Post-processing recipes as they are written down."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.postprocess import ORDER, PostRecipe, PostStep, recipe_lines, steps_of
from napari_apprentice.errors import InputError

AMOUNTS = {"threshold": st.floats(1e-6, 1.0), "smooth": st.floats(1e-6, 100.0), "islands": st.floats(1e-6, 1e9)}
step_lists = st.lists(st.sampled_from(ORDER), unique=True).flatmap(
    lambda names: st.tuples(*(AMOUNTS[n].map(lambda a, n=n: PostStep(n, a)) if n in AMOUNTS else st.just(PostStep(n))
                              for n in names))
)  # fmt: skip
recipes = st.dictionaries(st.integers(1, 65535), step_lists, max_size=4).map(PostRecipe)


@given(recipes)
def test_json_and_back_through_text(recipe: PostRecipe) -> None:
    assert PostRecipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_steps_come_in_the_fixed_order_whatever_was_typed() -> None:
    recipe = PostRecipe({2: steps_of("holes, largest,Smooth:1.5,threshold:0.6"), 1: steps_of("islands:50")})
    assert recipe.to_json() == {"1": ["islands:50"], "2": ["threshold:0.6", "smooth:1.5", "largest", "holes"]}
    assert recipe == PostRecipe({1: steps_of("islands:50.0"), 2: steps_of("largest,threshold:.6,holes,smooth:1.5")})
    schema = LabelSchema.from_names(["liver"])
    assert recipe_lines(recipe, schema)[0] == "liver: islands:50"
    assert recipe_lines(recipe, schema)[1].startswith("label 2: ")


def test_a_label_is_changed_and_taken_out() -> None:
    recipe = PostRecipe({1: steps_of("largest")}).with_label(2, steps_of("holes"))
    assert recipe.only([2]).to_json() == {"2": ["holes"]}
    assert not recipe.with_label(1, ()).with_label(2, steps_of("none"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lagest", "no post-processing step 'lagest'"),
        ("largest:3", "takes no number"),
        ("islands", "needs a number above 0"),
        ("islands:-5", "needs a number above 0"),
        ("islands:nan", "needs a number above 0"),
        ("islands:inf", "up to 1e"),
        ("islands:much", "'much' in the step"),
        ("threshold:1.2", "up to 1"),
        ("largest,largest", "more than once"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        PostRecipe({1: steps_of(text)})


def test_an_impossible_label_is_refused() -> None:
    with pytest.raises(InputError, match="Label id 0"):
        PostRecipe({0: steps_of("largest")})
