"""Undo and redo behind saves: after closing, after a crash, after a new prediction, whoever saved meanwhile."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import study as make_study
from faults import sentences
from napari_apprentice.core.correction import Box
from napari_apprentice.core.records import Prediction, Provenance
from napari_apprentice.errors import StorageError
from napari_apprentice.loop.comparing import restore_revision
from napari_apprentice.loop.correcting import save_correction
from napari_apprentice.loop.opening import OpenCase, load_case
from napari_apprentice.store.check import check
from napari_apprentice.store.repair import repair
from napari_apprentice.store.study import Study

BOX = (slice(1, 3), slice(2, 5), slice(2, 6))
OTHER = (slice(3, 5), slice(0, 2), slice(0, 3))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path)


def paint(case: OpenCase, label: int, box: Box = BOX) -> None:
    before = case.canvas.labels[box].copy()
    case.canvas.labels[box] = label
    case.record(box, before, case.canvas.labels[box].copy())
    case.flush()


def saved(study: Study, case: OpenCase) -> OpenCase:
    """Saved, closed, and opened again."""
    save_correction(study, case, "Ada")
    case.leave()
    return load_case(Study.open(study.path), "c1")


def predict(study: Study, monkeypatch: pytest.MonkeyPatch, model: str, label: int) -> None:
    labels = np.full(study.cases.info("c1").shape, label, np.uint8)
    study.predictions.write("c1", model, Prediction(labels, np.zeros(labels.shape, np.uint8), {}))
    monkeypatch.setattr("napari_apprentice.store.models.Models.active", lambda _: model)


def test_everything_can_be_undone_and_redone_after_saves(study: Study) -> None:
    case = load_case(study, "c1")
    paint(case, 1)
    paint(case, 2, OTHER)
    case = saved(study, case)
    case.accept()
    case.flush()
    case = saved(study, case)
    case = saved(study, case)  # without a stroke
    states = []
    while case.undo() is not None:
        states.append(case.canvas.labels.copy())
        case.flush()
    assert len(states) == 3
    assert [int(s[BOX].max()) for s in states] == [1, 1, 0]
    assert not case.canvas.status.any()
    case = saved(study, case)
    assert case.undo() is None
    for _ in range(3):
        assert case.redo() is not None
    assert case.redo() is None
    assert (case.canvas.labels[BOX] == 1).all()
    assert (case.canvas.labels[OTHER] == 2).all()
    assert case.canvas.status.all()
    assert sentences(check(study.path)) == ()


def test_a_kill_between_the_revision_and_the_journals_new_name(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    case = load_case(study, "c1")
    paint(case, 1)
    monkeypatch.setattr(case, "saved_as", lambda _: None)  # it came no further
    save_correction(study, case, "Ada")
    assert sentences(check(study.path)) == ()
    again = load_case(study, "c1")
    assert (again.unsaved, again.parent) == (0, "r0001")
    assert study.journal.archives("c1") == ("r0001",)
    assert not study.journal.started("c1")
    again.undo()
    assert not again.canvas.labels.any()


def test_a_stroke_taken_back_shows_the_new_prediction_and_leaves_the_rest_alone(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.set_schema(study.schema.with_names(["three"], 3))
    predict(study, monkeypatch, "v0001", 1)
    case = load_case(study, "c1")
    paint(case, 2)
    case.accept_slice(0, 4)
    case.flush()
    save_correction(study, case, "Ada")
    predict(study, monkeypatch, "v0002", 3)
    case = load_case(study, "c1")
    assert (case.canvas.labels[0] == 3).all()
    case.undo()
    assert (case.canvas.labels[4] == 3).all(), "it is unseen again, so it shows the new prediction"
    assert not case.canvas.status[4].any()
    assert (case.canvas.labels[BOX] == 2).all()
    case.undo()
    assert (case.canvas.labels == 3).all()
    assert not case.canvas.status.any()
    case.redo()
    assert (case.canvas.labels[BOX] == 2).all()
    assert (case.canvas.labels != 3).sum() == 24
    case.redo()
    assert (case.canvas.labels[4] == 3).all(), "what is accepted again is what is shown"
    assert (case.canvas.status[4] == 1).all()
    shown = case.canvas.labels.copy()
    case.flush()
    np.testing.assert_array_equal(load_case(study, "c1").canvas.labels, shown)


def test_it_ends_where_a_revision_did_not_come_from_strokes(study: Study) -> None:
    case = load_case(study, "c1")
    paint(case, 1)
    save_correction(study, case, "Ada")
    labels = np.full(case.info.shape, 2, np.uint8)
    study.revisions.save("c1", labels, labels, Provenance("Bo", "r0001", origin="import"))
    again = load_case(study, "c1")
    assert again.undo() is None
    assert again.redo() is None
    restore_revision(study, "c1", "r0001", "Bo")
    assert load_case(study, "c1").undo() is None


def test_each_goes_back_along_its_own_revisions(study: Study) -> None:
    ada, bo = load_case(study, "c1"), load_case(study, "c1")
    paint(ada, 1)
    before = bo.canvas.labels[OTHER].copy()
    bo.canvas.labels[OTHER] = 2
    bo.record(OTHER, before, bo.canvas.labels[OTHER].copy())
    bo.settle()  # the journal is Ada's
    save_correction(study, bo, "Bo")
    save_correction(study, ada, "Ada")
    assert study.journal.archives("c1") == ("r0001", "r0002")
    again = load_case(study, "c1")
    assert again.parent == "r0002"
    again.undo()
    assert again.undo() is None
    assert not again.canvas.labels.any()
    assert sentences(check(study.path)) == ()


def test_strokes_of_a_revision_that_are_damaged_are_told_and_moved_away(study: Study) -> None:
    case = load_case(study, "c1")
    paint(case, 1)
    paint(case, 2)
    save_correction(study, case, "Ada")
    path = study.journal.root / "c1" / "r0001.bin"
    whole = path.read_bytes()
    for harmed in (whole[:-5], whole[:200] + bytes([whole[200] ^ 1]) + whole[201:], b""):
        path.write_bytes(harmed)
        (fault,) = sentences(check(study.path))
        assert "c1/r0001 are damaged, so that undo does not reach behind it" in fault
        assert load_case(study, "c1").undo() is None
    (done,) = sentences(repair(study.path))
    assert "Moved the damaged strokes" in done
    assert sentences(check(study.path)) == ()
    assert (load_case(study, "c1").canvas.labels[BOX] == 2).all()


def test_strokes_of_two_revisions_that_were_exchanged_are_told(study: Study) -> None:
    case = load_case(study, "c1")
    for label in (1, 2):
        paint(case, label)
        save_correction(study, case, "Ada")
    one, two = (study.journal.root / "c1" / f"r000{n}.bin" for n in (1, 2))
    ones, twos = one.read_bytes(), two.read_bytes()
    one.write_bytes(twos)
    two.write_bytes(ones)
    assert len([f for f in sentences(check(study.path)) if "are damaged, so that undo" in f]) == 2
    assert load_case(study, "c1").undo() is None


def test_strokes_that_go_while_the_case_is_open_are_missed_in_plain_words(study: Study) -> None:
    case = load_case(study, "c1")
    paint(case, 1)
    paint(case, 2)
    again = saved(study, case)
    again.undo()
    (study.journal.root / "c1" / "r0001.bin").unlink()
    with pytest.raises(StorageError, match="earlier stroke"):
        again.undo()
    assert (again.canvas.labels[BOX] == 1).all()


STEPS = st.lists(st.sampled_from(["paint", "paint", "accept", "undo", "undo", "redo", "save", "open"]), max_size=30)


@given(steps=STEPS, seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_closing_changes_nothing_about_undo(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], seed: int
) -> None:
    """One case is never closed, the other is closed and opened now and then: both show the same."""
    studies = [make_study(tmp_path_factory.mktemp("study")) for _ in range(2)]
    stays, goes = (load_case(study, "c1") for study in studies)
    rng = np.random.default_rng(seed)
    for step in steps:
        label, box = int(rng.integers(0, 3)), BOX if rng.random() < 0.5 else OTHER
        if step == "open":
            goes.leave()
            goes = load_case(studies[1], "c1")
        for study, case in zip(studies, (stays, goes), strict=True):
            if step == "paint":
                paint(case, label, box)
            elif step == "accept":
                case.accept(box)
            elif step == "save":
                save_correction(study, case, "Ada")
            elif step != "open":
                getattr(case, step)()
            case.flush()
        np.testing.assert_array_equal(stays.canvas.labels, goes.canvas.labels)
        np.testing.assert_array_equal(stays.canvas.status, goes.canvas.status)
