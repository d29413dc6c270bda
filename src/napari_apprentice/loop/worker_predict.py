"""Predictions in the child process: cases in, label maps into the study slab by slab."""

import logging
import time
from collections.abc import Callable, Generator, Hashable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from napari_apprentice.core.channels import in_order
from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.postprocess import PostRecipe
from napari_apprentice.core.postprocess_steps import least_probability
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import CaseInfo, ModelVersion
from napari_apprentice.core.slabs import Focus, PredictedSlab, PredictionSummary, unseen
from napari_apprentice.errors import Cancelled, ModelError, OutOfMemoryError, RunError
from napari_apprentice.learn.device import choose_device, gpu_errors, is_gpu_lost, memory_errors, release_memory
from napari_apprentice.learn.predictor import Predictor
from napari_apprentice.learn.under_way import PredictionUnderWay
from napari_apprentice.learn.warm import WarmNetworks, has_room
from napari_apprentice.loop.channel_order import source_for
from napari_apprentice.loop.child_errors import told
from napari_apprentice.loop.requests import WarmUp
from napari_apprentice.store.prediction_writer import PredictionWriter
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study
from napari_apprentice.store.unprocessed import finish

log = logging.getLogger(__name__)
FocusOf = Callable[[RunFolder, str], Focus]


class PredictionTask:
    """Predict the cases of one run; networks stay in memory for the next, as long as there is room.

    Parameters
    ----------
    focus
        Which slice of a run's case is looked at.
    """

    def __init__(self, focus: FocusOf = lambda _run, _case_id: unseen) -> None:
        self._focus = focus
        self._networks = WarmNetworks()
        self._ahead: tuple[Hashable, PredictionUnderWay] | None = None  # what was begun of the case on the screen

    def __call__(self, run: RunFolder) -> Generator[Progress, None, dict[str, Any]]:
        """Run it; the result names the cases predicted.

        Raises
        ------
        GpuLostError
            The GPU fails this process.
        """
        with gpu_errors():
            return (yield from self._predicted(run))

    def _predicted(self, run: RunFolder) -> Generator[Progress, None, dict[str, Any]]:
        study = Study.open(run.study_path)
        model = str(run.request["model"])
        settings = PredictSettings.from_json(run.request["settings"])
        cases = [str(c) for c in run.request["cases"]]
        if run.cancelled():
            raise Cancelled("The prediction was cancelled before it began.")
        yield Progress(0, len(cases), "Starting the network")
        predictor = self._warm(study, model, settings)
        predicted = []
        for number, case_id in enumerate(cases):
            try:
                case = _Case(study, run, case_id, model, settings, self._begun(_place(study, case_id, model, settings)))
                yield from case.predict(predictor, self._focus(run, case_id), (number, len(cases)))
            except Cancelled:
                raise
            except Exception as error:
                if not run.request.get("several") or is_gpu_lost(error):
                    raise
                log.exception("Case of run %s", run.run_id)
                run.emit({"event": "refused", "case_id": case_id, **told(error, run.run_id)})
            else:
                predicted.append(case_id)
                run.emit({"event": "predicted", "case_id": case_id})
        yield Progress(len(cases), len(cases), f"Predicted {len(predicted)} of {len(cases)}")
        return {"cases": predicted, "model": model}

    def warm_up(self, wanted: WarmUp, cancelled: Callable[[], bool]) -> None:
        """Load what would predict, and do what its first window and the first slab would have to wait for.

        Raises
        ------
        GpuLostError
            The GPU fails this process.
        """
        with gpu_errors():
            self._warm_up(wanted, cancelled)

    def _warm_up(self, wanted: WarmUp, cancelled: Callable[[], bool]) -> None:
        study = Study.open(wanted.study)
        predictor = self._warm(study, wanted.model, wanted.settings)
        if not wanted.case_id or cancelled() or not has_room(choose_device(wanted.settings.device)):
            predictor.warm(wanted.settings)
            return
        place = _place(study, wanted.case_id, wanted.model, wanted.settings)
        version = study.models.info(wanted.model)
        work = self._begun(place) or predictor.begin(source_for(study, wanted.case_id, version), wanted.settings)
        try:
            with suppress(Cancelled):  # as far as it came is still good
                work.ahead(cancelled, lambda: wanted.index)
        except BaseException:
            work.close()
            raise
        self._ahead = (place, work)

    def _begun(self, place: Hashable) -> PredictionUnderWay | None:
        """What was done ahead for this; of anything else it is given up, for two scans are not kept."""
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            return None
        if ahead[0] == place:
            return ahead[1]
        ahead[1].close()
        return None

    def _warm(self, study: Study, model: str, settings: PredictSettings) -> Predictor:
        """One model version, or those that predict together."""
        device = choose_device(settings.device)
        wanted: dict[Hashable, Callable[[], Predictor]] = {
            (study.path, *weights, settings.device, study.schema.ids): partial(_load, study, weights[0], device)
            for weights in study.models.digests(model, *settings.members).items()
        }
        return Predictor.together(self._networks.get(wanted, device))


