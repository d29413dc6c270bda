"""Which labels existed when a voxel was called background."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from builders import study as make_study
from collected import collect
from faults import finish
from napari_apprentice.core.labels import Label, LabelSchema
from napari_apprentice.core.records import Provenance
from napari_apprentice.errors import StorageError
from napari_apprentice.loop.seen_labels import SeenLabels
from napari_apprentice.session import Session
from napari_apprentice.store.journal import Journal
from napari_apprentice.store.study import Study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Of labels 1 and 2; c1 and c2 were looked at in their upper half, c3 never. Then label 3 came."""
    made = make_study(tmp_path, cases=3)
    for case_id in ("c1", "c2"):
        labels, status = maps(made)
        labels[0, 0] = 1
        status[:3] = 1
        made.revisions.save(case_id, labels, status, Provenance("ann"))
    made.set_schema(LabelSchema((*made.schema.labels, Label(3, "three", "#112233"))))
    return made


def maps(study: Study) -> tuple[np.ndarray, np.ndarray]:
    shape = study.cases.info("c1").shape
    return np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)


def open_in(study: Study, case_id: str):  # type: ignore[no-untyped-def]
    newest = study.revisions.newest(case_id)
    assert newest is not None
    return SeenLabels(study).open_in(newest, *study.revisions.read(case_id, newest.name))


def test_a_revision_keeps_the_labels_of_its_day(study: Study) -> None:
    assert study.revisions.info("c1", "r0001").schema == (1, 2)
    assert study.revisions.save("c3", *maps(study), Provenance("ann")).schema == (1, 2, 3)


def test_background_of_before_may_be_the_newer_label(study: Study) -> None:
    found = open_in(study, "c1")
    assert found.sets == ((3,),)
    labels, status = study.revisions.read("c1", "r0001")
    np.testing.assert_array_equal(found.where, (labels == 0) & (status > 0))


def test_what_is_looked_at_later_is_decided_and_the_rest_of_the_case_is_not(study: Study) -> None:
    labels, status = study.revisions.read("c1", "r0001")
    status[3:] = 1
    study.revisions.save("c1", labels, status, Provenance("ann", "r0001"))
    found = open_in(study, "c1")
    assert found.where[:3].sum() == found.where[:3].size - labels[0, 0].size
    assert not found.where[3:].any()


def test_a_case_with_the_newer_label_was_looked_through_for_it(study: Study) -> None:
    labels, status = study.revisions.read("c1", "r0001")
    labels[2, 2], status[2, 2] = 3, 2
    study.revisions.save("c1", labels, status, Provenance("ann", "r0001"))
    assert open_in(study, "c1") is None


def test_an_older_revision_that_is_restored_stays_as_open_as_it_was(study: Study) -> None:
    labels, status = study.revisions.read("c1", "r0001")
    study.revisions.save("c1", np.where(labels == 0, np.uint8(3), labels), status, Provenance("ann", "r0001"))
    study.revisions.save("c1", labels, status, Provenance("ann", "r0001", origin="restore"))
    assert open_in(study, "c1").where.any()


def test_a_case_first_corrected_now_is_decided(study: Study) -> None:
    labels, status = maps(study)
    status[:] = 1
    study.revisions.save("c3", labels, status, Provenance("ann"))
    assert open_in(study, "c3") is None


def test_two_labels_added_one_after_another(study: Study) -> None:
    labels, status = study.revisions.read("c1", "r0001")
    status[3:] = 1
    study.revisions.save("c1", labels, status, Provenance("ann", "r0001"))
    study.set_schema(LabelSchema((*study.schema.labels, Label(4, "four", "#445566"))))
    found = open_in(study, "c1")
    assert {found.sets[i - 1] for i in np.unique(found.where[:3]) if i} == {(3, 4)}
    assert {found.sets[i - 1] for i in np.unique(found.where[3:]) if i} == {(4,)}


def test_a_revision_of_an_earlier_version_of_the_program_goes_by_the_model_that_learned_from_it(study: Study) -> None:
    path = study.path / "cases.zarr/c1/image/labels/r0001/zarr.json"
    document = json.loads(path.read_text())
    del document["attributes"]["apprentice"]["schema"]
    path.write_text(json.dumps(document))
    assert study.revisions.info("c1", "r0001").schema is None
    assert open_in(study, "c1") is None  # nobody knows better than today's list


@pytest.mark.parametrize("how", ["shown again", "window killed", "in a rescue journal", "still open"])
def test_what_was_accepted_before_the_label_existed_is_not_taught_as_without_it(
    study: Study, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = session_of(study)
    with monkeypatch.context() as patch:
        if how == "in a rescue journal":
            patch.setattr(Journal, "start", refuse)
        ann.accept_scan()
        ann.case.settle()
    finish(ann.set_labels(ann.labels_with(ann.study.schema, ["four"])))
    if how != "still open":
        if how != "shown again":
            ann.close()
            ann = Session("ann")
            ann.open_study(study.path)
        ann.show_case(ann.load_case("c3"))
    assert ann.case.unsaved == 1
    assert ann.save().schema == (1, 2, 3)
    now = Study.open(study.path)
    found = open_in(now, "c3")
    assert found.sets == ((4,),)
    assert found.where.all()
    ann.accept_scan()
    assert ann.save().schema == (1, 2, 3, 4)  # a new sitting
    ann.close()


def test_who_draws_the_new_label_in_the_same_sitting_has_looked_for_it(study: Study) -> None:
    ann = session_of(study)
    ann.accept_scan()
    finish(ann.set_labels(ann.labels_with(ann.study.schema, ["four"])))
    box = (slice(0, 1), slice(0, 2), slice(0, 2))
    ann.record(box, np.zeros((1, 2, 2), np.uint8), np.full((1, 2, 2), 4, np.uint8))
    ann.save()
    ann.close()
    assert open_in(Study.open(study.path), "c3") is None


def session_of(study: Study) -> Session:
    ann = Session("ann")
    ann.open_study(study.path)
    ann.show_case(ann.load_case("c3"))
    return ann


def refuse(*_: object) -> None:
    raise StorageError("injected")


def test_examples_count_their_sets_alike(study: Study) -> None:
    examples, held_out = collect(study, frozenset())
    assert not held_out
    assert [e.open.sets for e in examples if e.open] == [((3,),)] * 2
    assert not examples[0].known(3)[:3][examples[0].labels[:3] == 0].any()
    assert examples[0].known(1)[:3].all()


@pytest.mark.parametrize("fault", ["attributes", "voxels", "gone"])
def test_an_earlier_revision_that_is_damaged_or_gone_leaves_the_newest_in_and_its_background_open(
    study: Study, fault: str
) -> None:
    labels, status = study.revisions.read("c1", "r0001")
    status[3:] = 1
    study.revisions.save("c1", labels, status, Provenance("ann", "r0001"))
    folder = study.path / "cases.zarr/c1/image/labels/r0001"
    if fault == "attributes":
        (folder / "zarr.json").write_text("{")
    elif fault == "voxels":
        for path in (folder / "0" / "c").rglob("*"):
            if path.is_file():
                path.write_bytes(b"junk")
    else:
        shutil.rmtree(folder)
    left_out: dict[str, str] = {}
    train, held_out = collect(study, frozenset(), left_out=left_out)
    assert left_out == {}
    (example,) = [e for e in (*train, *held_out) if e.revision == "c1/r0002"]
    assert not example.known(3)[labels == 0].any()
    assert example.known(1).all()
