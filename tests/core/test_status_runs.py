"""Status as runs: the same voxels, whatever they are, in little memory where they are alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_apprentice.core import correction
from napari_apprentice.core.correction import ACCEPTED, EDITED, UNSEEN, Canvas
from napari_apprentice.core.status_runs import StatusRuns

BLOCKS = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, max_side=5), elements=st.integers(0, 2))


@given(block=BLOCKS, repeat=st.integers(8, 20))
def test_runs_give_the_status_back(block: np.ndarray, repeat: int) -> None:
    status = np.repeat(block, repeat, axis=2)
    runs = StatusRuns.of(status)
    assert runs is not None
    assert runs.is_sound()
    np.testing.assert_array_equal(runs.expand(), status)
    np.testing.assert_array_equal(np.asarray(runs), status)
    target = np.full((status.shape[0], status.shape[1] + 2, status.shape[2] + 1), 9, np.uint8)
    runs.write(target[:, 1:-1, 1:])  # a box inside an array
    np.testing.assert_array_equal(target[:, 1:-1, 1:], status)
    assert (target[:, 0] == 9).all()


def test_a_scan_all_alike_takes_next_to_nothing_and_noise_is_no_runs() -> None:
    runs = StatusRuns.of(np.zeros((100, 64, 64), np.uint8))
    assert runs is not None
    assert runs.nbytes < 1000
    assert StatusRuns.of(np.random.default_rng(0).integers(0, 2, (4, 50, 50)).astype(np.uint8)) is None


@pytest.mark.parametrize("lengths", [[6, 6, 6], [6, 5], [5, 7], [6, 0, 6], [12]])
def test_runs_from_a_file_that_do_not_fill_the_planes_are_known(lengths: list[int]) -> None:
    values = np.zeros(len(lengths), np.uint8)
    assert not StatusRuns((2, 2, 3), values, np.array(lengths, np.uint32)).is_sound()


@given(block=BLOCKS, fine=st.booleans())
def test_accepting_whatever_is_there_and_taking_it_back(block: np.ndarray, fine: bool) -> None:
    status = block if fine else np.repeat(block, 16, axis=2)
    labels = np.random.default_rng(0).integers(0, 3, status.shape).astype(np.uint8)
    canvas = Canvas(labels.copy(), status.copy())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(correction, "LARGE", 20 if fine else 0)
        stroke = canvas.accept()
    assert (stroke is None) == bool(status.all())
    np.testing.assert_array_equal(canvas.status, np.where(status == UNSEEN, ACCEPTED, status))
    np.testing.assert_array_equal(canvas.labels, labels)
    assert (canvas.status == EDITED).sum() == (status == EDITED).sum()
    if stroke is not None:
        assert (stroke.voxels_changed, stroke.changes_labels) == (0, False)
        canvas.apply(stroke.inverse())
        np.testing.assert_array_equal(canvas.status, status)
        np.testing.assert_array_equal(canvas.labels, labels)
