"""What another plugin writes into the labels of an open case, in place, is work like any other."""

from pathlib import Path

import numpy as np
import pytest

from builders import SHAPE
from builders import study as make_study
from napari_apprentice.loop.correcting import save_correction
from napari_apprentice.loop.opening import OpenCase, load_case
from napari_apprentice.store.study import Study

HERE = (slice(2, 4), slice(1, 5), slice(3, 8))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path)


@pytest.fixture
def case(study: Study) -> OpenCase:
    opened = load_case(study, "c1")
    opened.watch()
    return opened


def test_it_is_a_stroke_that_is_found_again_undone_and_saved_as_edited(study: Study, case: OpenCase) -> None:
    case.canvas.labels[HERE] = 2
    assert "40 voxels" in case.take_in()
    assert (case.unsaved, case.take_in()) == (1, "")
    case.leave()
    again = load_case(study, "c1")
    again.watch()
    assert (again.canvas.labels[HERE] == 2).all()
    again.undo()
    assert not again.canvas.labels.any()
    assert not again.canvas.status.any()
    again.redo()
    assert again.take_in() == ""
    revision, _ = save_correction(study, again, "ann")
    _, status = study.revisions.read("c1", revision.name)
    assert (status[HERE] == 2).all()
    assert int((status == 2).sum()) == 40


def test_strokes_around_it_and_predictions_are_not_taken_for_it(case: OpenCase) -> None:
    case.canvas.labels[HERE] = 2
    over = (slice(3, 4), slice(0, 8), slice(0, 4))
    before, after = case.canvas.labels[over].copy(), np.full((1, 8, 4), 1, np.uint8)
    case.canvas.labels[over] = after
    case.record(over, before, after)
    assert "36 voxels" in case.take_in()
    case.show_prediction(0, np.full(SHAPE, 1, np.uint8), "v0001")
    assert case.take_in() == ""
    case.undo()
    case.undo()
    assert case.take_in() == ""


def test_labels_that_the_study_does_not_have_are_put_back_and_named(case: OpenCase) -> None:
    case.canvas.labels[HERE] = 2
    case.canvas.labels[0, 0, :3] = 77
    told = case.take_in()
    assert "3 voxels of c1 another program wrote labels that the study does not have" in told
    assert sorted(np.unique(case.canvas.labels)) == [0, 2]
    assert case.take_in() == ""


def test_undoing_a_stroke_over_it_does_not_bring_back_what_nobody_drew(case: OpenCase) -> None:
    case.canvas.labels[3, 3, 3] = 2
    box = (slice(3, 4), slice(2, 5), slice(2, 5))
    before, after = case.canvas.labels[box].copy(), np.full((1, 3, 3), 1, np.uint8)
    case.canvas.labels[box] = after
    case.record(box, before, after)
    assert case.take_in() == ""
    case.undo()
    assert not case.canvas.labels.any()
    case.redo()
    assert (case.canvas.labels[box] == 1).all()
    assert case.take_in() == ""


def test_an_array_in_place_of_the_labels_is_taken_over_but_for_labels_that_the_study_lacks(case: OpenCase) -> None:
    given = np.zeros(SHAPE, np.int64)
    given[HERE], given[0, 0, 0], given[0, 0, 1], given[0, 0, 2] = 2, 7, 258, -1
    told = case.take_over(given)
    assert "in 40 voxels; that is kept as a stroke" in told
    assert "In 3 voxels of c1 another program wrote labels that the study does not have" in told
    assert (case.canvas.labels[HERE] == 2).all()
    assert np.count_nonzero(case.canvas.labels) == 40
    assert (case.unsaved, case.take_over(case.canvas.labels.copy())) == (1, "")


def test_a_turned_view_of_the_labels_themselves_is_taken_over_as_it_was_given(case: OpenCase) -> None:
    case.canvas.labels[HERE], case.canvas.labels[5, 2, 2] = 2, 1
    case.take_in()
    expected = case.canvas.labels[::-1].copy()
    case.take_over(case.canvas.labels[::-1])
    assert (case.canvas.labels == expected).all()


class Torn:
    """Labels in a file that ends too early: read plane by plane, as lazy arrays are."""

    def __init__(self, planes: np.ndarray) -> None:
        self.planes = planes

    def __len__(self) -> int:
        return len(self.planes)

    def __getitem__(self, z: int) -> np.ndarray:
        if z == 3:
            raise OSError("the file ends here")
        return self.planes[z]


def test_labels_that_cannot_all_be_read_change_nothing(case: OpenCase) -> None:
    with pytest.raises(OSError, match="ends here"):
        case.take_over(Torn(np.full(SHAPE, 2, np.uint8)))
    assert not case.canvas.labels.any()