def _place(study: Study, case_id: str, model: str, settings: PredictSettings) -> Hashable:
    """What a prediction was begun for: the same voxels, the same networks and labels, in the same way."""
    info = study.cases.info(case_id)
    weights = tuple(study.models.digests(model, *settings.members).items())
    return study.path, case_id, info.source_digest, info.added, weights, settings, study.schema.ids


def _load(study: Study, model: str, device: torch.device) -> Predictor:
    version = study.models.info(model)
    weights = study.models.weights(model)
    return Predictor(version.plan, weights, device, version.temperature, study.schema.ids, study.veil())


@dataclass(frozen=True)
class _Case:
    """One case of a run."""

    study: Study
    run: RunFolder
    case_id: str
    model: str
    settings: PredictSettings
    begun: PredictionUnderWay | None

    def predict(self, predictor: Predictor, focus: Focus, place: tuple[int, int]) -> Generator[Progress, None, None]:
        """Predict it, in less memory where there is not enough; `place` is how many cases of how many are done."""
        case = self
        while True:
            try:
                with memory_errors():
                    yield from case._predict(predictor, focus, place)
                return
            except OutOfMemoryError:
                smaller = case.settings.smaller()
                if smaller == case.settings:
                    raise
            # out here, where the error no longer holds the tensors
            release_memory()
            case = replace(self, settings=smaller, begun=None)
            done, total = place
            yield Progress(100 * done, 100 * total, f"{self.case_id} begins again in less memory", case_id=self.case_id)

    def _predict(self, predictor: Predictor, focus: Focus, place: tuple[int, int]) -> Generator[Progress, None, None]:
        version, info = self.study.models.info(self.model), self.study.cases.info(self.case_id)
        _check_channels(info, version)
        source = source_for(self.study, self.case_id, version)
        writer = self.study.predictions.begin(self.case_id, self.model, predictor.label_type, self.run.run_id)
        with writer:
            recipe = PostRecipe.from_json(self.run.request.get("postprocess", {}))
            least = least_probability(recipe, (0, *predictor.labels))
            work = predictor.predict(self.begun or source, self.settings, self.run.cancelled, focus, least)
            summary = yield from self._follow(work, writer, place)
            try:
                quality, processed = finish(writer, source.spacing, recipe, summary.quality)
            except MemoryError as error:  # what predicted is gone by now: less of that would not help
                raise RunError(
                    f"There is too little free memory for the post-processing of {self.case_id}. Close other programs "
                    "and try again, or predict without these steps."
                ) from error
            made: dict[str, Any] = {"settings": self.settings.to_json(), "backend": summary.backend}
            made |= {"models": self._temperatures(), "temperature": summary.temperature, "run": self.run.run_id}
            made["weights"] = self.study.models.digests(self.model, *self.settings.members)
            made["labels"] = list(predictor.labels)  # that could be proposed
            made["channels"] = list(in_order(info.channels, version.channels))  # as they were read
            if self.run.cancelled():  # whoever asked was told that it was; the steps afterwards take a while
                raise Cancelled("The prediction was cancelled; nothing was changed.")
            writer.commit(quality, summary.seconds, summary.device, {**made, **processed})

    def _temperatures(self) -> dict[str, float]:
        """Of every model version that predicts, the one whose prediction it is called first."""
        names = (self.model, *self.settings.members)
        return {name: self.study.models.info(name).temperature for name in names}

    def _follow(
        self, work: Generator[Progress | PredictedSlab, None, PredictionSummary], writer: PredictionWriter,
        place: tuple[int, int],
    ) -> Generator[Progress, None, PredictionSummary]:  # fmt: skip
        done, total = place
        share, began = 0.0, time.monotonic()
        while True:
            try:
                report = next(work)
            except StopIteration as end:
                summary: PredictionSummary = end.value
                return summary
            slab = None
            if isinstance(report, PredictedSlab):
                writer.write_slab(report)
                slab = (report.start, report.stop)
            else:
                share = report.done / report.total if report.total else 0.0
            # Progress counts in hundredths of a case, so that one large case moves the bar too.
            yield Progress(
                round(100 * (done + share)), 100 * total, f"Predicting {self.case_id}",
                seconds_left=_left(began, share) if total == 1 else None, case_id=self.case_id, slab=slab,
            )  # fmt: skip


def _check_channels(info: CaseInfo, version: ModelVersion) -> None:
    channels, expected = len(info.channels), len(version.plan.normalisation)
    if channels != expected:
        raise ModelError(f"Case {info.case_id} has {channels} channels, model version {version.name} takes {expected}.")


def _left(began: float, share: float) -> float | None:
    return (time.monotonic() - began) * (1 - share) / share if share > 0 else None
