"""Suggestions from corrections: predictions against revisions of the two sides of the ledger."""

from pathlib import Path

import numpy as np
import pytest

from builders import SHAPE, volume
from faults import finish
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.postprocess import PostRecipe, steps_of
from napari_apprentice.core.records import Prediction, Provenance
from napari_apprentice.errors import InputError
from napari_apprentice.loop.postprocessing import suggest
from napari_apprentice.store.study import Study
from napari_apprentice.store.unprocessed import process_again

MODEL = "v0001"
TRAIN, HELD = ("a1", "a2"), ("h1", "h2")


def truth() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:5, 1:6, 1:6] = 1
    labels[1:5, 6:8, 6:9] = 2
    return labels


def island(labels: np.ndarray) -> np.ndarray:
    out = labels.copy()
    out[0, 0, 8:] = 1
    return out


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Two cases to learn from and two held out, corrected, of four subjects."""
    made = Study.create(tmp_path / "test.study", LabelSchema.from_names(["liver", "cyst", "never there"]))
    for n, case in enumerate((*TRAIN, *HELD)):
        made.cases.add(case, f"s-{case}", volume(n, f"{case}.nii.gz"))
        made.split.assign(f"s-{case}", side="validation" if case in HELD else "train")
        made.revisions.save(case, truth(), np.ones(SHAPE, np.uint8), Provenance("ann"))
    return made


def predicted(study: Study, case: str, labels: np.ndarray) -> None:
    study.predictions.write(case, MODEL, Prediction(labels, np.zeros(SHAPE, np.uint8), {1: 0.9}))


def test_islands_on_both_sides_are_found_and_proved(study: Study) -> None:
    for case in (*TRAIN, *HELD):
        predicted(study, case, island(truth()))
    report = finish(suggest(study, MODEL))
    assert report.recipe == PostRecipe({1: steps_of("largest")})
    assert (report.learning, report.held_out, report.unpredicted) == (2, 2, ())
    liver, cyst, never = report.rows
    assert liver.held_out is not None
    assert liver.held_out[0] < liver.held_out[1] == 1.0
    assert "no step wins" in cyst.reason
    assert never.held_out is None


def test_islands_on_the_learning_side_only_prove_nothing(study: Study) -> None:
    for case in TRAIN:
        predicted(study, case, island(truth()))
    two = truth()
    two[1:5, 1:6, 3] = 0  # held out: the liver comes in two parts, both real
    for case in HELD:
        predicted(study, case, two)
    report = finish(suggest(study, MODEL))
    assert not report.recipe
    assert report.rows[0].steps == steps_of("largest")
    assert "held-out" in report.rows[0].reason


def test_good_predictions_need_nothing(study: Study) -> None:
    for case in (*TRAIN, *HELD):
        predicted(study, case, truth())
    assert not finish(suggest(study, MODEL)).recipe


def test_it_learns_from_what_the_network_said_also_after_post_processing(study: Study) -> None:
    for case in (*TRAIN, *HELD):
        predicted(study, case, island(truth()))
        process_again(study, case, MODEL, PostRecipe({1: steps_of("largest")}))
    assert finish(suggest(study, MODEL)).recipe == PostRecipe({1: steps_of("largest")})


def test_unknown_voxels_do_not_count(study: Study) -> None:
    status = np.ones(SHAPE, np.uint8)
    status[0] = 0  # where the islands are
    for case in (*TRAIN, *HELD):
        study.revisions.save(case, truth(), status, Provenance("ann"))
        predicted(study, case, island(truth()))
    assert not finish(suggest(study, MODEL)).recipe


def test_what_steps_do_together_is_what_is_told(study: Study) -> None:
    """The cyst's crumb in the liver would be filled by the liver's step; here the reference says it is neither."""
    right = np.zeros(SHAPE, np.uint8)
    right[0:5, 0:6, 0:8] = 1
    right[2, 3, 2] = 0  # a true hole of one voxel, where the crumb is
    right[2, 3, 5] = 1  # a false hole, which filling mends
    right[1:5, 6:8, 8:10] = 2
    wrong = right.copy()
    wrong[2, 3, 2] = 2
    wrong[1:4, 2, 5] = 0
    for case in (*TRAIN, *HELD):
        study.revisions.save(case, right, np.ones(SHAPE, np.uint8), Provenance("ann"))
        predicted(study, case, wrong)
    report = finish(suggest(study, MODEL))
    liver, cyst, _ = report.rows
    assert cyst.accepted
    assert liver.steps == steps_of("holes")
    # Alone it would have won the three voxels; together it fills the crumb's place too, and that is what is told.
    assert liver.held_out is not None
    assert liver.held_out[1] == pytest.approx(2 * 239 / (239 + 240))


def test_without_predictions_it_says_what_to_do(study: Study) -> None:
    with pytest.raises(InputError, match="predict the corrected cases first"):
        finish(suggest(study, MODEL))
    predicted(study, "a1", truth())
    assert finish(suggest(study, MODEL)).unpredicted == ("a2", "h1", "h2")
