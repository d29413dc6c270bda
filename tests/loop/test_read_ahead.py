"""What the first slab needs is read before the button is pressed, and the label map is what it would have been."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.progress import Progress
from napari_apprentice.loop.requests import WarmUp
from napari_apprentice.loop.worker_predict import PredictionTask
from napari_apprentice.store.study import Study
from napari_apprentice.store.voxel_source import StoredVoxels
from networks import MODEL, networked_study

HOW = PredictSettings(device="cpu", half=False, backend="torch")


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return networked_study(tmp_path, cases=2, shape=(48, 20, 20))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The slices that were read, as they are."""
    found: list[int] = []
    real = StoredVoxels.read

    def watched(self: StoredVoxels, start: int, stop: int) -> Any:
        found.extend(range(start, stop))
        return real(self, start, stop)

    monkeypatch.setattr(StoredVoxels, "read", watched)
    return found


def predicted(study: Study, task: PredictionTask, case_id: str, read: list[int]) -> tuple[np.ndarray[Any, Any], int]:
    """The label map, and how many slices were read until the first slab was there."""
    request = {"model": MODEL, "cases": [case_id], "settings": HOW.to_json()}
    run, until = study.runs.create("predict", request), -1
    read.clear()
    for report in task(run):
        if isinstance(report, Progress) and report.slab and until < 0:
            until = len(read)
    return study.predictions.read(case_id, MODEL).labels, until


def test_nothing_is_read_between_the_press_and_the_first_slab(study: Study, read: list[int]) -> None:
    plain, many = predicted(study, PredictionTask(lambda *_: lambda: 24), "c1", read)
    assert many > 0
    assert len(np.unique(plain)) > 1
    task = PredictionTask(lambda *_: lambda: 24)
    task.warm_up(WarmUp(study.path, MODEL, HOW, "c1", 24), lambda: False)
    assert len(read) > 0
    labels, few = predicted(study, task, "c1", read)
    assert few == 0
    np.testing.assert_array_equal(labels, plain)


def test_another_case_is_not_made_of_it(study: Study, read: list[int]) -> None:
    plain, _ = predicted(study, PredictionTask(), "c2", read)
    task = PredictionTask()
    task.warm_up(WarmUp(study.path, MODEL, HOW, "c1", 24), lambda: False)
    labels, many = predicted(study, task, "c2", read)
    assert many > 0
    np.testing.assert_array_equal(labels, plain)


def test_reading_ahead_makes_way_and_its_end_does_not_end_the_prediction(study: Study, read: list[int]) -> None:
    task, asked = PredictionTask(lambda *_: lambda: 24), [0]

    def wanted_elsewhere() -> bool:
        asked[0] += 1
        return asked[0] > 2  # before the second row

    task.warm_up(WarmUp(study.path, MODEL, HOW, "c1", 24), wanted_elsewhere)
    assert asked[0] > 2
    ahead = len(read)
    labels, many = predicted(study, task, "c1", read)
    plain, whole = predicted(study, PredictionTask(lambda *_: lambda: 24), "c1", read)
    assert 0 < many < whole
    assert ahead < whole
    np.testing.assert_array_equal(labels, plain)
