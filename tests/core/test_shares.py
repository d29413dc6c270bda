"""Which share of the change is taken."""

import pytest

from napari_apprentice.core.gate import CaseScore
from napari_apprentice.core.shares import choose_share, shares

NAMES = {1: "one"}


def _scores(values: list[float], replay: float | None = None) -> list[CaseScore]:
    found = [CaseScore(f"c{i}/r0001", 1, v, False, f"s{i}") for i, v in enumerate(values)]
    return found if replay is None else [*found, CaseScore("old/r0001", 1, replay, True, "old")]


def test_the_whole_change_comes_last() -> None:
    assert shares(5) == (0.2, 0.4, 0.6, 0.8, 1.0)
    assert shares(1) == (1.0,)
    assert shares(3)[-1] == 1.0


def test_of_equals_the_largest() -> None:
    before = _scores([0.5, 0.5])
    assert choose_share(before, {s: _scores([0.7, 0.8]) for s in (0.5, 1.0)}, NAMES)[0] == 1.0


def test_one_that_forgets_is_not_taken() -> None:
    before = _scores([0.5, 0.5], 0.9)
    by_share = {0.5: _scores([0.6, 0.6], 0.9), 0.8: _scores([0.7, 0.7], 0.897), 1.0: _scores([0.9, 0.9], 0.8)}
    share, tried = choose_share(before, by_share, NAMES)
    assert share == 0.8
    assert [t.passed for t in tried] == [True, True, False]
    assert tried[1].corrections == pytest.approx(0.7)
    assert tried[1].replay == pytest.approx(0.897)


def test_a_smaller_share_has_to_be_better_beyond_chance() -> None:
    before = _scores([0.5, 0.5, 0.5])
    clearly = {0.5: _scores([0.80, 0.81, 0.80]), 1.0: _scores([0.70, 0.71, 0.70])}
    by_chance = {0.5: _scores([0.90, 0.60, 0.61]), 1.0: _scores([0.70, 0.70, 0.70])}
    assert choose_share(before, clearly, NAMES)[0] == 0.5
    assert choose_share(before, by_chance, NAMES)[0] == 1.0


def test_one_subject_chooses_by_the_bounds_alone() -> None:
    by_share = {0.5: _scores([0.9], 0.9), 0.8: _scores([0.7], 0.9), 1.0: _scores([0.9], 0.8)}
    assert choose_share(_scores([0.5], 0.9), by_share, NAMES)[0] == 0.8


def test_where_none_passes_the_whole_change_is_judged() -> None:
    by_share = {0.5: _scores([0.4, 0.4]), 1.0: _scores([0.3, 0.3])}
    share, tried = choose_share(_scores([0.5, 0.5]), by_share, NAMES)
    assert share == 1.0
    assert not any(t.passed for t in tried)
