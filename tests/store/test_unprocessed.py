"""The study's post-processing recipe, and predictions before and after it."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from builders import SHAPE
from builders import study as make_study
from faults import sentences
from napari_apprentice.core.postprocess import PostRecipe, steps_of
from napari_apprentice.core.records import Prediction
from napari_apprentice.core.slabs import PredictedSlab
from napari_apprentice.errors import StorageError, StudyError
from napari_apprentice.store.check import check
from napari_apprentice.store.postprocess import DOCUMENT, change_recipe, read_choice, read_recipe, write_recipe
from napari_apprentice.store.study import Study
from napari_apprentice.store.unprocessed import finish, process_again, read_unprocessed, recipe_of

LARGEST = PostRecipe({1: steps_of("largest"), 2: steps_of("islands:1000")})


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """One case; label 1 in two pieces, a crumb of label 2, as v0001 predicted it."""
    made = make_study(tmp_path)
    made.predictions.write(
        "c1", "v0001", Prediction(labels(), np.full(SHAPE, 7, np.uint8), {1: 0.8, 2: 0.4}, 3.0, "CPU")
    )
    return made


def labels() -> np.ndarray:
    found = np.zeros(SHAPE, np.uint8)
    found[1:4, 1:4, 1:4] = 1
    found[5, 7, 9] = 1
    found[0, 0, 9] = 2
    return found


def test_the_recipe_is_kept_with_who_chose_it_and_why(study: Study) -> None:
    assert not read_recipe(study)
    write_recipe(study, LARGEST, "ann", "learned on v0001")
    again = Study.open(study.path)
    assert read_recipe(again) == LARGEST
    assert (read_choice(again)["author"], read_choice(again)["why"]) == ("ann", "learned on v0001")
    assert sentences(check(study.path)) == ()


@pytest.mark.parametrize("spoil", [lambda d: d["steps"].update({"1": ["holes"]}), lambda d: d.update(steps={"x": 3})])
def test_a_recipe_that_was_altered_is_found(study: Study, spoil) -> None:
    write_recipe(study, LARGEST, "ann")
    document = json.loads((study.path / DOCUMENT).read_text())
    spoil(document)
    (study.path / DOCUMENT).write_text(json.dumps(document))
    (fault,) = sentences(check(study.path))
    assert DOCUMENT in fault
    assert "--clear" in fault


def test_a_study_of_a_newer_layout_keeps_its_recipe(study: Study) -> None:
    write_recipe(study, LARGEST, "ann")
    document = json.loads((study.path / "study.json").read_text())
    (study.path / "study.json").write_text(json.dumps({**document, "apprentice_study": 999}))
    newer = Study.open(study.path)
    assert read_recipe(newer) == LARGEST
    with pytest.raises(StorageError, match="newer version"):
        write_recipe(newer, PostRecipe(), "ann")
    with pytest.raises(StorageError, match="newer version"):
        change_recipe(newer, {1: ()}, "ann")


def test_many_who_choose_at_once_keep_each_others_steps(study: Study) -> None:
    def choose(label: int) -> None:
        change_recipe(Study.open(study.path), {label: steps_of("holes")}, "ann")

    with ThreadPoolExecutor(6) as people:
        list(people.map(choose, range(1, 7)))
    assert set(read_recipe(study).steps) == set(range(1, 7))


def test_a_stored_prediction_goes_through_a_recipe_and_back_bit_for_bit(study: Study) -> None:
    assert process_again(study, "c1", "v0001", LARGEST)
    found = study.predictions.read("c1", "v0001")
    assert found.labels[5, 7, 9] == found.labels[0, 0, 9] == 0
    assert (found.labels == 1).sum() == 27
    assert dict(found.quality) == {1: 0.8}  # label 2 is not there any more
    assert (found.seconds, found.device, found.uncertainty[0, 0, 0]) == (3.0, "CPU", 7)
    assert np.array_equal(read_unprocessed(study, "c1", "v0001"), labels())
    assert recipe_of(study, "c1", "v0001") == LARGEST
    assert not process_again(study, "c1", "v0001", LARGEST)
    assert process_again(study, "c1", "v0001", PostRecipe({2: steps_of("islands:1000")}))
    assert study.predictions.read("c1", "v0001").labels[5, 7, 9] == 1  # from what the network said, not from the last
    assert process_again(study, "c1", "v0001", PostRecipe())
    back = study.predictions.read("c1", "v0001")
    assert np.array_equal(back.labels, labels())
    assert dict(back.quality) == {1: 0.8, 2: 0.4}
    assert back.made == {}
    assert sentences(check(study.path)) == ()


def test_a_threshold_stays_as_it_was_when_the_case_was_predicted(study: Study) -> None:
    """What is stored has no probabilities: the record must not claim what was not done."""
    both = PostRecipe({1: steps_of("threshold:0.6,largest"), 2: steps_of("threshold:0.9")})
    assert process_again(study, "c1", "v0001", both)
    assert recipe_of(study, "c1", "v0001") == PostRecipe({1: steps_of("largest")})
    assert not process_again(study, "c1", "v0001", both)


def test_slab_by_slab_the_steps_come_when_all_are_there(study: Study) -> None:
    with study.predictions.begin("c1", "v0002", np.dtype(np.uint8)) as writer:
        for z in (4, 0, 2):
            writer.write_slab(PredictedSlab(z, z + 2, labels()[z : z + 2], np.zeros(SHAPE, np.uint8)[z : z + 2]))
        quality, made = finish(writer, (1.0, 1.0, 1.0), LARGEST, {1: 0.8})
        writer.commit(quality, 1.0, "CPU", made)
    assert study.predictions.read("c1", "v0002").labels[5, 7, 9] == 0
    assert np.array_equal(read_unprocessed(study, "c1", "v0002"), labels())


def test_damage_to_what_the_network_said_is_found(study: Study) -> None:
    process_again(study, "c1", "v0001", LARGEST)
    chunk = next(p for p in (study.path / "cases.zarr/c1/predictions/v0001/unprocessed/c").rglob("*") if p.is_file())
    chunk.write_bytes(b"\0" * chunk.stat().st_size)
    with pytest.raises(StudyError, match="damaged"):
        read_unprocessed(study, "c1", "v0001")
    (fault,) = sentences(check(study.path))
    assert "damaged" in fault


def test_a_prediction_that_is_made_anew_while_steps_are_applied_is_not_put_back(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    anew = labels()
    anew[4] = 2

    def meanwhile(*args: object) -> object:
        monkeypatch.undo()
        study.predictions.write("c1", "v0001", Prediction(anew, np.full(SHAPE, 9, np.uint8), {1: 0.9, 2: 0.9}))
        return finish(*args)

    monkeypatch.setattr("napari_apprentice.store.unprocessed.finish", meanwhile)
    assert process_again(study, "c1", "v0001", PostRecipe({1: steps_of("largest")}))
    np.testing.assert_array_equal(read_unprocessed(study, "c1", "v0001"), anew)
    stored = study.predictions.read("c1", "v0001")
    assert (stored.labels[5, 7, 9], stored.labels[4, 0, 0], stored.uncertainty[0, 0, 0]) == (0, 2, 9)
