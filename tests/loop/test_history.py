from pathlib import Path

import numpy as np
import pytest

from builders import SHAPE
from napari_apprentice.core.records import Provenance
from napari_apprentice.errors import InputError
from napari_apprentice.loop.correcting import save_correction
from napari_apprentice.loop.history import case_history
from napari_apprentice.loop.opening import load_case
from napari_apprentice.store.study import Study
from sound_study import sound_study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study.open(sound_study(tmp_path / "a.study"))


def test_every_revision_says_who_what_and_which_models(study: Study) -> None:
    first, second, strokes = case_history(study, "c1")
    assert (first.revision, first.author, first.parent, first.model) == ("r0001", "Ada", None, "v0001")
    assert (second.revision, second.author, second.parent, second.seconds) == ("r0002", "Bo", "r0001", 12.5)
    plane = SHAPE[1] * SHAPE[2]
    assert (first.edited, first.accepted, dict(first.changed)) == (plane, plane, {"one": plane})
    assert (first.learned, first.measured) == (("v0001",), ())
    assert second.learned == ()
    assert (strokes.revision, strokes.parent, strokes.strokes, strokes.seconds) == ("", "r0002", 2, 4.0)
    assert first.digest != second.digest


def test_strokes_that_are_saved_are_told_with_their_revision(study: Study) -> None:
    case = load_case(study, "c1")
    save_correction(study, case, "Cy")
    newest = case_history(study, "c1")[-1]
    assert (newest.revision, newest.author, newest.strokes) == ("r0003", "Cy", 2)


def test_of_strokes_that_are_in_no_revision_what_was_undone_is_not_told_as_changed(study: Study) -> None:
    case = load_case(study, "c2")  # where 2 was painted over 1, from nothing
    labels = case.canvas.labels
    for box in ((slice(0, 2), slice(1, 3), slice(0, 4)), (slice(1, 2), slice(2, 4), slice(3, 9))):
        before = labels[box].copy()
        labels[box] = 1
        case.record(box, before, labels[box].copy())
    case.undo()
    case.flush()
    (told,) = case_history(study, "c2")
    ones, twos = np.count_nonzero(labels == 1), np.count_nonzero(labels == 2)
    assert (told.edited, dict(told.changed), told.strokes) == (ones + twos, {"one": ones, "two": twos}, 5)
    while case.undo():
        pass
    case.flush()
    (told,) = case_history(study, "c2")
    assert (told.edited, dict(told.changed)) == (0, {})


def test_a_label_that_is_not_in_the_list_any_more_keeps_its_number(study: Study) -> None:
    zeros = np.zeros(SHAPE, np.uint8)
    study.revisions.save("c1", zeros, zeros, Provenance("D", voxels_changed={"9": 4}))
    assert dict(case_history(study, "c1")[2].changed) == {"label 9": 4}


def test_no_such_case_is_told(study: Study) -> None:
    with pytest.raises(InputError, match="no case"):
        case_history(study, "c9")
