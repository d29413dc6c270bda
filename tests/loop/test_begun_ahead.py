"""What the first slab waits for is done before the button is pressed; the label map is what it would have been."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.progress import Progress
from napari_apprentice.learn.voting import Voters
from napari_apprentice.loop.requests import WarmUp
from napari_apprentice.loop.worker_predict import PredictionTask, _place
from napari_apprentice.store.study import Study
from napari_apprentice.store.voxel_source import StoredVoxels
from networks import MODEL, networked_study

HOW = PredictSettings(device="cpu", half=False, backend="torch")


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return networked_study(tmp_path, cases=2, shape=(48, 40, 40))


@dataclass
class Work:
    """What was done, in order: slices read, as they are, and how many windows were asked at once."""

    read: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    @property
    def amount(self) -> tuple[int, int]:
        return len(self.read), sum(self.asked)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    """Filled by what is done during the test."""
    found, read, run = Work(), StoredVoxels.read, Voters.run

    def reading(self: StoredVoxels, start: int, stop: int) -> Any:
        found.read.extend(range(start, stop))
        return read(self, start, stop)

    def asking(self: Voters, patches: torch.Tensor) -> torch.Tensor:
        found.asked.append(len(patches))
        return run(self, patches)

    monkeypatch.setattr(StoredVoxels, "read", reading)
    monkeypatch.setattr(Voters, "run", asking)
    return found


def looked_at() -> PredictionTask:
    """A process whose window shows slice 24."""
    return PredictionTask(lambda *_: lambda: 24)


def predicted(
    study: Study, task: PredictionTask, case_id: str, work: Work, how: PredictSettings = HOW
) -> tuple[np.ndarray[Any, Any], tuple[int, int]]:
    """The label map; slices read and windows asked until the first slab was there."""
    request = {"model": MODEL, "cases": [case_id], "settings": how.to_json()}
    run, until = study.runs.create("predict", request), None
    work.read.clear()
    work.asked.clear()
    for report in task(run):
        if isinstance(report, Progress) and report.slab and until is None:
            until = work.amount
    assert until is not None
    return study.predictions.read(case_id, MODEL).labels, until


def test_nothing_is_left_to_do_between_the_press_and_the_first_slab(study: Study, work: Work) -> None:
    plain, (slices, windows) = predicted(study, looked_at(), "c1", work)
    assert slices > 0
    assert windows > 0
    assert len(np.unique(plain)) > 1
    whole = sum(work.asked)
    task = looked_at()
    task.warm_up(WarmUp(study.path, MODEL, HOW, "c1", 24), lambda: False)
    before = sum(work.asked) - whole
    labels, until = predicted(study, task, "c1", work)
    assert until == (0, 0)
    assert sum(work.asked) + before == whole  # no window twice
    np.testing.assert_array_equal(labels, plain)


@pytest.mark.parametrize("other", [{"case_id": "c2"}, {"how": replace(HOW, quality="draft")}])
def test_something_else_is_not_made_of_it(study: Study, work: Work, other: dict[str, Any]) -> None:
    wanted = {"case_id": "c1", "how": HOW} | other
    plain, until = predicted(study, looked_at(), wanted["case_id"], work, wanted["how"])
    task = looked_at()
    task.warm_up(WarmUp(study.path, MODEL, HOW, "c1", 24), lambda: False)
    labels, found = predicted(study, task, wanted["case_id"], work, wanted["how"])
    assert found == until
    np.testing.assert_array_equal(labels, plain)


def test_looking_at_another_slice_meanwhile_changes_nothing(study: Study, work: Work) -> None:
    plain, _ = predicted(study, PredictionTask(lambda *_: lambda: 2), "c1", work)
    task = PredictionTask(lambda *_: lambda: 2)
    task.warm_up(WarmUp(study.path, MODEL, HOW, "c1", 40), lambda: False)
    labels, _ = predicted(study, task, "c1", work)
    np.testing.assert_array_equal(labels, plain)


def test_it_makes_way_and_its_end_does_not_end_the_prediction(study: Study, work: Work) -> None:
    task, asked = looked_at(), [0]

    def wanted_elsewhere() -> bool:
        asked[0] += 1
        return asked[0] > 3  # in the middle of the first row

    task.warm_up(WarmUp(study.path, MODEL, HOW, "c1", 24), wanted_elsewhere)
    assert asked[0] > 3
    ahead = work.amount
    labels, until = predicted(study, task, "c1", work)
    plain, whole = predicted(study, looked_at(), "c1", work)
    assert 0 < until[1] < whole[1]
    assert 0 < ahead[1] < whole[1]
    np.testing.assert_array_equal(labels, plain)


def test_thresholds_set_after_it_was_begun_are_kept_to(study: Study) -> None:
    task = looked_at()
    task.warm_up(WarmUp(study.path, MODEL, HOW, "c1", 24), lambda: False)
    work_done = task._begun(_place(study, "c1", MODEL, HOW))
    assert work_done is not None
    rows = 1 + len(study.models.info(MODEL).plan.labels)
    never = np.full(rows, 2, dtype=np.float32)
    never[0] = 0
    for report in work_done.run(lambda: False, lambda: 24, never):
        assert isinstance(report, Progress) or not report.labels.any()
    work_done.close()
