"""A GPU that fails the process that predicts or trains: what becomes of the work. And what that process leaves it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_apprentice.core.config import PredictSettings, TrainSettings
from napari_apprentice.core.progress import Progress
from napari_apprentice.errors import GpuLostError, RunError
from napari_apprentice.learn.sweep import Sweep
from napari_apprentice.loop import worker, worker_train
from napari_apprentice.loop.child import GPU_LOST
from napari_apprentice.loop.launch import follow, outcome
from napari_apprentice.loop.worker_predict import PredictionTask
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study
from networks import MODEL, networked_study

HOW = PredictSettings(device="cpu", half=False, backend="torch")


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return networked_study(tmp_path, cases=2, shape=(16, 24, 24))


class Asked:
    """Requests that came in already."""

    def __init__(self, *runs: RunFolder) -> None:
        self.left = list(runs)

    def next(self) -> RunFolder | None:
        return self.left.pop(0) if self.left else None

    def overtaking(self, _run: RunFolder) -> None:
        return None

    def end(self, _run: RunFolder) -> None:
        return None


def asked(study: Study, *cases: str) -> RunFolder:
    settings = HOW.to_json()
    return study.runs.create(
        "predict", {"model": MODEL, "cases": list(cases), "settings": settings, "several": len(cases) > 1}
    )


@pytest.mark.parametrize("cases", [("c1",), ("c1", "c2")])
def test_its_process_ends_and_no_case_is_blamed(
    study: Study, monkeypatch: pytest.MonkeyPatch, cases: tuple[str, ...]
) -> None:
    def lost(*_: Any) -> Any:
        raise RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later")

    monkeypatch.setattr(Sweep, "add", lost)
    run = asked(study, *cases)
    requests = Asked(run, asked(study, "c2"))
    with pytest.raises(GpuLostError, match="CUDA error: unspecified launch failure"):
        worker.serve(requests, PredictionTask())  # type: ignore[arg-type]
    assert len(requests.left) == 1  # nothing more is asked of a process whose GPU is gone
    events, _ = run.events()
    assert outcome(events) is None
    assert "refused" not in {e["event"] for e in events}
    assert "unspecified launch failure" in events[-1]["text"]
    monkeypatch.undo()
    worker.serve(Asked(again := asked(study, *cases)), PredictionTask())  # type: ignore[arg-type]
    assert again.events()[0][-1]["event"] == "done"


def test_whoever_waits_for_it_is_told(study: Study) -> None:
    child = subprocess.Popen([sys.executable, "-S", "-c", f"raise SystemExit({GPU_LOST})"])
    run = asked(study, "c1")
    run.emit({"event": "gpu lost", "text": "The GPU failed (CUDA error: unknown error)."})
    with pytest.raises(RunError, match=r"The GPU failed \(CUDA error: unknown error\)\. Its driver.*predict again"):
        for _ in follow(run, child):
            pass


def test_a_process_that_waits_leaves_the_gpu_its_memory(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training run that begins then needs it."""
    given: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: given.append("given back"))

    def predicting(_run: RunFolder) -> Iterator[Progress]:
        given.append("predicted")
        yield Progress(1, 1, "")

    worker.serve(Asked(asked(study, "c1"), asked(study, "c2")), predicting)  # type: ignore[arg-type]
    assert given == ["predicted", "given back"] * 2


def test_a_training_run_ends_with_what_to_do(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody begins it anew by itself, and it goes on from its checkpoint."""

    def lost(*_: Any) -> Any:
        raise RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later")

    monkeypatch.setattr(worker_train, "joined", lost)
    run = study.runs.create("train", {"settings": TrainSettings().to_json()})
    worker.run_one(run, worker_train.train)
    *_, last = run.events()[0]
    assert last["event"] == "failed"
    assert last["error"] == "RunError"
    assert "unspecified launch failure). Resume the run once the GPU works again" in last["text"]
