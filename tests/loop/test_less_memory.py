"""A case for which memory runs out is predicted in less of it, and the label map is the same."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from learn.small import make_plan
from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.slabs import PredictedSlab, unseen
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import OutOfMemoryError, RunError
from napari_apprentice.learn import cells, under_way
from napari_apprentice.learn.sweep import Sweep
from napari_apprentice.loop import worker_predict
from napari_apprentice.loop.worker_predict import PredictionTask
from napari_apprentice.store.keys import VARIABLE, new_key, to_text
from napari_apprentice.store.prediction_writer import PredictionWriter
from napari_apprentice.store.study import Study
from networks import MODEL, add_version, networked_study

HOW = PredictSettings(device="cpu", half=False, backend="torch", memory_mb=64)


def out_of_memory(*_: Any) -> Any:
    raise MemoryError


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return networked_study(tmp_path, cases=1, shape=(40, 24, 24))


def predicted(study: Study) -> list[str]:
    """What was told on the way."""
    run = study.runs.create("predict", {"model": MODEL, "cases": ["c1"], "settings": HOW.to_json()})
    return [report.text for report in PredictionTask(lambda *_: unseen)(run)]


@pytest.mark.parametrize("where", ["voxels_of", "add", "gather"])
def test_it_begins_again_with_half_until_there_is_enough(
    study: Study, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    predicted(study)
    plain = study.predictions.read("c1", MODEL)
    budgets: list[int] = []
    budget, usual = under_way._budget, getattr(Sweep, where)
    monkeypatch.setattr(under_way, "_budget", lambda *of: budgets.append(budget(*of)) or budgets[-1])

    def short(*order: Any) -> Any:
        if budgets[-1] > 16 * 2**20:
            raise torch.cuda.OutOfMemoryError("out of memory") if where == "add" else MemoryError
        return usual(*order)

    monkeypatch.setattr(Sweep, where, short)
    told = predicted(study)
    assert budgets == [64 * 2**20, 32 * 2**20, 16 * 2**20]
    assert told.count("c1 begins again in less memory") == 2
    found = study.predictions.read("c1", MODEL)
    np.testing.assert_array_equal(found.labels, plain.labels)
    np.testing.assert_array_equal(found.uncertainty, plain.uncertainty)


@pytest.mark.parametrize("memory_mb", [16, 64, 128, 4096])
def test_every_halving_leaves_a_gpu_less_too(monkeypatch: pytest.MonkeyPatch, memory_mb: int) -> None:
    monkeypatch.setattr(under_way, "free_bytes", lambda _: 20 * 2**30)
    budgets, settings = [], PredictSettings(memory_mb=memory_mb)
    while not budgets or settings != settings.smaller():
        settings = settings.smaller() if budgets else settings
        budgets.append(under_way._budget(settings, torch.device("cuda")))
    assert budgets == sorted(set(budgets), reverse=True)
    assert budgets[-1] == 640 * 2**20


def test_memory_that_runs_out_while_a_slab_is_written_is_answered_alike(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, short = PredictionWriter.write_slab, [True]

    def once(writer: PredictionWriter, slab: PredictedSlab) -> None:
        if short and short.pop():
            raise MemoryError
        usual(writer, slab)

    monkeypatch.setattr(PredictionWriter, "write_slab", once)
    assert "c1 begins again in less memory" in predicted(study)
    assert study.predictions.has("c1", MODEL)


@pytest.mark.parametrize("encrypted", [False, True])
def test_what_leaves_memory_of_an_encrypted_study_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encrypted: bool
) -> None:
    monkeypatch.setenv(VARIABLE, to_text(new_key()))
    study = Study.create(tmp_path / "x.study", LabelSchema.from_names(["one", "two"]), encrypted=encrypted)
    voxels = np.random.default_rng(1).normal(0, 100, (1, 24, 24, 24)).astype(np.float32)
    geometry = Geometry.from_source((24, 24, 24), np.diag([-1.0, -1.0, 1.0, 1.0]))
    study.cases.add("case-0001", "s1", Volume(voxels, geometry, ("MR",), "scan.nii.gz", "0" * 64))
    add_version(study, MODEL, make_plan(), seed=3)
    monkeypatch.setattr(under_way, "_budget", lambda *_: 0)
    left = tmp_path / "left"
    monkeypatch.setattr(cells, "temporary_file", lambda: left.open("w+b", buffering=0))
    run = study.runs.create("predict", {"model": MODEL, "cases": ["case-0001"], "settings": HOW.to_json()})
    for _ in PredictionTask(lambda *_: unseen)(run):
        pass
    assert study.predictions.has("case-0001", MODEL)
    written = left.read_bytes()
    assert written
    # sums and probabilities can be compressed, random bytes cannot
    assert (len(zlib.compress(written)) < 0.97 * len(written)) == (not encrypted)


def test_in_post_processing_it_is_told_as_that(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_predict, "finish", out_of_memory)
    with pytest.raises(RunError, match="too little free memory for the post-processing of c1"):
        predicted(study)
    assert not study.predictions.has("c1", MODEL)


def test_where_less_does_not_help_the_person_is_told(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sweep, "voxels_of", out_of_memory)
    with pytest.raises(OutOfMemoryError, match="too little free memory"):
        predicted(study)
    assert not study.predictions.has("c1", MODEL)
