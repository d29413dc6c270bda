"""Choosing steps on one side and proving them on the other."""

import numpy as np
import pytest

from napari_apprentice.core.postprocess import steps_of
from napari_apprentice.core.postprocess_trial import CANDIDATES, Trial, choose, judge_steps, try_steps

MM = (1.0, 1.0, 1.0)
LARGEST = steps_of("largest")


def trial(case: str, held_out: bool, before: float, subject: str = "", **after: float) -> Trial:
    """A case on which every candidate leaves `before`, but those named."""
    named = {steps_of(k.replace("_", ",")): v for k, v in after.items()}
    return Trial(case, subject or case, held_out, {**dict.fromkeys(((), *CANDIDATES), before), **named})


def test_steps_that_win_on_both_sides_are_accepted() -> None:
    trials = [trial(f"c{i}", i % 2 == 0, 0.7, largest=0.9) for i in range(4)]
    row = choose(1, trials)
    assert (row.accepted, row.steps, row.subjects) == (True, LARGEST, 2)
    assert row.held_out == pytest.approx((0.7, 0.9))
    assert "wins 0.200 on 2 held-out subjects" in row.reason


def test_steps_that_win_on_the_learning_side_only_are_refused() -> None:
    row = choose(1, [trial("a", False, 0.7, largest=0.9), trial("b", True, 0.7), trial("c", True, 0.7, largest=0.65)])
    assert (row.accepted, row.steps) == (False, LARGEST)
    assert "on held-out subjects it wins -0.025" in row.reason


def test_where_nothing_wins_nothing_is_chosen_whatever_the_held_out_side_says() -> None:
    """The held-out side chooses nothing: else its figures would not be honest."""
    row = choose(1, [trial("a", False, 0.7, largest=0.7015), *(trial(c, True, 0.5, largest=0.9) for c in "bc")])
    assert (row.accepted, row.steps) == (False, ())
    assert "no step wins anything" in row.reason


def test_one_case_that_falls_badly_is_enough_to_refuse() -> None:
    held = [trial("b", True, 0.5, largest=0.9), trial("c", True, 0.9, largest=0.88)]
    row = choose(1, [trial("a", False, 0.7, largest=0.9), *held])
    assert not row.accepted
    assert row.reason == "held-out case c would lose 0.020"


def test_many_cases_of_one_person_are_one_person() -> None:
    held = [trial(f"h{i}", True, 0.5, subject="same", largest=0.9) for i in range(5)]
    row = choose(1, [trial("a", False, 0.7, largest=0.9), *held])
    assert not row.accepted
    assert "1 held-out subject with it; 2 are needed" in row.reason
    # on the learning side too: nine bad cases of one do not outvote the other
    trials = [trial(f"x{i}", False, 0.9, subject="x", largest=0.85) for i in range(9)]
    assert choose(1, [*trials, trial("y", False, 0.5, largest=0.9)]).steps == LARGEST


def test_further_steps_must_win_something_themselves() -> None:
    close = [trial("a", False, 0.7, largest=0.9, largest_holes=0.9003)]
    clear = [trial("a", False, 0.7, largest=0.9, largest_holes=0.91)]
    assert choose(1, close).steps == LARGEST
    assert choose(1, clear).steps == steps_of("largest,holes")


def test_a_label_that_only_held_out_cases_have_is_left_alone() -> None:
    row = choose(1, [trial("b", True, 0.5, largest=0.9), trial("c", True, 0.5, largest=0.9)])
    assert (row.accepted, row.learned, row.reason) == (False, None, "no corrected case to learn from has it")
    assert not judge_steps(1, LARGEST, (0.5, 0.9), []).accepted


def test_dice_counts_known_voxels_and_components_go_on_beyond_them() -> None:
    predicted = np.zeros((1, 6, 20), np.uint8)
    predicted[0, 1:4, 1:6] = 1
    predicted[0, 2, 6:9] = 1
    predicted[0, 5, 18] = 1  # the island
    reference = np.zeros_like(predicted)
    reference[0, 1:4, 1:6] = 1
    known = np.ones(predicted.shape, bool)
    known[0, 2, 6:9] = False
    box = (slice(0, 1), slice(1, 6), slice(1, 19))
    found = try_steps(predicted, reference, known, 1, MM, box)
    assert found is not None
    assert found[()] == pytest.approx(30 / 31)
    assert found[LARGEST] == 1.0
    assert try_steps(predicted, reference, known, 2, MM, box) is None
    nothing = try_steps(np.where(reference, 0, predicted), np.zeros_like(reference), known, 1, MM, box)
    assert nothing is not None
    assert (nothing[()], nothing[steps_of("islands:10")]) == (0.0, 1.0)  # in neither map any more: right
