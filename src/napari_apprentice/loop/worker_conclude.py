"""What comes after a training run, in its process: the gate, and a model version in the study."""

from collections.abc import Generator
from dataclasses import asdict
from typing import Any

from napari_apprentice.core.config import TrainSettings
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import ModelVersion
from napari_apprentice.learn import weights
from napari_apprentice.learn.calibration import Calibration, calibrate
from napari_apprentice.learn.device import choose_device, describe
from napari_apprentice.learn.member import Member
from napari_apprentice.learn.network import build
from napari_apprentice.loop.candidate import Candidate, Verdict
from napari_apprentice.loop.change_pictures import change_pictures
from napari_apprentice.loop.registering import Findings, activate, register, registered
from napari_apprentice.loop.worker_gate import gate
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study


def conclude(
    run: RunFolder, study: Study, made: Candidate, settings: TrainSettings
) -> Generator[Progress, None, dict[str, Any]]:
    """Put trained weights through the gate and register them; active when they passed.

    A run that was killed after it had registered its weights goes on from there.

    Returns
    -------
    The new model version's name, whether it is active or which one is instead, the gate's report and the device, as
    JSON values.
    """
    before = registered(study, run.run_id)
    version = before or (yield from _registered_now(run, study, made, settings))
    active = activate(study, version, version.gate, resumed=before is not None)
    return {
        "model": version.name, "active": active, "instead": "" if active else study.models.active() or "",
        "gate": version.gate.to_json() if version.gate else None,
        "device": describe(choose_device(settings.device)),
    }  # fmt: skip


def _registered_now(
    run: RunFolder, study: Study, made: Candidate, settings: TrainSettings
) -> Generator[Progress, None, ModelVersion]:
    verdict = yield from gate(run, study, made, settings)
    yield Progress(0, 0, "Fitting how sure it may be of itself")
    sure = _calibration(run, made, verdict, settings)
    temperature = sure.temperature if sure else 1.0
    pictures, shown = _pictures(study, verdict)
    return register(
        study, made, verdict, settings,
        Findings(_metrics(verdict, sure), temperature, _note(made, verdict), pictures, shown), run.run_id,
    )  # fmt: skip


def _pictures(study: Study, verdict: Verdict) -> tuple[dict[str, bytes], dict[str, Any]]:
    if verdict.report is None:
        return {}, {}
    # Under the name that comes next: a run of the same study registers nothing meanwhile.
    titles = (verdict.report.compared_with, study.models.next_name())
    return change_pictures(verdict.report, verdict.planes, study.schema, titles)


def _note(made: Candidate, verdict: Verdict) -> str:
    if verdict.share == 1.0 or made.base is None:
        return ""
    return f"{verdict.share:.0%} of the way from {made.base.name} to the tuned weights"


def _calibration(run: RunFolder, made: Candidate, verdict: Verdict, settings: TrainSettings) -> Calibration | None:
    network = build(made.plan)
    weights.load(network, verdict.weights)
    return calibrate(Member(made.plan, network, choose_device(settings.device)), verdict.measured, run.cancelled)


def _metrics(verdict: Verdict, sure: Calibration | None) -> dict[str, Any]:
    tried = {"share": verdict.share, "shares": [asdict(t) for t in verdict.tried]} if verdict.tried else {}
    steps = {"postprocess": verdict.recipe.to_json()} if verdict.recipe else {}
    return tried | steps | ({"calibration": asdict(sure)} if sure else {})
