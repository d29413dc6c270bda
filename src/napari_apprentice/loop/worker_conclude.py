"""What comes after a training run, in its process: the gate, and a model version in the study."""

from collections.abc import Generator
from dataclasses import asdict
from typing import Any

from napari_apprentice.core.config import TrainSettings
from napari_apprentice.core.progress import Progress
from napari_apprentice.learn.device import choose_device, describe
from napari_apprentice.loop.candidate import Candidate, Verdict
from napari_apprentice.loop.registering import activate, register
from napari_apprentice.loop.worker_gate import gate
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study


def conclude(
    run: RunFolder, study: Study, made: Candidate, settings: TrainSettings
) -> Generator[Progress, None, dict[str, Any]]:
    """Put trained weights through the gate and register them; active when they passed.

    Returns
    -------
    The new model version's name, whether it is active, the gate's report and the device, as JSON values.
    """
    verdict = yield from gate(run, study, made, settings)
    version = register(study, made, verdict, settings, _metrics(verdict), _note(made, verdict))
    active = activate(study, version, verdict.report)
    return {
        "model": version.name, "active": active, "gate": verdict.report.to_json() if verdict.report else None,
        "device": describe(choose_device(settings.device)),
    }  # fmt: skip


def _note(made: Candidate, verdict: Verdict) -> str:
    if verdict.share == 1.0 or made.base is None:
        return ""
    return f"{verdict.share:.0%} of the way from {made.base.name} to the tuned weights"


def _metrics(verdict: Verdict) -> dict[str, Any]:
    if not verdict.tried:
        return {}
    return {"share": verdict.share, "shares": [asdict(t) for t in verdict.tried]}
