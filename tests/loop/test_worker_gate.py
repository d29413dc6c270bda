"""Real training runs before the gate: what is better passes, what learned nonsense does not."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from collected import collect
from learn.small import finish, make_example, make_plan
from loop.balls import SHAPE, ball_study, modelled_study, revise, trained
from napari_apprentice.core.config import PredictSettings, TrainSettings, first_model_settings
from napari_apprentice.core.gate import GateReport
from napari_apprentice.core.postprocess import PostRecipe, steps_of
from napari_apprentice.core.postprocess_steps import postprocess
from napari_apprentice.core.records import ModelVersion, Provenance, now
from napari_apprentice.errors import ModelError
from napari_apprentice.learn import under_way
from napari_apprentice.learn import weights as weight_files
from napari_apprentice.learn.evaluate import Thrift, case_scores, label_map
from napari_apprentice.learn.network import build
from napari_apprentice.learn.predictor import Predictor
from napari_apprentice.learn.sweep import Sweep
from napari_apprentice.loop.candidate import Candidate
from napari_apprentice.loop.choosing import choose
from napari_apprentice.loop.exporting import active_model
from napari_apprentice.loop.registering import activate
from napari_apprentice.loop.tuning import TuneReport
from napari_apprentice.loop.worker_conclude import conclude
from napari_apprentice.loop.worker_gate import gate
from napari_apprentice.loop.worker_train import how_good
from napari_apprentice.store.postprocess import write_recipe
from napari_apprentice.store.study import Study
from networks import add_version

QUICK = TrainSettings(steps=25, rate=1e-2, device="cpu", interpolation=2, augment=False)


@pytest.fixture(scope="module")
def _one_thread() -> Iterator[None]:
    """Networks this small are faster on one thread, many times so where tests run side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def first(_one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A first model version that is not good yet, and corrections on both sides since."""
    study = ball_study(tmp_path_factory.mktemp("gate"), 4, (3, 4))
    assert trained(study, "train", first_model_settings(20, device="cpu"))["active"]
    return study


def test_a_better_model_passes_and_the_next_that_learned_from_flipped_labels_does_not(first: Study) -> None:
    for n in (1, 2, 3):
        revise(first, n)
    better = trained(first, "fine-tune", QUICK)
    version = first.models.info(better["model"])
    assert better["active"], better["gate"]["reason"]
    assert version.gate is not None
    assert {(p.revision, p.subject, p.replay) for p in version.gate.pairs} == {
        ("c3/r0002", "s3", False), ("c4/r0001", "s4", True),
    }  # fmt: skip
    assert [s["share"] for s in version.metrics["shares"]] == [0.5, 1.0]
    assert version.temperature == version.metrics["calibration"]["temperature"] > 0
    assert version.metrics["calibration"]["subjects"] == 2

    for n in (1, 2):
        flipped = make_example(n, SHAPE).labels
        revise(first, n, np.where(flipped > 0, 3 - flipped, 0).astype(np.uint8))
    worse = trained(first, "fine-tune", QUICK)
    assert not worse["active"]
    assert first.models.active() == better["model"]
    assert "worse" in worse["gate"]["reason"]
    assert worse["gate"]["totals"][0]["after"] < worse["gate"]["totals"][0]["before"]


def test_a_subject_moved_after_it_was_learned_does_not_judge(first: Study) -> None:
    first.split.move("s1", "validation", "scanned again")
    base = first.models.info("v0001")
    examples, held_out = collect(first, frozenset())
    assert {e.subject for e in held_out} == {"s1", "s3", "s4"}
    weights = first.models.weights("v0001")
    made = Candidate(base, weights, base.plan, weights, examples, held_out)
    run = first.runs.create("fine-tune", {"base": "v0001"})
    reports, verdict = finish(gate(run, first, made, QUICK))
    # two scans by the active version and at two shares, then by both at full quality
    assert [(r.done, r.total) for r in reports] == [(done, 10) for done in range(10)]
    assert [r.seconds_left is None for r in reports] == [r.done == 0 for r in reports]  # the longest wait of all
    assert reports[-1].text == f"Comparing with {first.models.active()}: held-out scan 2 of 2"
    assert verdict.report.left_out == 1
    assert {p.subject for p in verdict.report.pairs} == {"s3", "s4"}
    assert {p.revision for p in verdict.planes} == {e.revision for e in verdict.measured}
    assert "1 held-out scan could not be measured on" in verdict.report.caution


def test_what_became_active_while_the_gate_compared_with_another_stays_active(first: Study) -> None:
    base, weights = first.models.info("v0001"), first.models.weights("v0001")
    _all_background(first, (), "zeros")
    first.models.register(replace(base, name="chosen"), weights)
    made = Candidate(None, None, base.plan, weights, *collect(first, frozenset()))
    work = conclude(first.runs.create("train", {"base": None}), first, made, QUICK)
    while not (report := next(work)).text.startswith("Comparing with zeros: held-out scan 2 of "):
        pass
    first.models.activate("chosen", f"chosen by hand, while: {report.text}")
    _, result = finish(work)
    gate = GateReport.from_json(result["gate"])
    assert (gate.passed, gate.compared_with, result["active"]) == (True, "zeros", False)
    assert first.models.active() == "chosen"
    verdict = TuneReport("run", result["model"], result["active"], gate, 1, 1.0, (), result["instead"]).verdict
    assert "(compared with zeros), but chosen became active meanwhile, and the two were not compared" in verdict
    assert not activate(first, first.models.info(result["model"]), None)  # nor in place of what was imported meanwhile


def _zeros(study: Study) -> Path:
    """Weights that find nothing anywhere."""
    path, network = study.path.parent / "zeros.safetensors", build(make_plan())
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    weight_files.save(network, path)
    return path


def _all_background(study: Study, learned: tuple[str, ...], name: str = "v0001") -> ModelVersion:
    """An active model version that finds nothing anywhere."""
    plan, path = make_plan(), _zeros(study)
    version = ModelVersion(name, None, now(), plan, study.schema, learned, (), None, {}, 0, {}, "")
    study.models.activate(study.models.register(version, path).name, "test")
    return study.models.info(name)


def _concluded(study: Study, weights: Path, settings: TrainSettings) -> TuneReport:
    """What comes of weights that were trained from nothing."""
    made = Candidate(None, None, make_plan(), weights, *collect(study, frozenset()))
    _, result = finish(conclude(study.runs.create("train", {"base": None}), study, made, settings))
    gate = GateReport.from_json(result["gate"]) if result["gate"] else None
    return TuneReport("run", result["model"], result["active"], gate, 1, 1.0, (), result["instead"])


@pytest.mark.usefixtures("_one_thread")
def test_a_first_model_version_that_finds_nothing_is_a_candidate_and_can_be_activated(tmp_path: Path) -> None:
    study = ball_study(tmp_path)
    report = _concluded(study, _zeros(study), first_model_settings(300, device="cpu"))
    assert (report.active, report.instead, study.models.active()) == (False, "", None)
    assert "kept as a candidate, not active: it agrees with the held-out corrections nowhere" in report.verdict
    with pytest.raises(ModelError, match="activate one by its name"):
        active_model(study)
    choose(study, report.model, "ann")
    assert study.models.active() == report.model


@pytest.mark.usefixtures("_one_thread")
def test_a_held_out_correction_of_a_label_that_was_not_taught_says_nothing_of_a_first_model_version(
    tmp_path: Path,
) -> None:
    study = ball_study(tmp_path)
    for n in (1, 2):
        revise(study, n, np.where(make_example(n, SHAPE).labels == 1, 1, 0).astype(np.uint8))
    revise(study, 3, np.where(make_example(3, SHAPE).labels == 2, 2, 0).astype(np.uint8))
    assert _concluded(study, _zeros(study), first_model_settings(300, device="cpu")).active


@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize(("validation", "dice"), [((), None), ((3,), 0.5)])
def test_nothing_is_predicted_where_that_cannot_change_whether_a_first_model_version_is_active(
    tmp_path: Path, validation: tuple[int, ...], dice: float | None
) -> None:
    study = ball_study(tmp_path, validation=validation)
    missing = tmp_path / "no weights, which a network could not be built of"
    made = Candidate(None, None, make_plan(), missing, *collect(study, frozenset()), dice=dice)
    run = study.runs.create("train", {"base": None})
    reports, verdict = finish(gate(run, study, made, first_model_settings(5, device="cpu")))
    assert (reports, verdict.report) == ([], None)


@pytest.mark.usefixtures("_one_thread")
def test_of_a_held_out_correction_of_background_a_first_model_version_has_no_dice(tmp_path: Path) -> None:
    study = ball_study(tmp_path)
    revise(study, 3, np.zeros(SHAPE, np.uint8))
    result = trained(study, "train", first_model_settings(1, device="cpu"))
    assert result["active"]
    assert result["history"][-1][2] is None
    assert result["notes"][-1] == (
        "The held-out corrections have no label that was taught, so nothing says how good it is."
    )


@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize("minutes", [0.0, 1.0])
def test_a_first_model_version_that_had_time_for_a_single_step_is_a_candidate(tmp_path: Path, minutes: float) -> None:
    study = ball_study(tmp_path, validation=())
    weights = study.path.parent / "w.safetensors"
    weight_files.save(build(make_plan()), weights)
    report = _concluded(study, weights, replace(first_model_settings(1, device="cpu"), minutes=minutes))
    assert report.active == (minutes == 0)  # a single step that was asked for is what was asked for
    assert ("only 1 step fitted into 1 minute" in report.verdict) == (minutes > 0)


@pytest.mark.usefixtures("_one_thread")
def test_a_candidate_that_says_the_same_everywhere_is_not_made_active(tmp_path: Path) -> None:
    study = modelled_study(tmp_path)
    report = _concluded(study, study.models.weights("v0001"), QUICK)
    assert not report.active
    assert study.models.active() == "v0001"
    assert "it says the same as the active model version in every voxel of the held-out scans" in report.verdict
    assert report.gate is not None
    assert not report.gate.found_worse


@pytest.mark.usefixtures("_one_thread")
def test_the_gate_goes_on_in_less_memory_where_it_runs_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = modelled_study(tmp_path)
    enough = _concluded(study, study.models.weights("v0001"), QUICK)
    budgets: list[int] = []
    budget, usual = under_way._budget, Sweep.voxels_of
    monkeypatch.setattr(under_way, "_budget", lambda *of: budgets.append(budget(*of)) or budgets[-1])

    def short(*order: Any) -> Any:
        if budgets[-1] > 32 * 2**20:
            raise MemoryError
        return usual(*order)

    monkeypatch.setattr(Sweep, "voxels_of", short)
    found = _concluded(study, study.models.weights("v0001"), QUICK)
    assert min(budgets) == 32 * 2**20
    assert budgets == sorted(budgets, reverse=True)  # what was too much for one map is tried for none after it
    assert enough.gate is not None
    assert found.gate is not None
    assert found.gate.pairs == enough.gate.pairs


def test_voxels_found_where_a_label_is_absent_are_counted() -> None:
    example = replace(make_example(1, SHAPE), labels=np.zeros(SHAPE, np.uint8))
    predicted = np.zeros(SHAPE, np.uint8)
    predicted[2, 3, 4:7] = 2
    (score,) = case_scores(predicted, example, (1, 2))
    assert (score.label, score.dice, score.size, score.found) == (2, 0.0, 0, 3)


@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize(("slices", "said"), [(1, True), (4, False)])
def test_a_verdict_from_single_slices_says_what_it_is_worth(tmp_path: Path, slices: int, said: bool) -> None:
    study = ball_study(tmp_path)
    _all_background(study, ())
    truth = make_example(3, SHAPE).labels
    status = np.zeros_like(truth)
    status[8 : 8 + slices] = 1  # of 16
    study.revisions.save("c3", truth, status, Provenance("ann"))
    made = Candidate(None, None, make_plan(), study.models.weights("v0001"), *collect(study, frozenset()))
    _, verdict = finish(gate(study.runs.create("train", {"base": None}), study, made, QUICK))
    assert verdict.report is not None
    assert ("Correct a held-out scan as a whole." in verdict.report.caution) == said
    assert GateReport.from_json(verdict.report.to_json()) == verdict.report


@pytest.mark.usefixtures("_one_thread", "openvino")
def test_it_measures_what_a_person_sees_after_the_steps_of_the_study(tmp_path: Path) -> None:
    study = ball_study(tmp_path)
    for name, seed in (("v0001", 1), ("v0002", 2)):  # random networks, whose maps are full of crumbs
        add_version(study, name, make_plan(), seed=seed)
    study.models.activate("v0001", "by hand")
    recipe = PostRecipe({1: steps_of("largest"), 2: steps_of("islands:20")})
    write_recipe(study, recipe, "ann")
    examples, held_out = collect(study, frozenset())
    made = Candidate(None, None, make_plan(), study.models.weights("v0002"), examples, held_out)
    settings = replace(QUICK, interpolation=1)
    _, result = finish(conclude(study.runs.create("train", {"base": None}), study, made, settings))
    pairs = GateReport.from_json(result["gate"]).pairs
    for name, found in (("v0001", [p.before for p in pairs]), ("v0002", [p.after for p in pairs])):
        predictor = Predictor(make_plan(), study.models.weights(name), torch.device("cpu"))
        raw = label_map(predictor, held_out[0], Thrift(PredictSettings()), lambda: False)
        seen = postprocess(raw, held_out[0].spacing, recipe)
        assert not np.array_equal(raw, seen)
        assert found == [s.dice for s in case_scores(seen, held_out[0], (1, 2))]
    assert study.models.info(result["model"]).metrics["postprocess"] == {"1": ["largest"], "2": ["islands:20"]}


@pytest.mark.usefixtures("_one_thread")
def test_a_held_out_correction_of_background_is_said_to_prove_nothing(tmp_path: Path) -> None:
    study = ball_study(tmp_path)
    revise(study, 3, np.zeros(SHAPE, np.uint8))
    version = _all_background(study, ())
    made = Candidate(None, None, version.plan, study.models.weights("v0001"), *collect(study, frozenset()))
    _, verdict = finish(gate(study.runs.create("train", {"base": None}), study, made, QUICK))
    assert "the held-out corrections are background alone" in verdict.report.reason


def test_that_only_the_validation_side_was_corrected_is_said(tmp_path: Path) -> None:
    study = ball_study(tmp_path)
    _all_background(study, ("c1/r0001", "c2/r0001", "c3/r0001"))
    with pytest.raises(ModelError, match="correct a scan, accept what is right"):
        trained(study, "fine-tune", QUICK)
    revise(study, 3)
    with pytest.raises(ModelError, match="what was corrected is of s3, on the validation side"):
        trained(study, "fine-tune", QUICK)


@pytest.mark.parametrize(
    ("validation", "says"),
    [((3,), "Mean Dice on held-out corrections: 0."), ((), "No corrected scan is held out yet, so nothing says")],
)
def test_of_a_first_model_version_it_is_said_how_good_it_is(
    tmp_path: Path, validation: tuple[int, ...], says: str
) -> None:
    study = ball_study(tmp_path, validation=validation)
    result = trained(study, "train", first_model_settings(1, device="cpu"))
    assert result["active"]
    assert says in result["notes"][-1]


def test_nothing_is_said_of_how_good_it_is_where_there_was_no_time_to_measure() -> None:
    assert not list(how_good(None, [make_example(0)], [make_example(1)]))
