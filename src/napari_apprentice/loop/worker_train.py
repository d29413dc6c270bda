"""Training in the child process: revisions in, a gated model version into the study."""

from collections.abc import Generator, Sequence
from typing import Any

from napari_apprentice.core.config import TrainSettings
from napari_apprentice.core.fingerprint import fingerprint
from napari_apprentice.core.plan import Plan, derive_plan
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import Example, ModelVersion
from napari_apprentice.errors import ModelError
from napari_apprentice.learn.trainer import FitResult, fit
from napari_apprentice.loop.candidate import Candidate
from napari_apprentice.loop.worker_conclude import conclude
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study


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
    made = Candidate(base, start, plan, fitted, examples, held_out)
    verdict = yield from conclude(run, study, made, result.settings)
    return {**verdict, "steps": result.steps, "seconds": result.seconds, "history": _history(result),
            "notes": list(result.notes)}  # fmt: skip


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


def _history(result: FitResult) -> list[list[float | None]]:
    return [list(row) for row in result.history]
