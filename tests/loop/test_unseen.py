"""A prediction that arrives while a case is being corrected: it fills what nobody has looked at, and only that."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import SHAPE
from builders import study as make_study
from napari_apprentice.core.records import Prediction
from napari_apprentice.loop.correcting import save_correction
from napari_apprentice.loop.opening import OpenCase, load_case
from napari_apprentice.store.check import check
from napari_apprentice.store.study import Study

BOX = (slice(1, 3), slice(2, 5), slice(2, 6))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path)


def predict(study: Study, label: int, model: str = "v0001") -> None:
    labels = np.full(SHAPE, label, np.uint8)
    study.predictions.write("c1", model, Prediction(labels, np.zeros(SHAPE, np.uint8), {label: 0.5}))


def activate(study: Study, name: str) -> None:
    from napari_apprentice.core.plan import Normalisation, Plan
    from napari_apprentice.core.records import ModelVersion, now

    one = (1, 1, 1)
    plan = Plan((1.0, 1.0, 1.0), (8, 8, 8), (one,), (one,), (4,), 2, (Normalisation("zscore"),), (1, 2))
    version = ModelVersion(name, None, now(), plan, study.schema, (), (), None, {}, 0, {}, "")
    weights = study.path / "w.safetensors"
    weights.write_bytes(b"\0")
    study.models.register(version, weights)
    study.models.activate(name, "test")


def paint(case: OpenCase, label: int, box: tuple[slice, slice, slice] = BOX) -> None:
    before = case.canvas.labels[box].copy()
    case.canvas.labels[box] = label
    case.record(box, before, case.canvas.labels[box].copy())


def show(case: OpenCase, label: int, start: int = 0, stop: int = SHAPE[0]) -> None:
    case.show_prediction(start, np.full((stop - start, *SHAPE[1:]), label, np.uint8), "v0001")


def same(a: OpenCase, b: OpenCase) -> None:
    np.testing.assert_array_equal(a.canvas.labels, b.canvas.labels)
    np.testing.assert_array_equal(a.canvas.status, b.canvas.status)


def test_slabs_fill_only_what_is_unseen_and_are_no_strokes(study: Study) -> None:
    case = load_case(study, "c1")
    paint(case, 1)
    case.accept_slice(0, 5)
    show(case, 2, 1, 4)
    assert (case.canvas.labels[BOX] == 1).all()
    assert not case.canvas.labels[0].any()  # not predicted yet
    show(case, 2, 4, 6)
    show(case, 2, 0, 1)
    assert not case.canvas.labels[5].any()  # accepted as it was: empty
    assert (case.canvas.labels[case.canvas.status == 0] == 2).all()
    assert case.unsaved == 2
    revision, _ = save_correction(study, case, "ann")
    assert revision.provenance.voxels_changed == {"1": 24}  # what was predicted nobody changed
    assert revision.provenance.model == "v0001"


def test_a_stroke_taken_back_shows_the_new_prediction_beneath_it(study: Study) -> None:
    case = load_case(study, "c1")
    paint(case, 1)
    show(case, 2)
    case.undo()
    assert (case.canvas.labels == 2).all()
    assert not case.canvas.status.any()
    case.redo()
    assert (case.canvas.labels[BOX] == 1).all()


def test_accepted_labels_survive_a_prediction_made_anew_by_the_same_model(study: Study) -> None:
    activate(study, "v0001")
    predict(study, 1)
    case = load_case(study, "c1")
    case.accept_slice(0, 3)
    case.leave()
    predict(study, 2)  # by another process, or another preset
    predict(study, 0)
    again = load_case(study, "c1")
    assert (again.canvas.labels[3] == 1).all()
    assert (again.canvas.status[3] == 1).all()
    assert not again.canvas.labels[[0, 1, 2, 4, 5]].any()  # unseen: the newest prediction
    again.undo()
    assert not again.canvas.labels.any()
    assert list(_drain(check(study.path))) == []


def test_what_is_accepted_while_another_process_predicts_is_what_was_shown(study: Study) -> None:
    activate(study, "v0001")
    predict(study, 1)
    case = load_case(study, "c1")
    predict(study, 2)  # the window does not know of it yet
    case.accept_slice(0, 3)
    case.flush()
    again = load_case(study, "c1")
    assert (again.canvas.labels[3] == 1).all()
    show(case, 2)
    case.accept_slice(0, 0)
    case.leave()
    again = load_case(study, "c1")
    assert (again.canvas.labels[3] == 1).all()
    assert (again.canvas.labels[0] == 2).all()


def test_slabs_accepted_before_the_prediction_is_whole_survive_a_kill(study: Study) -> None:
    case = load_case(study, "c1")  # never predicted
    show(case, 2, 0, 3)
    case.accept_slice(0, 1)
    case.flush()  # and now the machine goes down: there is no prediction in the study
    again = load_case(study, "c1")
    assert (again.canvas.labels[1] == 2).all()
    assert not again.canvas.labels[0].any()
    assert (again.canvas.status[1] == 1).all()


def test_a_prediction_kept_for_strokes_goes_when_they_are_in_a_revision(study: Study) -> None:
    activate(study, "v0001")
    predict(study, 1)
    case = load_case(study, "c1")
    case.accept_slice(0, 3)
    case.flush()
    predict(study, 2)
    folder = study.cases.folder("c1") / "predictions"
    assert len(list(folder.glob(".*.kept"))) == 1
    save_correction(study, case, "ann")
    predict(study, 2)
    assert list(folder.glob(".*")) == []
    assert (load_case(study, "c1").canvas.labels[3] == 1).all()


STEP = st.one_of(
    st.tuples(st.just("paint"), st.integers(0, 4), st.integers(0, 5), st.integers(1, 2)),
    st.tuples(st.just("accept"), st.integers(0, 5)),
    st.tuples(st.just("undo")),
    st.tuples(st.just("redo")),
    st.tuples(st.just("slab"), st.integers(0, 5), st.integers(1, 6), st.integers(0, 2)),
    st.tuples(st.just("stored"), st.integers(0, 2)),
    st.tuples(st.just("save")),
    st.tuples(st.just("reopen")),
)


@given(steps=st.lists(STEP, max_size=14))
@settings(max_examples=20, deadline=None)
def test_whatever_arrives_when_no_voxel_a_person_saw_is_changed_by_it(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[object, ...]]
) -> None:
    study = make_study(tmp_path_factory.mktemp("s"))
    activate(study, "v0001")
    case = load_case(study, "c1")
    for step in steps:
        before, status = case.canvas.labels.copy(), case.canvas.status.copy()
        case = _do(study, case, step)
        if step[0] in ("slab", "stored", "save", "reopen"):
            seen = status != 0
            np.testing.assert_array_equal(case.canvas.status, status)
            np.testing.assert_array_equal(case.canvas.labels[seen], before[seen])
    case.leave()
    assert list(_drain(check(study.path))) == []


def _do(study: Study, case: OpenCase, step: tuple[object, ...]) -> OpenCase:
    what, *rest = step
    if what == "paint":
        z, y, label = rest
        paint(case, label, (slice(z, z + 2), slice(y, y + 3), slice(2, 6)))
    elif what == "accept":
        case.accept_slice(0, rest[0])
    elif what in ("undo", "redo"):
        getattr(case, what)()
    elif what == "slab":
        start, size, label = rest
        show(case, label, start, min(start + size, SHAPE[0]))
    elif what == "stored":
        predict(study, rest[0])
    elif what == "save":
        save_correction(study, case, "ann")
    else:
        case.leave()
        return load_case(study, "c1")
    return case


def _drain(work):  # type: ignore[no-untyped-def]
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value
