import numpy as np
import pytest

from napari_apprentice.core.corrector import correct
from napari_apprentice.errors import GeometryError


def truth():
    reference = np.zeros((10, 20, 20), np.uint8)
    reference[2:8, 2:10, 2:10] = 1
    reference[2:8, 12:18, 12:18] = 3
    return reference


def test_a_right_prediction_is_accepted_as_it_is():
    labels, status = correct(truth(), truth())
    assert (labels == truth()).all()
    assert (status == 1).all()


def test_the_largest_fault_goes_first_and_what_was_not_touched_is_accepted():
    prediction = truth()
    prediction[2:8, 2:10, 2:6] = 0
    prediction[2:4, 12:16, 12:14] = 0
    labels, status = correct(prediction, truth(), until=0.95)
    assert (labels[2:8, 2:10, 2:6] == 1).all()
    assert (status[2:8, 2:10, 2:6] == 2).all()
    assert ((status == 2) == (labels != prediction)).all()
    assert (labels[2:4, 12:16, 12:14] == 0).all()


def test_everything_of_some_size_is_mended_when_nothing_else_will_do():
    prediction = truth()
    prediction[prediction == 3] = 1
    prediction[0, 0, :3] = 1
    labels, status = correct(prediction, truth(), until=1.0)
    assert (labels[2:8] == truth()[2:8]).all()
    assert (labels[0, 0, :3] == 1).all()  # three voxels are overlooked
    assert (status[0] == 1).all()


def test_empty_reference_and_other_grids():
    labels, status = correct(np.zeros((2, 3, 4), np.uint8), np.zeros((2, 3, 4), np.uint16))
    assert not labels.any()
    assert (status == 1).all()
    with pytest.raises(GeometryError):
        correct(truth(), truth()[1:])
