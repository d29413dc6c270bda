import numpy as np
import pytest

from napari_apprentice.core.correction import (
    ACCEPTED,
    EDITED,
    UNSEEN,
    Canvas,
    bounding_box,
    compare,
    fill_unseen,
    whole,
)
from napari_apprentice.errors import GeometryError, InputError

SHAPE = (4, 5, 6)
BOX = (slice(1, 3), slice(0, 2), slice(2, 5))


def _canvas() -> Canvas:
    return Canvas(np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8))


def test_painting_marks_what_changed_as_edited():
    canvas = _canvas()
    canvas.labels[1, 0, 2] = 1
    stroke = canvas.paint(BOX, np.ones((2, 2, 3), np.uint8), seconds=2.0)
    assert stroke.voxels_changed == 11
    assert canvas.status[1, 0, 2] == UNSEEN
    assert (canvas.status == EDITED).sum() == 11
    assert (stroke.box, stroke.seconds) == (BOX, 2.0)


def test_painting_what_is_there_is_no_stroke():
    assert _canvas().paint(BOX, np.zeros((2, 2, 3), np.uint8)) is None


def test_undo_gives_back_labels_and_status():
    canvas = _canvas()
    canvas.accept()
    stroke = canvas.paint(BOX, np.full((2, 2, 3), 2, np.uint8))
    canvas.apply(stroke.inverse())
    assert not canvas.labels.any()
    assert (canvas.status == ACCEPTED).all()
    canvas.apply(stroke.inverse().inverse())
    assert (canvas.labels[BOX] == 2).all()


def test_a_stroke_keeps_its_own_copy():
    canvas = _canvas()
    stroke = canvas.paint(BOX, np.ones((2, 2, 3), np.uint8))
    canvas.labels[...] = 7
    assert (stroke.labels_after == 1).all()
    assert (stroke.labels_before == 0).all()


def test_accepting_leaves_edits_alone():
    canvas = _canvas()
    canvas.paint(BOX, np.ones((2, 2, 3), np.uint8))
    assert canvas.accept() is not None
    assert (canvas.status[BOX] == EDITED).all()
    assert (canvas.status == ACCEPTED).sum() == canvas.status.size - 12
    assert canvas.accept() is None


def test_replacing_is_one_undoable_stroke():
    canvas = _canvas()
    labels = np.zeros(SHAPE, np.uint8)
    labels[3, 4, 5] = 2
    stroke = canvas.replace(labels, canvas.status.copy())
    assert stroke.labels_after.shape == (1, 1, 1)
    canvas.apply(stroke.inverse())
    assert not canvas.labels.any()
    assert canvas.replace(canvas.labels.copy(), canvas.status.copy()) is None


def test_other_grids_are_refused():
    canvas = _canvas()
    with pytest.raises(GeometryError):
        Canvas(np.zeros(SHAPE, np.uint8), np.zeros((1, 1, 1), np.uint8))
    with pytest.raises(GeometryError):
        canvas.replace(np.zeros((1, 1, 1), np.uint8), np.zeros((1, 1, 1), np.uint8))
    stroke = canvas.paint(whole(SHAPE), np.ones(SHAPE, np.uint8))
    with pytest.raises(GeometryError, match="outside"):
        Canvas(np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 2), np.uint8)).apply(stroke)


def test_bounding_box():
    mask = np.zeros(SHAPE, bool)
    assert bounding_box(mask) is None
    mask[1, 2, 3] = mask[2, 2, 5] = True
    assert bounding_box(mask) == (slice(1, 3), slice(2, 3), slice(3, 6))


def test_a_prediction_fills_only_what_is_unseen():
    status = np.array([[[UNSEEN, ACCEPTED, EDITED]]], np.uint8)
    labels = np.array([[[0, 0, 2]]], np.uint8)
    prediction = np.array([[[1, 1, 1]]], np.uint8)
    assert fill_unseen(prediction, labels, status).tolist() == [[[1, 0, 2]]]


def test_comparing_with_a_prediction():
    prediction, corrected = np.array([[[1, 1]]], np.uint8), np.array([[[1, 2]]], np.uint8)
    assert compare(prediction, corrected, "all").tolist() == [[[ACCEPTED, EDITED]]]
    assert compare(prediction, corrected, "edited").tolist() == [[[UNSEEN, EDITED]]]
    with pytest.raises(InputError, match="all or edited"):
        compare(prediction, corrected, "some")
