"""In the child process: a candidate against the active model version, on the same held-out scans."""

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from napari_apprentice.core.channels import Names
from napari_apprentice.core.config import QUALITIES, PredictSettings, TrainSettings
from napari_apprentice.core.correction import UNSEEN
from napari_apprentice.core.gate import POOR, CaseScore, GateReport, first_fault, judge
from napari_apprentice.core.plan import Plan
from napari_apprentice.core.plane import Plane, plane_of_change
from napari_apprentice.core.postprocess import PostRecipe
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import Example, ModelVersion, labels_taught
from napari_apprentice.core.shares import ShareScore, choose_share, shares
from napari_apprentice.errors import ModelError
from napari_apprentice.learn.device import choose_device
from napari_apprentice.learn.evaluate import Thrift, case_scores, label_map
from napari_apprentice.learn.interpolate import between
from napari_apprentice.learn.predictor import Predictor
from napari_apprentice.loop.candidate import Candidate, Verdict
from napari_apprentice.loop.channel_order import source_for
from napari_apprentice.loop.leakage import fair
from napari_apprentice.store.postprocess import read_recipe
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study

Reading = Callable[[Example], Example]

DAMAGED = "{}, the active model version, is damaged, so the two cannot be compared"
SPARSE = 0.1  # of a scan's voxels
MOST_CHOSEN_ON = 10  # scans of either kind on which the share is chosen; the verdict takes all


def gate(run: RunFolder, study: Study, made: Candidate, settings: TrainSettings) -> Generator[Progress, None, Verdict]:
    """Choose how much of the change to take, and compare that with the active model version."""
    active = study.models.active()
    base = made.base.name if made.base else None
    damaged = damage_of_active(study, made.base)
    held_out = fair(study, (None if damaged else active, base), made.examples, made.held_out)
    if damaged:
        return Verdict(GateReport((), False, DAMAGED.format(active)), made.fitted, tuple(held_out))
    if active is None:
        fault = yield from _first_fault(run, study, made, settings, held_out)
        return Verdict(GateReport((), False, fault) if fault else None, made.fitted, tuple(held_out))
    version = study.models.info(active)
    apart = not_compared(made.plan, version)
    if apart:
        return Verdict(GateReport((), False, apart), made.fitted, tuple(held_out))
    choosing = made.start is not None and settings.interpolation > 1 and any(not e.replay for e in held_out)
    some = [*_first(held_out, replay=False), *_first(held_out, replay=True)] if choosing else []
    draft = (1 + settings.interpolation) * len(some)
    maps = draft + 2 * len(held_out)
    bench = _Bench(run, study, choose_device(settings.device), steps_of(study), maps, draft)
    before = bench.predictor(version.plan, study.models.weights(active))
    theirs = partial(_as_read_by, study, version, made.channels)
    weights, share, tried = made.fitted, 1.0, tuple[ShareScore, ...]()
    if choosing:
        weights, share, tried = yield from bench.choose(made, before, some, theirs, settings.interpolation)
    after = bench.predictor(made.plan, weights)
    pairs, planes, changed = yield from bench.compare(before, after, held_out, theirs, f"Comparing with {active}")
    corrections = sum(not e.replay and bool(e.status.any()) for e in held_out)
    report = judge(*pairs, bench.names, len(made.held_out) - len(held_out), corrections, changed=changed)
    report = replace(report, compared_with=active, sparse=_sparse(held_out))
    return Verdict(report, weights, tuple(held_out), share, tried, planes, bench.recipe)


def _first_fault(
    run: RunFolder, study: Study, made: Candidate, settings: TrainSettings, held_out: Sequence[Example]
) -> Generator[Progress, None, str]:
    """Why a first model version does not become active by itself; see `core.gate.first_fault`."""
    if made.dice is not None and made.dice >= POOR:  # it was measured after the last step
        return ""
    some = [e for e in _first(held_out, replay=False) if e.status.any()]
    if not some:
        return first_fault((), (), settings.steps, settings.minutes)
    bench = _Bench(run, study, choose_device(settings.device), steps_of(study), len(some), len(some))
    predictor = bench.predictor(made.plan, made.fitted)
    found = yield from bench.scores(predictor, some, f"Measuring on {_counted(some)}")
    taught = labels_taught(made.examples, {s.label for s in found})
    return first_fault(found, taught, settings.steps, settings.minutes, len(some))


def _counted(some: Sequence[Example]) -> str:
    return f"{len(some)} held-out scan{'s' if len(some) > 1 else ''}"


def steps_of(study: Study) -> PostRecipe:
    """The study's steps, but for thresholds: these go by a temperature that a candidate does not have yet.

    Raises
    ------
    StudyError
        The document is damaged.
    """
    return read_recipe(study).with_thresholds_of(PostRecipe())


def _as_read_by(study: Study, version: ModelVersion, channels: Names, example: Example) -> Example:
    """An example whose channels lie in the candidate's order, in that of a model version: it may be another one."""
    if version.channels == channels:
        return example
    return replace(example, voxels=source_for(study, example.revision.partition("/")[0], version))


