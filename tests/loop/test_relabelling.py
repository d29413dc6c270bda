"""Labels that go: model versions that know them do not propose them any more, and nothing a person did is touched."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from builders import study as make_study
from collected import collect
from faults import finish
from napari_apprentice.cli import main
from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.import_settings import ImportSettings
from napari_apprentice.core.labels import Label, LabelSchema
from napari_apprentice.core.postprocess import PostRecipe, steps_of
from napari_apprentice.core.records import Prediction, Provenance
from napari_apprentice.core.slabs import PredictedSlab
from napari_apprentice.errors import InputError
from napari_apprentice.loop.cohort import is_predicted
from napari_apprentice.loop.model_import import import_model
from napari_apprentice.loop.postprocessing import apply_recipe
from napari_apprentice.loop.relabelling import change_labels, next_id, with_names
from napari_apprentice.loop.worker_predict import PredictionTask
from napari_apprentice.session import Session
from napari_apprentice.store.check import check
from napari_apprentice.store.postprocess import read_recipe
from napari_apprentice.store.presence import Present
from napari_apprentice.store.study import Study
from networks import MODEL, networked_study

TORCH = PredictSettings(device="cpu", backend="torch", half=False)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Labels one and two, a network that knows both, a case it has predicted."""
    made = networked_study(tmp_path, cases=1)
    predict(made)
    return made


def predict(study: Study) -> Prediction:
    run = study.runs.create("predict", {"model": MODEL, "cases": ["c1"], "settings": TORCH.to_json()})
    finish(PredictionTask()(run))
    return study.predictions.read("c1", MODEL)


def without_two(study: Study) -> LabelSchema:
    return LabelSchema(study.schema.labels[:1])


def test_what_was_predicted_reads_as_background_and_is_proposed_no_more(study: Study) -> None:
    before = study.predictions.read("c1", MODEL)
    assert set(np.unique(before.labels)) == {0, 1, 2}
    assert set(before.quality) == {1, 2}
    both = study.schema
    finish(change_labels(study, without_two(study)))
    now = study.predictions.read("c1", MODEL)
    np.testing.assert_array_equal(now.labels, np.where(before.labels == 2, 0, before.labels))
    assert set(now.quality) == set(study.predictions.quality_by_label("c1", MODEL)) == {1}
    box = (slice(2, 9), slice(0, 30), slice(3, 20))
    np.testing.assert_array_equal(study.predictions.base_labels("c1", MODEL, box), now.labels[box])
    again = predict(study)
    assert set(np.unique(again.labels)) == {0, 1}
    kept = before.labels != 2  # the likeliest label elsewhere was the likeliest before
    assert (again.labels == before.labels)[kept].mean() > 0.999
    assert (again.labels[~kept] == 1).any()  # where two was the likeliest, one comes second in places
    assert not finish(check(study.path))
    finish(change_labels(study, both))
    assert set(np.unique(predict(study).labels)) == {0, 1, 2}


def test_the_number_of_a_label_that_went_is_given_to_no_other(study: Study) -> None:
    finish(change_labels(study, without_two(study)))
    assert next_id(study) == 3
    tumour = LabelSchema((*study.schema.labels, Label(2, "tumour", "#112233")))
    with pytest.raises(InputError, match=r"id 2 means two in what this study keeps: give tumour another id, for .* 3"):
        finish(change_labels(study, tumour))
    assert study.schema.ids == (1,)
    finish(change_labels(study, LabelSchema((*study.schema.labels, Label(2, "two", "#112233")))))
    assert study.schema.ids == (1, 2)


def test_the_number_is_kept_for_good_where_no_model_version_knows_it(tmp_path: Path) -> None:
    made = make_study(tmp_path)
    finish(change_labels(made, without_two(made)))
    again = Study.open(made.path)
    assert [x.name for x in again.retired] == ["two"]
    assert (again.label_name(2), again.label_name(1), again.label_name(9)) == ("two", "one", "label 9")
    assert next_id(again) == 3
    with pytest.raises(InputError, match="id 2 means two"):
        finish(change_labels(again, LabelSchema((*again.schema.labels, Label(2, "cyst", "#112233")))))
    back = with_names(again, again.schema, ["Two", "more"])
    assert [(x.id, x.name) for x in back.labels] == [(1, "one"), (2, "two"), (3, "more")]
    finish(change_labels(again, back))
    assert Study.open(made.path).retired == ()


def test_a_number_above_255_is_no_reason_to_fail(study: Study) -> None:
    before = study.predictions.read("c1", MODEL).labels
    finish(change_labels(study, LabelSchema((*study.schema.labels, Label(300, "big", "#112233")))))
    np.testing.assert_array_equal(study.predictions.read("c1", MODEL).labels, before)


def test_a_damaged_model_version_does_not_stand_in_the_way(study: Study) -> None:
    (study.models.root / MODEL / "model.json").write_text("{broken")
    finish(change_labels(study, with_names(study, study.schema, ["more"])))
    assert study.schema.ids == (1, 2, 3)


