"""Several processes train together: however the first one ends, none of the others waits for it."""

from pathlib import Path

import pytest
from balls import ball_study
from torch import distributed

from learn.small import make_plan
from napari_apprentice.core.config import TrainSettings
from napari_apprentice.learn.ranks import Ranks
from napari_apprentice.loop import worker_train
from napari_apprentice.loop.tuning import begin_training
from napari_apprentice.loop.worker import main
from napari_apprentice.loop.worker_train import train
from napari_apprentice.store.runs import RunFolder
from networks import add_version

TUNE = TrainSettings(steps=2, device="cpu", validate_every=1000, interpolation=1)


class Another(Ranks):
    """Not the first process; it computes all patches, as if the first one had none."""

    @property
    def first(self) -> bool:
        return False


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A fine-tune that has not begun."""
    study = ball_study(tmp_path)
    add_version(study, "v0001", make_plan(), seed=1)
    study.models.activate("v0001", "made by hand")
    return begin_training(study, "fine-tune", TUNE)


def test_the_first_that_is_cancelled_before_the_others_begin_has_them_ended(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        run.cancel()
        status = main([str(run.path)])
    finally:
        distributed.destroy_process_group()
    assert run.events()[0][-1]["event"] == "cancelled"
    assert status == 1  # torchrun ends the others only then


@pytest.mark.parametrize("who", [0, 1])
def test_all_leave_after_the_last_step(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: int
) -> None:
    work = train(run)
    next(p for p in work if p.text.startswith("Reading scan"))  # by now it is written down what all go by
    work.close()
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    monkeypatch.setattr(worker_train, "joined", lambda _: Ranks(who, 2))  # the other one is not there
    try:
        done = [p.loss is not None for p in train(run) if not distributed.is_initialized()]
        assert not distributed.is_initialized()
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()
    assert not any(done)
    assert bool(done) == (who == 0)  # the first one goes on with the gate


def test_another_one_does_not_leave_by_itself(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    work = train(run)
    next(p for p in work if p.text.startswith("Reading scan"))  # by now it is written down what all go by
    work.close()
    run.cancel()
    monkeypatch.setattr(worker_train, "joined", lambda _: Another())
    assert max(report.done for report in train(run)) == TUNE.steps
