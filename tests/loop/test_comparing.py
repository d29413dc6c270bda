from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from builders import SHAPE
from builders import study as make_study
from faults import finish
from napari_apprentice.core.records import Provenance
from napari_apprentice.errors import InputError
from napari_apprentice.loop.comparing import compare_revisions, comparison, restore_revision
from napari_apprentice.loop.opening import load_case
from napari_apprentice.store.check import check
from napari_apprentice.store.study import Study

LABELS = st.sampled_from([np.uint8, np.uint16]).flatmap(
    lambda d: arrays(d, (2, 3, 4), elements=st.sampled_from([0, 1, 2, 255]))
)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    made = make_study(tmp_path)
    for value in (1, 2):
        labels = np.full(SHAPE, value, np.uint8)
        labels[0] = 0
        made.revisions.save("c1", labels, np.full(SHAPE, value, np.uint8), Provenance(f"author {value}"))
    return made


def test_differences_are_counted_by_pair(study: Study) -> None:
    found = compare_revisions(study, "c1", "r0001", "r0002")
    plane = SHAPE[1] * SHAPE[2]
    assert found.pairs == {(1, 2): 5 * plane}
    assert (found.voxels, found.status_differs) == (5 * plane, 6 * plane)
    assert not found.differs[0].any()
    assert found.differs[1:].all()
    same = compare_revisions(study, "c1", "r0002", "r0002")
    assert (same.pairs, same.voxels, same.status_differs) == ({}, 0, 0)


@given(LABELS, LABELS)
def test_counts_fit_the_mask(one: np.ndarray, two: np.ndarray) -> None:
    status = np.zeros(one.shape, np.uint8)
    found = comparison("c1", ("a", one, status), ("b", two, status))
    assert found.voxels == np.count_nonzero(found.differs)
    for (a, b), count in found.pairs.items():
        assert a != b
        assert count == np.count_nonzero((one == a) & (two == b))
    back = comparison("c1", ("b", two, status), ("a", one, status))
    assert {(b, a): n for (a, b), n in back.pairs.items()} == found.pairs


def test_large_ids_are_not_mixed_up() -> None:
    one, two = (np.full((1, 1, 2), v, np.uint16) for v in (65535, 300))
    status = np.zeros((1, 1, 2), np.uint8)
    assert comparison("c1", ("a", one, status), ("b", two, status)).pairs == {(65535, 300): 2}


def test_restoring_adds_a_revision_and_keeps_the_others(study: Study) -> None:
    restored = restore_revision(study, "c1", "r0001", "Ada")
    assert (restored.name, restored.provenance.origin, restored.provenance.parent) == ("r0003", "restore", "r0001")
    assert compare_revisions(study, "c1", "r0001", "r0003").voxels == 0
    assert (load_case(study, "c1").canvas.labels[1:] == 1).all()
    assert study.revisions.read("c1", "r0002")[0].max() == 2
    assert finish(check(study.path)) == ()


def test_restoring_is_refused_where_it_would_hide_work(study: Study) -> None:
    with pytest.raises(InputError, match="newest"):
        restore_revision(study, "c1", "r0002", "Ada")
    with pytest.raises(InputError, match="no revision r0009"):
        restore_revision(study, "c1", "r0009", "Ada")
    case = load_case(study, "c1")
    box = (slice(0, 1), slice(0, 1), slice(0, 1))
    case.record(box, case.canvas.labels[box].copy(), np.ones((1, 1, 1), np.uint8))
    case.flush()
    with pytest.raises(InputError, match="strokes"):
        restore_revision(study, "c1", "r0001", "Ada")
