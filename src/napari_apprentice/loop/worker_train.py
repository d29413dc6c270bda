"""Training in the child process: revisions in, a gated model version into the study."""

from collections.abc import Generator, Sequence
from importlib.metadata import version as library_version
from pathlib import Path
from typing import Any

from napari_apprentice.core.config import PredictSettings, TrainSettings
from napari_apprentice.core.fingerprint import fingerprint
from napari_apprentice.core.gate import CaseScore, GateReport, judge
from napari_apprentice.core.plan import Plan, derive_plan
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import Example, ModelVersion, now
from napari_apprentice.errors import ModelError
from napari_apprentice.learn.device import choose_device
from napari_apprentice.learn.evaluate import scores
from napari_apprentice.learn.interpolate import between
from napari_apprentice.learn.predictor import Predictor
from napari_apprentice.learn.trainer import FitResult, fit
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study

DRAWN_BACK = (0.85, 0.7, 0.55, 0.4, 0.25)  # shares of the tuned weights that are tried when it forgets
LIBRARIES = ("napari-apprentice", "torch", "monai", "numpy")


def train(run: RunFolder) -> Generator[Progress, None, dict[str, Any]]:
    """Train a first model version, or fine-tune the base of the active one, then put it through the gate.

    The result names the new model version and says whether it became active and why.
    """
    study = Study.open(run.study_path)
    settings = TrainSettings.from_json(run.request["settings"])
    yield Progress(0, settings.steps, "Reading corrections")
    base = study.models.info(run.request["base"]) if run.request["base"] else None
    learned = frozenset((*base.revisions, *base.held_out)) if base else frozenset()
    examples, held_out = collect(study, learned)
    _refuse_empty(examples, base)
    plan = base.plan if base else plan_for(examples, study, run)
    fitted = run.path / "weights.safetensors"
    start = study.models.weights(base.name) if base else None
    result = yield from fit(plan, examples, held_out, settings, start, fitted, run.path / "checkpoint", run.cancelled)
    report, weights, share = yield from _gate(run, study, plan, fitted, held_out, settings)
    note = "" if share == 1.0 else f"{share:.0%} of the way from {base.name if base else ''} to the tuned weights"
    version = _register(study, base, plan, (examples, held_out), settings, report, weights, note)
    active = _activate(study, version, report)
    return {
        "model": version.name, "active": active, "gate": report.to_json() if report else None,
        "steps": result.steps, "seconds": result.seconds, "history": _history(result),
    }  # fmt: skip


def collect(study: Study, learned: frozenset[str]) -> tuple[list[Example], list[Example]]:
    """Newest revision of every case that has one, as (training, held-out) examples by the subject's side.

    `learned` are the revisions the base model version knows: these are replay.
    """
    sides: dict[str, list[Example]] = {"train": [], "validation": []}
    for case_id in study.cases.ids():
        newest = study.revisions.newest(case_id)
        if newest is None:
            continue
        info = study.cases.info(case_id)
        labels, status = study.revisions.read(case_id, newest.name)
        side = study.split.assign(info.subject)
        sides[side].append(
            Example(
                newest.key, info.subject, study.cases.voxels(case_id), labels, status, info.spacing,
                info.channels, newest.key in learned,
            )
        )  # fmt: skip
    return sides["train"], sides["validation"]


def _refuse_empty(examples: Sequence[Example], base: ModelVersion | None) -> None:
    fresh = [e for e in examples if not e.replay and e.status.any()]
    if not fresh:
        what = "since the active model version was made" if base else "yet"
        raise ModelError(
            f"There is no correction to learn from {what}: correct a scan, accept what is right and save it first."
        )


def plan_for(examples: Sequence[Example], study: Study, run: RunFolder) -> Plan:
    """A plan from the data, in nnU-Net's manner."""
    prints = [fingerprint(e) for e in examples]
    return derive_plan(
        prints, study.schema, memory_mb=float(run.request["memory_mb"]), features=int(run.request["features"])
    )


def _gate(
    run: RunFolder, study: Study, plan: Plan, fitted: Path, held_out: Sequence[Example], settings: TrainSettings
) -> Generator[Progress, None, tuple[GateReport | None, Path, float]]:
    """The verdict, the weights it is about, and the share of the tuned weights in them.

    A fine-tune that gains but forgets is drawn back towards its base, step by step, and measured again;
    the first that passes is taken. When none does, the verdict is that of the fine-tune itself.
    """
    active = study.models.active()
    if active is None:
        return None, fitted, 1.0
    yield Progress(settings.steps, settings.steps, f"Comparing with {active} on {len(held_out)} held-out scans")
    device = choose_device(settings.device)
    names = {i: study.schema.name(i) for i in study.schema.ids}
    version = study.models.info(active)
    before = _scores(Predictor(version.plan, study.models.weights(active), device), held_out, run)
    first = judge(before, _scores(Predictor(plan, fitted, device), held_out, run), names)
    base = run.request["base"]
    if first.passed or base is None or not any(row.replay for row in first.rows):
        return first, fitted, 1.0
    for share in DRAWN_BACK:
        yield Progress(settings.steps, settings.steps, f"Drawing back to {share:.0%} of the change, against forgetting")
        weights = run.path / f"weights-{share:.2f}.safetensors"
        between(study.models.weights(base), fitted, share, weights)
        report = judge(before, _scores(Predictor(plan, weights, device), held_out, run), names)
        if report.passed:
            return report, weights, share
    return first, fitted, 1.0


def _scores(predictor: Predictor, held_out: Sequence[Example], run: RunFolder) -> list[CaseScore]:
    return scores(predictor, held_out, PredictSettings(), run.cancelled)


def _register(
    study: Study, base: ModelVersion | None, plan: Plan, used: tuple[Sequence[Example], Sequence[Example]],
    settings: TrainSettings, report: GateReport | None, weights: Path, note: str,
) -> ModelVersion:  # fmt: skip
    version = ModelVersion(
        name=study.models.next_name(),
        parent=base.name if base else None,
        created=now(),
        plan=plan,
        schema=study.schema,
        revisions=tuple(e.revision for e in used[0]),
        held_out=tuple(e.revision for e in used[1]),
        gate=report,
        settings=settings.to_json(),
        seed=settings.seed,
        libraries={name: library_version(name) for name in LIBRARIES},
        weights_digest="",
        note=note,
    )
    return study.models.register(version, weights)


def _activate(study: Study, version: ModelVersion, report: GateReport | None) -> bool:
    if report is None:
        study.models.activate(version.name, "first model version")
        return True
    if report.passed:
        study.models.activate(version.name, f"passed the gate: {report.reason}")
    return report.passed


def _history(result: FitResult) -> list[list[float | None]]:
    return [list(row) for row in result.history]