def damage_of_active(study: Study, base: ModelVersion | None) -> str:
    """What is wrong with the active model version, as a sentence, where one is trained from nothing; "" for nothing.

    Raises
    ------
    ModelError
        Something is, and the candidate is tuned from `base`.
    """
    active = study.models.active()
    damage = study.models.damage(active) if active else ""
    if damage and base is not None:
        raise ModelError(damage)
    return damage


def not_compared(plan: Plan, active: ModelVersion) -> str:
    """Why a candidate cannot be compared with the active model version, as a clause; "" where it can."""
    new, old = len(plan.normalisation), len(active.plan.normalisation)
    if new == old:
        return ""
    channels = f"{new} channel{'s' * (new > 1)}"
    return f"it reads {channels} and {active.name} reads {old}, so the two cannot be compared"


@dataclass(eq=False)
class _Bench:
    """Where model versions are measured: a run, its study, a device; and how many of all label maps are there.

    Predictions go through the study's steps, as those that a person sees do. Those in draft quality come first.
    """

    run: RunFolder
    study: Study
    device: torch.device
    recipe: PostRecipe
    maps: int
    draft: int
    done: int = 0
    began: float = field(default_factory=time.monotonic)
    drafting: Thrift = field(default_factory=lambda: Thrift(PredictSettings(quality="draft")))
    comparing: Thrift = field(default_factory=lambda: Thrift(PredictSettings()))

    @property
    def names(self) -> dict[int, str]:
        return {i: self.study.schema.name(i) for i in self.study.schema.ids}

    def report(self, text: str) -> Progress:
        spent, whole = self._drafts(self.done), self._drafts(self.maps)
        left = (time.monotonic() - self.began) * (whole - spent) / spent if spent else None
        return Progress(self.done, self.maps, text, seconds_left=left)

    def _drafts(self, maps: int) -> float:
        """So many maps, the others counted as drafts too, by how many windows they take."""
        return min(maps, self.draft) + max(0, maps - self.draft) * (QUALITIES["draft"] / QUALITIES["standard"]) ** 3

    def predictor(self, plan: Plan, weights: Path) -> Predictor:
        return Predictor(plan, weights, self.device, labels=self.study.schema.ids, veil=self.study.veil())

    def choose(
        self, made: Candidate, before: Predictor, some: Sequence[Example], theirs: Reading, count: int
    ) -> Generator[Progress, None, tuple[Path, float, tuple[ShareScore, ...]]]:
        """Try shares of the change on some of the scans, in draft quality, each scan once for each share."""
        assert made.start is not None  # the caller has looked; for the type checker
        paths, measured = dict[float, Path](), dict[float, list[CaseScore]]()
        scans = _counted(some)
        told = f"Measuring the active model version on {scans}"
        earlier = yield from self.scores(before, [*map(theirs, some)], told)
        for share in shares(count):
            paths[share] = made.fitted if share == 1 else self.run.path / f"weights-{share:.3f}.safetensors"
            if share < 1:
                between(made.start, made.fitted, share, paths[share])
            predictor = self.predictor(made.plan, paths[share])
            measured[share] = yield from self.scores(predictor, some, f"Trying {share:.0%} of the change on {scans}")
        share, tried = choose_share(earlier, measured, self.names)
        for other in paths.keys() - {share, 1.0}:
            paths[other].unlink(missing_ok=True)
        return paths[share], share, tried

    def scores(
        self, predictor: Predictor, examples: Sequence[Example], text: str
    ) -> Generator[Progress, None, list[CaseScore]]:
        """In draft quality."""
        found: list[CaseScore] = []
        for example in examples:
            yield self.report(text)
            proposed = label_map(predictor, example, self.drafting, self.run.cancelled, self.recipe)
            found += case_scores(proposed, example, predictor.labels)
            self.done += 1
        return found

    def compare(
        self, before: Predictor, after: Predictor, held_out: Sequence[Example], theirs: Reading, text: str
    ) -> Generator[Progress, None, tuple[tuple[list[CaseScore], list[CaseScore]], tuple[Plane, ...], bool]]:
        """Scores of both, one slice of each scan, and whether any voxel differs; maps are let go scan by scan."""
        found: tuple[list[CaseScore], list[CaseScore]] = ([], [])
        planes, changed = [], False
        for number, example in enumerate(held_out, 1):
            maps = []
            examined = ((before, theirs(example)), (after, example))
            for scored, (predictor, scan) in zip(found, examined, strict=True):
                yield self.report(f"{text}: held-out scan {number} of {len(held_out)}")
                maps.append(label_map(predictor, scan, self.comparing, self.run.cancelled, self.recipe))
                scored += case_scores(maps[-1], example, predictor.labels)
                self.done += 1
            planes.append(plane_of_change(example, *maps))
            changed = changed or not np.array_equal(maps[0], maps[1])
        return found, tuple(planes), changed


def _sparse(held_out: Iterable[Example]) -> bool:
    shares = [float(np.mean(e.status != UNSEEN)) for e in held_out if not e.replay and e.status.any()]
    return bool(shares) and max(shares) < SPARSE


def _first(examples: Iterable[Example], *, replay: bool) -> list[Example]:
    return [e for e in examples if e.replay == replay][:MOST_CHOSEN_ON]
