"""Cases whose channels are stored in another order, or have other names, than a model version reads."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from collected import collect
from learn.small import finish, make_example, make_plan
from loop.balls import SHAPE, revise, trained
from napari_apprentice.core.config import PredictSettings, TrainSettings, first_model_settings
from napari_apprentice.core.fingerprint import fingerprint
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.plan import derive_plan
from napari_apprentice.core.records import Prediction
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import ModelError
from napari_apprentice.learn import weights
from napari_apprentice.learn.prepared import prepare
from napari_apprentice.loop.candidate import Candidate
from napari_apprentice.loop.channel_order import ordered, readable
from napari_apprentice.loop.requests import WarmUp
from napari_apprentice.loop.tuning import begin_training
from napari_apprentice.loop.worker_gate import gate
from napari_apprentice.loop.worker_predict import PredictionTask
from napari_apprentice.loop.worker_train import train
from napari_apprentice.session import Session
from napari_apprentice.store.study import Study
from networks import MODEL, add_version

CPU = PredictSettings(device="cpu", backend="torch")
READS = ("T1", "FLAIR")


def add_case(study: Study, case_id: str, channels: tuple[str, ...], n: int) -> None:
    """The same two contrasts of scan `n` whatever they are called: T1 or CT, and the other one."""
    first = make_example(n, SHAPE).voxels[0]
    other = np.float32(20) * np.random.default_rng(n).normal(0, 1, SHAPE).cumsum(0).astype(np.float32)
    geometry = Geometry.from_source(SHAPE[::-1], np.diag([-1.0, -1.0, 1.0, 1.0]))
    voxels = np.stack([first if name.strip().upper() in ("T1", "CT") else other for name in channels])
    study.cases.add(case_id, f"s-{case_id}", Volume(voxels, geometry, channels, f"{case_id}.nii.gz", "0" * 64))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """One scan in both orders, and under other names; a model version that reads T1, FLAIR."""
    made = Study.create(tmp_path / "two.study", LabelSchema.from_names(["one", "two"]))
    for case_id, channels in (("a", READS), ("b", ("flair", "T1 ")), ("c", ("CT", "PET"))):
        add_case(made, case_id, channels, 1)
    add_version(made, MODEL, make_plan(patch=(8, 16, 16), channels=2), seed=3, channels=READS)
    made.models.activate(MODEL, "made by hand")
    return made


def predicted(study: Study, case_id: str, task: PredictionTask) -> Prediction:
    run = study.runs.create("predict", {"model": MODEL, "cases": [case_id], "settings": CPU.to_json()})
    for _ in task(run):
        pass
    return study.predictions.read(case_id, MODEL)


def maps(prediction: Prediction) -> bytes:
    return prediction.labels.tobytes() + prediction.uncertainty.tobytes()


def test_another_order_of_channels_makes_the_same_prediction(study: Study) -> None:
    task = PredictionTask()
    a, b = (predicted(study, case_id, task) for case_id in "ab")
    assert maps(a) == maps(b)
    assert a.quality == b.quality
    assert b.made["channels"] == ["T1 ", "flair"]
    assert maps(predicted(study, "c", task)) == maps(a)  # as stored
    task.warm_up(WarmUp(study.path, MODEL, CPU, "b", 4), lambda: False)
    assert maps(predicted(study, "b", task)) == maps(a)


def test_a_model_version_that_kept_no_names_reads_channels_as_they_are_stored(study: Study) -> None:
    document = study.models.root / MODEL / "model.json"
    told = json.loads(document.read_text())
    assert told.pop("channels") == list(READS)
    document.write_text(json.dumps(told))
    assert study.models.info(MODEL).channels == ()
    task = PredictionTask()
    a, b = (predicted(study, case_id, task) for case_id in "ab")
    assert maps(a) != maps(b)
    assert b.made["channels"] == ["flair", "T1 "]


def test_what_is_taken_for_what_is_said_before_it_is_predicted(study: Study) -> None:
    session, said = Session("ann"), []
    session.open_study(study.path)
    session.events.noticed.connect(said.append)
    session.begin_prediction(["a", "b"], CPU)
    assert said == []
    session.begin_prediction(["a", "c"], CPU)
    session.close()
    (note,) = said
    assert note.startswith("v0001 was made for channels T1, FLAIR. It takes CT for T1 and PET for FLAIR in case c;")


def corrected(folder: Path, channels: list[tuple[str, ...]]) -> Study:
    """Cases c1, c2 ... of two contrasts, the third held out."""
    made = Study.create(folder, LabelSchema.from_names(["one", "two"]))
    for n, names in enumerate(channels, 1):
        add_case(made, f"c{n}", names, n)
        made.split.assign(f"s-c{n}", side="validation" if n == 3 else "train")
        revise(made, n)
    return made


def test_training_and_the_gate_read_all_channels_in_one_order(tmp_path: Path) -> None:
    made = []
    for name, orders in (("in order", [READS] * 4), ("mixed", [READS, READS[::-1], READS[::-1], READS])):
        read = readable(*collect(corrected(tmp_path / f"{name}.study", orders), frozenset()), None, None)
        assert (len(read.examples), len(read.held_out), read.notes) == (3, 1, ())
        every = [*read.examples, *read.held_out]
        assert [e.channels for e in every] == [READS] * 4
        plan = derive_plan([fingerprint(e) for e in every], LabelSchema.from_names(["one", "two"]), 20, 4)
        made.append((plan, [prepare(e, plan).voxels.numpy().tobytes() for e in every]))  # what patches are cut from
    assert made[0] == made[1]


def test_a_case_of_other_channels_is_left_out_and_named(tmp_path: Path) -> None:
    study = corrected(tmp_path / "a.study", [("CT", "PET"), READS, READS, READS[::-1], ("T1",)])
    result = trained(study, "train", first_model_settings(1, device="cpu"))
    version = study.models.info(result["model"])
    assert (version.revisions, version.held_out, version.channels) == (("c2/r0001", "c4/r0001"), ("c3/r0001",), READS)
    assert result["notes"][:2] == [
        "Not in this run: c1/r0001 (channels CT, PET; the network reads T1, FLAIR).",
        "Not in this run: c5/r0001 (channel T1; the network reads T1, FLAIR).",
    ]
    revise(study, 1)
    with pytest.raises(
        ModelError, match=r"no correction to learn from .* Not in this run: c1/r0002 \(channels CT, PET"
    ):
        trained(study, "fine-tune", TrainSettings(steps=1, device="cpu"))


def test_where_no_case_has_the_names_of_a_model_from_elsewhere_theirs_are_taken_for_them(tmp_path: Path) -> None:
    study = corrected(tmp_path / "a.study", [("PET", "T1 post"), ("T1 post", "PET"), ("PET", "T1 post")])
    add_version(study, MODEL, make_plan(channels=2), seed=1, channels=("T1", "PET"))
    base = study.models.info(MODEL)
    read = readable(*collect(study, frozenset()), base, base)
    assert read.channels == ("T1 post", "PET")
    assert read.notes == ("v0001 was made for channels T1, PET; it takes T1 post for T1.",)
    for example in (*read.examples, *read.held_out):
        stored = study.cases.info(example.revision[:2]).channels
        pet = study.cases.voxels(example.revision[:2])[stored.index("PET")]
        np.testing.assert_array_equal(example.source.read(0, SHAPE[0])[1], pet)
    tuned = replace(base, channels=read.channels)
    assert readable(*collect(study, frozenset()), base, tuned).channels == read.channels  # the order of the active one


def test_a_training_run_tells_at_every_start_which_channel_it_takes_for_which(tmp_path: Path) -> None:
    study = corrected(tmp_path / "a.study", [("PET", "T1 post")] * 3)
    add_version(study, MODEL, make_plan(channels=2), seed=3, channels=("T1", "PET"))
    study.models.activate(MODEL, "made by hand")
    run = begin_training(study, "fine-tune", TrainSettings(steps=1, device="cpu"))
    for _ in range(3):
        said = []
        for progress in train(run):
            said.append(progress.text)
            if progress.text.startswith("Reading scan"):
                break
        assert "v0001 was made for channels T1, PET; it takes T1 post for T1." in said


def test_the_gate_reads_channels_to_each_model_version_in_its_own_order(tmp_path: Path) -> None:
    """One that was imported with another order, and became active while the run trained, is not called worse for it."""
    study = corrected(tmp_path / "a.study", [READS, READS, READS[::-1]])
    add_version(study, MODEL, make_plan(patch=(8, 16, 16), channels=2), seed=3, channels=READS)
    mine = study.models.info(MODEL)
    named = weights.read(study.models.weights(MODEL))
    turned = {n: w.flip(1).contiguous() if w.shape[1:2] == (2,) else w for n, w in named.items()}  # the first layer
    weights.write(turned, tmp_path / "turned.safetensors")
    study.models.register(replace(mine, name="turned", channels=READS[::-1]), tmp_path / "turned.safetensors")
    study.models.activate("turned", "imported")
    _, held_out = collect(study, frozenset())
    here = [ordered(e, READS) for e in held_out]
    made = Candidate(mine, study.models.weights(MODEL), mine.plan, study.models.weights(MODEL), [], here, READS)
    run = study.runs.create("fine-tune", {"base": MODEL})
    _, verdict = finish(gate(run, study, made, TrainSettings(steps=1, device="cpu", interpolation=2)))
    assert verdict.report is not None
    assert {p.label for p in verdict.report.pairs} == {1, 2}
    assert all(p.before == p.after for p in verdict.report.pairs)
    assert all(share.passed for share in verdict.tried)
