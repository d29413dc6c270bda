"""A training run of another computer or container that shares the study: seen, let be, gone on with when it is gone."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from builders import study as make_study
from napari_apprentice.cli import main
from napari_apprentice.core.config import TrainSettings, first_model_settings
from napari_apprentice.errors import RunError
from napari_apprentice.loop import worker
from napari_apprentice.loop.child import CLAIMED, started
from napari_apprentice.loop.launch import is_running, is_silent, outcome
from napari_apprentice.loop.tuning import begin_training, follow_training, resumable_training, running_training
from napari_apprentice.store import run_claim
from napari_apprentice.store.presence import STALE_SECONDS
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study

THERE = {**started(os.getpid()), "pid": 1 << 30, "place": "0" * 16, "host": "ws3"}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path)


@pytest.fixture
def run(study: Study) -> RunFolder:
    """One that is under way on another computer."""
    made = begin_training(study, "train", first_model_settings(2))
    made.emit(THERE)
    return made


def silence(run: RunFolder) -> None:
    path = run.path / "events.jsonl"
    then = path.stat().st_mtime - STALE_SECONDS - 1
    os.utime(path, (then, then))


def said(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    main([*map(str, words)])
    told = capsys.readouterr()
    return " ".join(f"{told.out} {told.err}".split())


def test_what_runs_elsewhere_is_seen_and_nothing_is_begun_beside_it(
    study: Study, run: RunFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "running on ws3" in said(capsys, "runs", study.path)
    busy = f"Run {run.run_id} is still training in this study on ws3; wait for it or cancel it first"
    for words in (["train"], ["train", "--resume", "--take-over"]):
        assert busy in said(capsys, words[0], study.path, *words[1:])
    assert study.runs.ids() == (run.run_id,)
    assert resumable_training(study) is None
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: 0.0)  # this computer's clock is wrong by half a century
        assert is_running(run)
    watched = follow_training(run)
    run.emit({"event": "progress", "done": 1, "total": 2, "text": "Training"})
    assert next(watched).text == "Running on ws3. Training"
    run.emit({"event": "cancelled"})
    assert running_training(study) is None


def test_a_run_whose_terminal_was_closed_is_followed_from_another(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    lonely = begin_training(study, "train", first_model_settings(2))
    lonely.emit(started(os.getpid()))
    lonely.emit({"event": "progress", "done": 1, "total": 2, "text": "Long ago"})
    ends = threading.Timer(0.2, lonely.emit, ({"event": "cancelled"},))
    ends.start()
    told = said(capsys, "train", study.path, "--resume", "--steps", 5, "--rate", first_model_settings(2).rate)
    ends.join()
    assert f"{lonely.run_id} keeps the settings it began with: --steps 2, not 5. Only" in told
    assert "Long ago" not in told
    assert f"{lonely.run_id} is still training; it is followed from here, and Ctrl-C stops it." in told
    assert f"Run {lonely.run_id} was cancelled" in told


def test_the_copy_of_a_study_does_not_train_because_the_study_does(study: Study, tmp_path: Path) -> None:
    run = begin_training(study, "train", first_model_settings(2))
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", str(run.path)]) as process:
        try:
            run.emit(started(process.pid))
            copied = Study.open(Path(shutil.copytree(study.path, tmp_path / "copy.study")))
            assert running_training(study) is not None
            assert running_training(copied) is None
            assert resumable_training(copied) is not None
            study.path.rename(tmp_path / "moved.study")
            assert running_training(Study.open(tmp_path / "moved.study")) is not None
        finally:
            process.kill()


def test_one_that_has_gone_silent_is_taken_over_only_when_asked(
    study: Study, run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    silence(run)
    assert not is_running(run)
    (row,) = json.loads(said(capsys, "runs", study.path, "--json"))["runs"]
    assert (row["state"], row["host"]) == ("silent", "ws3")
    refused = said(capsys, "train", study.path, "--resume")
    assert "started on ws3 and has given no sign of life for 2 minutes" in refused
    assert "apprentice train STUDY --resume --take-over" in refused
    assert len(run.events()[0]) == 1, "nothing was begun"
    assert "give --resume as well" in said(capsys, "train", study.path, "--take-over")
    begin_training(study, "train", TrainSettings(steps=1))  # a run of its own is in nobody's way


def test_a_lock_is_a_sign_of_life_however_long_it_says_nothing(study: Study, run: RunFolder) -> None:
    with run.claimed():
        silence(run)
        os.utime(run.path / run_claim.CLAIM, (1.0, 1.0))
        assert running_training(study) is not None
    os.utime(run.path / run_claim.CLAIM, (1.0, 1.0))
    assert running_training(study) is None


def test_a_container_of_this_computer_needs_no_taking_over(study: Study, run: RunFolder) -> None:
    run.emit({**THERE, "host": started(os.getpid())["host"]})
    assert is_running(run)
    silence(run)
    assert resumable_training(study) is not None
    assert not is_silent(run)


def test_the_process_itself_does_not_begin_where_another_is_at_work(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_claim, "_PATIENCE_SECONDS", 0.1)
    with RunFolder.at(run.path).claimed():
        assert worker.main([str(run.path)]) == CLAIMED
    assert run.events()[0] == [THERE]


@pytest.mark.slow
def test_taken_over_it_goes_on_here(run: RunFolder) -> None:
    silence(run)
    with pytest.raises(RunError, match="no sign of life"):
        next(follow_training(run))
    with pytest.raises(Exception, match="no correction to learn from"):
        list(follow_training(run, take_over=True))
    assert outcome(run.events()[0]) is not None