def test_a_label_that_a_person_put_there_after_all_is_not_taught(tmp_path: Path) -> None:
    made = make_study(tmp_path)
    finish(change_labels(made, without_two(made)))
    labels = np.zeros(made.cases.info("c1").shape, np.uint8)
    labels[:2], labels[2:4] = 1, 2  # by a window that had been open, or by undo
    made.revisions.save("c1", labels, np.ones_like(labels), Provenance("ann"))
    (example,) = (e for side in collect(made, frozenset()) for e in side)
    assert (example.status[2:4] == 0).all()
    assert (example.status[:2] == 1).all()
    assert (example.status[4:] == 1).all()


def test_a_cohort_predicts_again_what_other_labels_were_asked_of(study: Study) -> None:
    def done() -> bool:
        return is_predicted(study, "c1", MODEL, TORCH, read_recipe(study))

    both = study.schema
    assert done()
    finish(change_labels(study, without_two(study)))
    assert not done()
    predict(study)
    assert done()
    finish(change_labels(study, both))
    assert not done()


def test_slabs_under_way_are_read_as_of_now(study: Study) -> None:
    shape = study.cases.info("c1").shape
    writer = study.predictions.begin("c1", MODEL, np.dtype(np.uint8), "run1")
    with writer:
        writer.write_slab(
            PredictedSlab(0, 2, np.full((2, *shape[1:]), 2, np.uint8), np.zeros((2, *shape[1:]), np.uint8))
        )
        finish(change_labels(study, without_two(study)))
        slab = study.predictions.unfinished("c1", MODEL, "run1").read(0, 2)
    assert slab is not None
    assert not slab.labels.any()


