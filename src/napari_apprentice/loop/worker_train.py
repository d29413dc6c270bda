"""Training in the child process: revisions in, a gated model version into the study."""

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_apprentice.core.config import TrainSettings
from napari_apprentice.core.correction import UNSEEN, StatusArray
from napari_apprentice.core.fingerprint import fingerprint
from napari_apprentice.core.plan import Plan, derive_plan
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import Example, ModelVersion
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import ModelError
from napari_apprentice.learn.device import choose_device, describe, identity
from napari_apprentice.learn.heads import adapt, with_labels
from napari_apprentice.learn.ranks import Ranks, joined
from napari_apprentice.learn.trainer import FitResult, fit
from napari_apprentice.loop.candidate import Candidate
from napari_apprentice.loop.run_record import record
from napari_apprentice.loop.seen_labels import SeenLabels, with_common_sets
from napari_apprentice.loop.worker_conclude import conclude
from napari_apprentice.store.curves_file import with_curves
from napari_apprentice.store.device_turn import DeviceTurn
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study


def train(run: RunFolder) -> Generator[Progress, None, dict[str, Any]]:
    """Train a first model version, or fine-tune the base of the active one, then put it through the gate.

    The result names the new model version and says whether it became active and why. Of several processes that
    train together all but the first only compute, and return nothing.
    """
    settings = TrainSettings.from_json(run.request["settings"])
    ranks = joined(settings.device)
    if not ranks.first:
        yield from _Work(run, settings, ranks).fitted()
        return {}
    device = choose_device(settings.device)
    turn = DeviceTurn(identity(device))
    try:
        for other in turn.wait(run.cancelled):
            busy = f"Waiting for {describe(device)}: another training run (process {other.pid}) is computing there"
            yield Progress(0, settings.steps, busy)
        yield Progress(0, settings.steps, "Reading corrections")
        return (yield from _Work(run, settings, ranks).done())
    finally:
        turn.end()


class _Work:
    """What a training run has to go by, read from its study."""

    def __init__(self, run: RunFolder, settings: TrainSettings, ranks: Ranks) -> None:
        self._run, self._settings, self._ranks = run, settings, ranks
        self._study = study = Study.open(run.study_path)
        self._base = base = study.models.info(run.request["base"]) if run.request["base"] else None
        for name in dict.fromkeys((base.name if base else None, study.models.active())):
            if name is not None:
                study.models.sound_weights(name)  # the active one is not read before the gate
        learned = frozenset((*base.revisions, *base.held_out)) if base else frozenset()
        self._examples, self._held_out = collect(study, learned)
        _refuse_empty(self._examples, base)
        self._plan = _plan_of(base, study) if base else plan_for(self._examples, study, run)
        self._start = _start(run, study, base, self._plan, write=ranks.first) if base else None
        self._out = run.path / "weights.safetensors"

    def done(self) -> Generator[Progress, None, dict[str, Any]]:
        """Train, and let the gate decide."""
        facts = record(self._study, self._plan, self._base, (self._examples, self._held_out), self._settings)
        self._run.note(facts)
        work = self.fitted()
        result = yield from (with_curves(work, self._run.path / "tensorboard") if self._settings.tensorboard else work)
        self._run.note({**facts, "settled": {"settings": result.settings.to_json(), "notes": list(result.notes)}})
        made = Candidate(self._base, self._start, self._plan, self._out, self._examples, self._held_out)
        verdict = yield from conclude(self._run, self._study, made, result.settings)
        return {**verdict, "steps": result.steps, "seconds": result.seconds, "history": _history(result),
                "notes": list(result.notes)}  # fmt: skip

    def fitted(self) -> Generator[Progress, None, FitResult]:
        """Train; the new weights lie in the run's folder."""
        self._ranks.wait()  # until the first one has written what all start from
        known = self._base.plan.labels if self._base else self._plan.labels
        added = [label for label in self._plan.labels if label not in known]
        return (
            yield from fit(
                self._plan, self._examples, self._held_out, self._settings, self._start, self._out,
                self._run.path / "checkpoint", self._run.cancelled, added, self._ranks,
            )
        )  # fmt: skip


def collect(study: Study, learned: frozenset[str]) -> tuple[list[Example], list[Example]]:
    """Newest revision of every case that has one, as (training, held-out) examples by the subject's side.

    `learned` are the revisions the base model version knows: these are replay.
    """
    sides: dict[str, list[Example]] = {"train": [], "validation": []}
    seen = SeenLabels(study)
    for case_id in study.cases.ids():
        newest = study.revisions.newest(case_id)
        if newest is None:
            continue
        info = study.cases.info(case_id)
        labels, status = study.revisions.read(case_id, newest.name)
        status = _taught(study, labels, status)
        side = study.split.assign(info.subject)
        sides[side].append(
            Example(
                newest.key, info.subject, study.cases.source(case_id), labels, status, info.spacing,
                info.channels, newest.key in learned, seen.open_in(newest, labels, status),
            )
        )  # fmt: skip
    both = with_common_sets([*sides["train"], *sides["validation"]])
    return both[: len(sides["train"])], both[len(sides["train"]) :]


def _taught(study: Study, labels: LabelArray, status: StatusArray) -> StatusArray:
    """Nothing is taught where a person put a label that the study does not have any more."""
    gone = [x.id for x in study.retired]
    return np.where(np.isin(labels, gone), UNSEEN, status).astype(np.uint8) if gone else status


def _plan_of(base: ModelVersion, study: Study) -> Plan:
    """The base's plan, for the study's labels of now, where its network can be given others."""
    return with_labels(base.plan, study.schema.ids) if base.plan.labels_can_change else base.plan


def _start(run: RunFolder, study: Study, base: ModelVersion, plan: Plan, *, write: bool) -> Path:
    """The base's weights; for other labels than the base's, a copy fitted to them."""
    source = study.models.weights(base.name)
    if plan.labels == base.plan.labels:
        return source
    fitted = run.path / "base.safetensors"
    if write:
        adapt(base.plan, source, plan, fitted)
    return fitted


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
