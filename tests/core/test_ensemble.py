"""Which model versions can predict together."""

from dataclasses import replace

import pytest

from napari_apprentice.core.cohort import same_settings
from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.ensemble import FAMILY, folds_beside, unlike
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.plan import Normalisation, Plan
from napari_apprentice.core.records import ModelVersion

ONES = (1, 1, 1)
PLAN = Plan((1.0, 1.0, 1.0), (8, 8, 8), (ONES,), (ONES,), (4,), 2, (Normalisation("zscore"),), (1, 2))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"labels": (1,)}, "labels"),
        ({"labels": (2, 1)}, "labels"),
        ({"normalisation": (Normalisation("zscore"),) * 2}, "channels"),
        ({"normalisation": (Normalisation("range"),)}, "normalise"),
        ({"spacing": (2.0, 1.0, 1.0)}, "voxel size"),
        ({"patch": (8, 8, 16)}, "patch"),
        ({"features": (8,), "batch": 4, "mirror_axes": (0,), "kernels": ((3, 3, 3),)}, ""),
    ],
)
def test_what_keeps_two_plans_from_voting_together_is_named(change, what) -> None:
    said = unlike(PLAN, replace(PLAN, **change))
    assert what in said
    assert bool(said) == bool(what)


def test_folds_know_each_other_by_the_model_they_come_from() -> None:
    def version(name, family, plan=PLAN, digest=""):
        schema = LabelSchema.from_names(["a", "b"])
        origin = {FAMILY: family} if family else {}
        return ModelVersion(name, None, "", plan, schema, (), (), None, {}, 0, {}, digest or name, origin=origin)

    first = version("a", "m")
    others = [first, version("c", "m"), version("b", "m"), version("d", "m", digest="b"), version("e", "other")]
    others += [version("f", ""), version("g", "m", replace(PLAN, labels=(1,))), version("h", "m", digest="a")]
    assert folds_beside(first, others) == ("b", "c")
    assert folds_beside(version("x", ""), others) == ()


def test_alone_is_alone_however_it_is_written() -> None:
    alone = PredictSettings()
    assert (alone.members, PredictSettings(ensemble=" none ").members) == ((), ())
    assert PredictSettings(ensemble="b, a,,b").members == ("b", "a")
    old = {k: v for k, v in alone.to_json().items() if k != "ensemble"}  # a record of an earlier version
    assert same_settings(old, alone)
    assert same_settings(alone.to_json(), replace(alone, ensemble="none"))
    assert not same_settings(old, replace(alone, ensemble="v0002"))