def test_strokes_on_this_computer_only_keep_every_label(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = Session(author="ann")
    ann.open_study(study.path)
    monkeypatch.setattr(ann._rescues, "cases", lambda *_: ("c1",))
    with pytest.raises(InputError, match="strokes of c1 are on this computer only"):
        finish(ann.set_labels(without_two(study)))
    ann.close()


def test_a_version_of_labels_that_went_says_what_they_were(study: Study) -> None:
    finish(change_labels(study, without_two(study)))
    assert [x.name for x in study.schema_for((1, 2)).labels] == ["one", "two"]
    finish(change_labels(study, LabelSchema((*study.schema.labels, Label(3, "two", "#112233")))))
    assert [x.name for x in study.schema_for((1, 2)).labels] == ["one", "two (2)", "two"]


def test_what_a_person_did_keeps_its_label(study: Study) -> None:
    session = Session(author="ann")
    session.open_study(study.path)
    case = session.load_case("c1")
    session.show_case(case)
    session.accept_slice(0, 3)  # brings no labels: they are found in the prediction
    case.flush()
    with pytest.raises(InputError, match="two stays: case c1 has unsaved strokes, and a prediction that has this"):
        finish(session.set_labels(without_two(study)))
    session.save()
    session.close()
    with pytest.raises(InputError, match="Label two stays: revision r0001 of case c1 uses it"):
        finish(change_labels(Study.open(study.path), without_two(study)))


def test_nothing_goes_while_somebody_else_may_be_using_it(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = Session(author="ann")
    ann.open_study(study.path)
    bob = {"c1": (Present("bob", "elsewhere", 1, 0.0, "2026-01-01T10:00:00+00:00"),)}
    monkeypatch.setattr(ann, "present", lambda: bob)
    finish(ann.set_labels(LabelSchema((*study.schema.labels, Label(3, "more", "#112233")))))
    with pytest.raises(InputError, match="bob has case c1 open"):
        finish(ann.set_labels(without_two(study)))
    bob.clear()
    finish(ann.set_labels(without_two(study)))
    ann.close()


@pytest.fixture
def windows(tmp_path: Path) -> Iterator[tuple[Session, Session]]:
    """Ann's and Bob's, both opened before Bob added the label vessel, with id 3."""
    made = make_study(tmp_path)
    ann, bob = Session("ann"), Session("bob")
    for session in (ann, bob):
        session.open_study(made.path)
    finish(bob.set_labels(bob.labels_with(bob.study.schema, ["vessel"])))
    yield ann, bob
    ann.close()
    bob.close()


def test_a_label_of_another_window_is_not_written_over(windows: tuple[Session, Session]) -> None:
    ann, _ = windows
    for wanted in (
        ann.labels_with(ann.study.schema, ["tumour"]),
        LabelSchema((Label(1, "one", "#112233"), *ann.study.schema.labels[1:])),
    ):
        shown = LabelSchema.from_names(["one", "two"])
        with pytest.raises(InputError, match=r"changed in another window.*: they are one, two, vessel now"):
            finish(ann.set_labels(wanted, shown))
        assert [x.name for x in Study.open(ann.study.path).schema.labels] == ["one", "two", "vessel"]
    finish(ann.set_labels(ann.labels_with(ann.study.schema, ["tumour"])))  # made again, from what is shown now
    assert [(x.id, x.name) for x in Study.open(ann.study.path).schema.labels][2:] == [(3, "vessel"), (4, "tumour")]


def test_a_refused_change_says_so_once_and_tells_what_there_is_now(windows: tuple[Session, Session]) -> None:
    ann, _ = windows
    told: list[bool] = []
    ann.events.cases_changed.connect(lambda: told.append(True))
    with pytest.raises(InputError):
        finish(ann.set_labels(ann.labels_with(ann.study.schema, ["tumour"])))
    assert told  # whoever shows the labels reads them anew
    assert ann.study.label_name(3) == "vessel"


def test_an_open_session_learns_of_another_windows_label(windows: tuple[Session, Session]) -> None:
    ann, bob = windows
    ann.show_case(ann.load_case("c1"))
    assert ann.study.label_name(3) == "vessel"
    finish(bob.set_labels(bob.labels_with(bob.study.schema, ["nerve"])))
    ann.accept_scan()
    ann.save()
    assert ann.study.label_name(4) == "nerve"


def test_labels_of_a_model_from_elsewhere_come_beside_those_of_another_window(
    study: Study, tmp_path_factory: pytest.TempPathFactory
) -> None:
    here = Study.create(tmp_path_factory.mktemp("other") / "other.study", LabelSchema.from_names(["vessel"]))
    ann = Study.open(here.path)
    here.set_schema(LabelSchema.from_names(["vessel", "nerve"]))
    finish(import_model(ann, study.path, ImportSettings(add_labels=True)))
    kept = [(x.id, x.name) for x in Study.open(here.path).schema.labels]
    assert kept == [(1, "vessel"), (2, "nerve"), (3, "one"), (4, "two")]


def test_of_two_windows_at_the_same_moment_one_changes_the_labels(tmp_path: Path) -> None:
    base = make_study(tmp_path).schema

    def change(name: str) -> bool:
        mine = Study.open(tmp_path / "test.study")
        both.wait()
        try:
            mine.set_schema(base.with_names([name], 3), base)
        except InputError:
            return False
        return True

    both = Barrier(4)
    with ThreadPoolExecutor(4) as windows:
        done = dict(zip("abcd", windows.map(change, "abcd"), strict=True))
    assert list(done.values()).count(True) == 1
    assert done[Study.open(tmp_path / "test.study").schema.labels[-1].name]


def test_a_network_that_knows_none_of_the_labels_proposes_background(study: Study) -> None:
    finish(change_labels(study, LabelSchema((Label(7, "new", "#112233"),))))
    found = predict(study)
    assert not found.labels.any()
    assert not found.quality


def test_steps_of_a_label_that_went_are_passed_over(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["postprocess", str(study.path), "--set", "two=largest", "--set", "one=largest"]) == 0
    assert main(["labels", str(study.path), "--remove", "two"]) == 0
    assert main(["postprocess", str(study.path)]) == 0
    assert "two" not in capsys.readouterr().out.splitlines()[-1]
    again = Study.open(study.path)
    predict(again)
    finish(apply_recipe(again, MODEL, ["c1"], read_recipe(again)))
    assert set(np.unique(again.predictions.read("c1", MODEL).labels)) <= {0, 1}
    assert main(["postprocess", str(study.path), "--set", "one=holes"]) == 0


def test_steps_done_anew_keep_what_is_stored_of_a_label_that_went(study: Study) -> None:
    before, both = study.predictions.read("c1", MODEL), study.schema
    finish(change_labels(study, without_two(study)))
    finish(apply_recipe(study, MODEL, ["c1"], PostRecipe().with_label(1, steps_of("islands:5"))))
    finish(change_labels(study, both))
    now = study.predictions.read("c1", MODEL)
    np.testing.assert_array_equal(now.labels == 2, before.labels == 2)
    assert set(now.quality) == {1, 2}


def test_labels_on_the_command_line(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    def labels(*arguments: str) -> list[str]:
        code = main(["labels", str(study.path), *arguments])
        told = capsys.readouterr()
        return [line.rsplit(" ", 1)[0] for line in told.out.splitlines()] if code == 0 else [told.err]

    assert labels() == ["1 one", "2 two"]
    assert labels("--remove", "two", "--rename", "one=liver", "--add", "spleen") == ["1 liver", "3 spleen"]
    assert labels("--add", "two", "--remove", "spleen") == ["1 liver", "2 two"]
    assert labels("--remove", "two", "--add", "spleen") == ["1 liver", "3 spleen"]
    assert "no label 'kidney'; it has liver, spleen" in labels("--remove", "kidney")[0]
    assert "at least one label" in labels("--remove", "liver", "--remove", "spleen")[0]
    assert "OLD=NEW" in labels("--rename", "liver")[0]
    ones = np.ones(study.cases.info("c1").shape, np.uint8)
    study.revisions.save("c1", ones, ones, Provenance("ann"))
    assert "Label liver stays: revision r0001 of case c1 uses it" in labels("--remove", "liver")[0]
