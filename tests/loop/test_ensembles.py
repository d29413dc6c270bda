"""Several model versions predict together: settled beforehand, done by one process, recorded, shown."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from faults import finish
from learn.small import make_plan
from napari_apprentice.core.config import PredictSettings
from napari_apprentice.errors import InputError, ModelError
from napari_apprentice.learn.predictor import Predictor
from napari_apprentice.loop.cohort import is_predicted
from napari_apprentice.loop.engine import Engine
from napari_apprentice.loop.ensembles import settled
from napari_apprentice.loop.predicting import begin
from napari_apprentice.loop.rows import case_rows, model_rows
from napari_apprentice.store.postprocess import read_recipe
from napari_apprentice.store.study import Study
from networks import MODEL, add_version, networked_study

CPU = PredictSettings(device="cpu", backend="torch")
BEST = replace(CPU, quality="best")


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """v0001 and v0002 are folds of one model, v0003 sees scans alike, v0004 sees them otherwise."""
    made = networked_study(tmp_path, cases=1)
    plan = made.models.info(MODEL).plan
    add_version(made, "v0002", plan, seed=4, family="m", temperature=1.7)
    add_version(made, "v0003", plan, seed=5, family="m")
    add_version(made, "v0004", replace(plan, labels=(1,)), seed=6, family="m")
    return made


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.stop()


def test_who_predicts_together_is_settled_once_and_stays(study: Study) -> None:
    def asked(model: str, settings: PredictSettings) -> str:
        once = settled(study, model, settings)
        assert settled(study, model, once) == once
        return once.ensemble

    assert asked("v0002", CPU) == ""
    assert asked("v0002", BEST) == "v0003"
    assert asked("v0001", BEST) == ""  # no fold of anything
    assert asked("v0002", replace(BEST, ensemble="none")) == "none"
    assert asked("v0002", replace(BEST, ensemble="v0001")) == "v0001"
    assert asked("v0001", replace(CPU, ensemble=" v0003,v0001, v0002 ")) == "v0002,v0003"
    assert asked("v0001", replace(CPU, ensemble="v0001")) == "none"
    assert asked("v0003", BEST) == "v0002"


def test_what_cannot_vote_together_is_refused_before_a_process_is_started(study: Study) -> None:
    engine = Engine()
    with pytest.raises(InputError, match="v0001 and v0004 cannot predict together: they differ in the labels"):
        begin(study, engine, ["c1"], replace(CPU, ensemble="v0002,v0004"), "v0001")
    with pytest.raises(ModelError, match="no model version 'v0009'"):
        begin(study, engine, ["c1"], replace(CPU, ensemble="v0009"), "v0001")
    orders = (("T1", "FLAIR"), ("flair", "t1"), ("T1", "FLAIR"))
    two = make_plan(channels=2)
    for n, channels in enumerate(orders):
        add_version(study, f"two-{n}", two, seed=n, channels=channels)
    with pytest.raises(InputError, match="differ in the order of their channels"):
        begin(study, engine, ["c1"], replace(CPU, ensemble="two-1"), "two-0")
    assert settled(study, "two-0", replace(CPU, ensemble="two-2")).members == ("two-2",)
    assert engine._process is None
    unlike = {row.name: (row.unlike, row.fold) for row in model_rows(study) if row.name.startswith("v")}
    assert unlike == {
        "v0001": ("", False), "v0002": ("", False), "v0003": ("", False), "v0004": ("the labels that they know", False),
    }  # fmt: skip
    study.models.activate("v0002", "by hand")
    assert [row.name for row in model_rows(study) if row.fold] == ["v0003"]


@pytest.mark.slow
def test_the_process_predicts_together_and_the_record_says_so(study: Study, engine: Engine) -> None:
    together = replace(CPU, ensemble="v0002")
    finish(begin(study, engine, ["c1"], together, MODEL).work())
    found, record = study.predictions.read("c1", MODEL), study.predictions.record("c1", MODEL)

    members = [_predictor(study, name) for name in (MODEL, "v0002")]
    info = study.cases.info("c1")
    merged, alone = (
        finish(p.predict_array(study.cases.voxels("c1"), info.spacing, CPU, lambda: False))
        for p in (Predictor.together(members), members[0])
    )
    assert np.array_equal(found.labels, merged.labels)
    assert np.array_equal(found.uncertainty, merged.uncertainty)
    assert not np.array_equal(found.labels, alone.labels)
    assert found.quality == merged.quality != alone.quality
    assert record["made"]["models"] == {MODEL: 1.0, "v0002": 1.7}
    assert record["made"]["settings"]["ensemble"] == "v0002"

    (row,) = case_rows(study)
    assert row.models == (MODEL, "v0002")
    assert row.quality == pytest.approx(np.mean(list(merged.quality.values())))
    steps = read_recipe(study)
    assert is_predicted(study, "c1", MODEL, together, steps)
    assert not is_predicted(study, "c1", MODEL, CPU, steps)

    finish(begin(study, engine, ["c1"], CPU, MODEL).work())  # the same process, the networks still warm
    assert np.array_equal(study.predictions.read("c1", MODEL).labels, alone.labels)
    assert case_rows(study)[0].models == ()


def _predictor(study: Study, name: str) -> Predictor:
    version = study.models.info(name)
    return Predictor(version.plan, study.models.weights(name), torch.device("cpu"), version.temperature)
