"""The bootstrap over subjects against what is known of it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_apprentice.core.intervals import Change, intervals


def _changes(values: list[float], label: int = 1) -> list[Change]:
    return [(f"s{i}", label, v) for i, v in enumerate(values)]


def test_two_people_reach_from_the_one_to_the_other() -> None:
    by_label, over_all = intervals(_changes([-0.1, 0.3]))
    assert by_label[1] == over_all == (-0.1, 0.3)


def test_one_person_has_none() -> None:
    assert intervals([("a", 1, 0.1), ("a", 1, 0.3)]) == ({1: None}, None)
    assert intervals([]) == ({}, None)
    by_label, over_all = intervals([("a", 1, 0.1), ("a", 2, 0.3), ("b", 1, 0.2)])
    assert by_label[2] is None
    assert by_label[1] is not None
    assert over_all is not None


def test_many_people_agree_with_the_normal_interval() -> None:
    values = np.random.default_rng(3).normal(0.02, 0.05, 200)
    _, found = intervals(_changes(values.tolist()))
    error = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    assert found is not None
    assert np.allclose(found, (values.mean() - error, values.mean() + error), atol=0.1 * error)


def test_scans_of_one_person_come_together() -> None:
    """Ten scans of each of two people say no more than two scans, where people differ and their scans do not."""
    many = [(s, 1, v) for s, v in (("a", -0.1), ("b", 0.3)) for _ in range(10)]
    assert np.allclose(intervals(many)[1] or (), (-0.1, 0.3))


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8))
def test_inside_what_was_seen_and_always_the_same(values: list[float]) -> None:
    by_label, found = intervals(_changes(values))
    assert found is not None
    assert min(values) - 1e-9 <= found[0] <= found[1] <= max(values) + 1e-9
    assert intervals(_changes(values)) == (by_label, found)
