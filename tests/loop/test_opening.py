"""A case under correction: strokes, status, undo, and what survives."""

from pathlib import Path

import numpy as np
import pytest

from builders import study as make_study
from faults import fail_from
from napari_apprentice.core.records import Prediction, Provenance
from napari_apprentice.errors import InputError, StorageError
from napari_apprentice.loop.correcting import save_correction
from napari_apprentice.loop.opening import OpenCase, load_case
from napari_apprentice.store.study import Study

BOX = (slice(1, 3), slice(2, 5), slice(2, 6))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path)


def paint(case: OpenCase, label: int, box: tuple[slice, slice, slice] = BOX) -> None:
    before = case.canvas.labels[box].copy()
    case.canvas.labels[box] = label  # as a paint tool does
    case.record(box, before, case.canvas.labels[box].copy())
    case.flush()


def test_strokes_survive_without_saving(study: Study) -> None:
    case = load_case(study, "c1")
    paint(case, 1)
    case.accept_slice(0, 0)
    case.flush()
    again = load_case(Study.open(study.path), "c1")
    assert np.array_equal(again.canvas.labels, case.canvas.labels)
    assert np.array_equal(again.canvas.status, case.canvas.status)
    assert again.unsaved == 2
    assert (again.canvas.status[0] == 1).all()
    assert (again.canvas.status[BOX] == 2).all()


def test_undo_and_redo_reach_behind_a_restart(study: Study) -> None:
    case = load_case(study, "c1")
    paint(case, 1)
    paint(case, 2)
    case.undo()
    case.flush()
    again = load_case(study, "c1")
    assert (again.canvas.labels[BOX] == 1).all()
    again.redo()
    assert (again.canvas.labels[BOX] == 2).all()
    again.undo()
    again.undo()
    assert again.undo() is None
    assert not again.canvas.labels.any()
    assert not again.canvas.status.any()
    again.flush()
    last = load_case(study, "c1")
    last.redo()
    assert (last.canvas.labels[BOX] == 1).all()
    assert (last.canvas.status[BOX] == 2).all()


def test_an_undo_behind_a_revision_survives_a_restart(study: Study) -> None:
    case = load_case(study, "c1")
    paint(case, 1)
    save_correction(study, case, "Ada")
    case.undo()
    case.flush()
    again = load_case(study, "c1")
    assert not again.canvas.labels.any()
    again.redo()
    assert (again.canvas.labels[BOX] == 1).all()
    save_correction(study, again, "Ada")
    again.undo()
    save_correction(study, again, "Ada")
    again.redo()  # a journal that begins with a redo
    again.flush()
    last = load_case(study, "c1")
    assert (last.canvas.labels[BOX] == 1).all()
    last.undo()
    assert not last.canvas.labels.any()


def test_a_new_stroke_ends_redo(study: Study) -> None:
    case = load_case(study, "c1")
    paint(case, 1)
    case.undo()
    paint(case, 2)
    assert case.redo() is None


def test_saving_closes_the_journal_and_says_what_it_cost(study: Study) -> None:
    case = load_case(study, "c1")
    paint(case, 2)
    revision, conflict = save_correction(study, case, "ann")
    assert conflict is None
    assert revision.provenance.strokes == 1
    assert revision.provenance.voxels_changed == {"2": 24}
    assert case.unsaved == 0
    assert not study.journal.started("c1")
    paint(case, 1)  # goes on from the revision
    assert load_case(study, "c1").parent == revision.name


def test_someone_elses_revision_is_reported_and_both_survive(study: Study) -> None:
    case = load_case(study, "c1")
    paint(case, 1)
    other = study.revisions.save("c1", np.full(case.info.shape, 2, np.uint8), case.canvas.status, Provenance("bob"))
    mine, conflict = save_correction(study, case, "ann")
    assert conflict is not None
    assert conflict.name == other.name
    assert study.revisions.names("c1") == (other.name, mine.name)


def test_prediction_fills_only_what_is_unseen(study: Study) -> None:
    case = load_case(study, "c1")
    paint(case, 1)
    save_correction(study, case, "ann")
    everything = Prediction(np.full(case.info.shape, 2, np.uint8), np.zeros(case.info.shape, np.uint8), {2: 0.5})
    study.predictions.write("c1", "v0001", everything)
    _activate(study, "v0001")
    again = load_case(study, "c1")
    assert (again.canvas.labels[BOX] == 1).all()
    outside = np.ones(case.info.shape, bool)
    outside[BOX] = False
    assert (again.canvas.labels[outside] == 2).all()
    assert (again.canvas.status[outside] == 0).all()


def test_revert_is_one_stroke_that_can_be_undone(study: Study) -> None:
    case = load_case(study, "c1")
    paint(case, 1)
    revision, _ = save_correction(study, case, "ann")
    paint(case, 2)
    case.revert_to_revision(revision.name)
    assert (case.canvas.labels[BOX] == 1).all()
    case.undo()
    assert (case.canvas.labels[BOX] == 2).all()


def test_a_full_disk_keeps_the_stroke_in_memory_and_writes_it_later(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = load_case(study, "c1")
    paint(case, 1)

    with monkeypatch.context() as patch:
        fail_from(patch, "napari_apprentice.store.files._write_all", 0)
        with pytest.raises(StorageError, match="disk is full"):
            paint(case, 2)
        assert (case.canvas.labels[BOX] == 2).all()
        assert case.unwritten == 1
        with pytest.raises(StorageError, match="in memory only"):
            case.leave()
    assert load_case(study, "c1").unsaved == 1  # only the first is on disk
    paint(case, 1)
    assert case.unwritten == 0
    assert load_case(study, "c1").unsaved == 3


def test_a_slice_that_does_not_exist_is_named(study: Study) -> None:
    with pytest.raises(InputError, match="Slice 99"):
        load_case(study, "c1").accept_slice(0, 99)


def _activate(study: Study, name: str) -> None:
    from napari_apprentice.core.plan import Normalisation, Plan
    from napari_apprentice.core.records import ModelVersion, now

    one = (1, 1, 1)
    plan = Plan((1.0, 1.0, 1.0), (8, 8, 8), (one,), (one,), (4,), 2, (Normalisation("zscore"),), (1, 2))
    version = ModelVersion(name, None, now(), plan, study.schema, (), (), None, {}, 0, {}, "")
    weights = study.path / "w.safetensors"
    weights.write_bytes(b"\0")
    study.models.register(version, weights)
    study.models.activate(name, "test")
