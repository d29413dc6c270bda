"""A model version that passed the gate becomes active once, and what a person did since stays."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from learn.small import make_plan
from napari_apprentice.core.config import TrainSettings
from napari_apprentice.core.gate import GateReport, GateRow
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.loop.candidate import Candidate
from napari_apprentice.loop.registering import activate
from napari_apprentice.loop.tuning import TuneReport
from napari_apprentice.loop.worker_conclude import conclude
from napari_apprentice.store.files import remove_quietly
from napari_apprentice.store.study import Study
from networks import add_version

PASSED = GateReport((GateRow(1, False, 0.7, 0.8, 1),), True, "better by 0.1", compared_with="v0001")


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Two model versions, of which the second passed the gate and was then refused and removed."""
    made = Study.create(tmp_path / "cohort.study", LabelSchema.from_names(["one", "two"]))
    for seed, name in enumerate(("v0001", "v0002")):
        add_version(made, name, make_plan(), seed)
        made.models.activate(name, "test")
    made.models.activate("v0001", "went back from v0002 (Ada)", author="Ada")
    remove_quietly(made.models.root / "v0002")
    return made


def concluded(study: Study, created: str) -> dict[str, Any]:
    """What comes of a run that is resumed after it was killed, and had registered its version by then."""
    run, base = study.runs.create("fine-tune", {"base": "v0001"}), study.models.info("v0001")
    weights = study.models.weights("v0001")
    study.models.register(replace(base, name="v0002", gate=PASSED, run=run.run_id, created=created), weights)
    work = conclude(run, study, Candidate(None, None, base.plan, weights, [], []), TrainSettings(device="cpu"))
    with pytest.raises(StopIteration) as end:
        next(work)
    return end.value.value


def test_a_version_with_the_name_of_a_removed_one_becomes_active(study: Study) -> None:
    add_version(study, "v0002", make_plan(), seed=3)
    assert activate(study, study.models.info("v0002"), PASSED)
    assert study.models.active() == "v0002"


def test_so_does_one_whose_run_was_killed_before_that(study: Study) -> None:
    result = concluded(study, "9999-01-01T00:00:00+00:00")
    assert (result["active"], study.models.active()) == (True, "v0002")


def test_one_that_was_active_already_is_not_activated_again_and_it_says_that_somebody_went_back(study: Study) -> None:
    result = concluded(study, "2000-01-01T00:00:00+00:00")
    assert (result["active"], study.models.active()) == (False, "v0001")
    told = TuneReport("run", "v0002", result["active"], PASSED, 1, 1.0, (), result["instead"]).verdict
    assert told == (
        "v0002 is kept as a candidate, not active: it passed the gate, better by 0.1 (compared with v0001), but "
        "somebody went back to v0001 since. Activate v0002 to use it."
    )
