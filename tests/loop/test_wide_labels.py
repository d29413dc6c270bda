"""Label ids above 255 that a study gets while a window is open are never shown or saved as others."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from builders import SHAPE
from builders import study as make_study
from faults import finish
from loop.test_unseen import BOX, activate, paint
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.records import Prediction
from napari_apprentice.errors import InputError
from napari_apprentice.loop.opening import load_case
from napari_apprentice.session import Session
from napari_apprentice.store.study import Study

WIDE = 300  # 44 in eight bits


@pytest.fixture
def window(tmp_path: Path) -> Session:
    """A window whose study gets a label that its numbers have no room for, after it was opened."""
    path = make_study(tmp_path).path
    session = Session("ann")
    session.open_study(path)
    activate(session.study, "v0001")
    predict(session.study, 1)
    session.show_case(session.load_case("c1"))
    other = Session("bob")
    other.open_study(path)
    labels = other.study.schema.labels
    finish(other.set_labels(LabelSchema((*labels, replace(labels[0], id=WIDE, name="wide")))))
    return session


def predict(study: Study, label: int) -> None:
    labels = np.full(SHAPE, label, np.uint8 if label < 256 else np.uint16)
    study.predictions.write("c1", "v0001", Prediction(labels, np.zeros(SHAPE, np.uint8), {label: 0.5}))


def test_a_case_opened_after_it_was_predicted_shows_and_saves_the_new_label(window: Session) -> None:
    predict(window.study, WIDE)
    window.show_case(window.load_case("c1"))
    assert window.case is not None
    assert (window.case.canvas.labels == WIDE).all()
    assert window.study.schema.ids == (1, 2, WIDE)
    window.accept_scan()
    revision = window.save()
    assert (window.study.revisions.read("c1", revision.name)[0] == WIDE).all()
    window.close()


def test_an_open_case_refuses_what_it_has_no_room_for_until_it_is_opened_again(window: Session) -> None:
    case = window.case
    assert case is not None
    paint(case, 2)
    slab = np.full(SHAPE, WIDE, np.uint16)
    assert not case.has_room_for(slab)
    before = case.canvas.labels.copy()
    predict(window.study, WIDE)
    for attempt in (
        lambda: case.show_prediction(0, slab, "v0001"),
        window.revert_to_prediction,
        lambda: case.record(BOX, before[BOX], slab[BOX]),
    ):
        with pytest.raises(InputError, match=r"Label 300 .* Open the case again"):
            attempt()
        np.testing.assert_array_equal(case.canvas.labels, before)
    window.show_case(window.load_case("c1"))
    assert window.case is not None
    assert (window.case.canvas.labels[BOX] == 2).all()
    assert (window.case.canvas.labels[window.case.canvas.status == 0] == WIDE).all()
    window.close()


def test_strokes_with_a_label_that_the_study_does_not_list_open_as_they_were_drawn(window: Session) -> None:
    window.show_case(window.load_case("c1"))  # with room for it now
    assert window.case is not None
    paint(window.case, 999)  # napari lets people
    window.case.flush()
    labels = window.study.schema.labels
    window.study.set_schema(LabelSchema(labels[:2]))
    case = load_case(window.study, "c1")
    assert (case.canvas.labels[BOX] == 999).all()
    window.close()
