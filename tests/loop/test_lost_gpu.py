"""What a process that predicts leaves of a GPU."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.progress import Progress
from napari_apprentice.loop import worker
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
