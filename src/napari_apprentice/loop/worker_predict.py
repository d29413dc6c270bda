"""Predictions in the child process: cases in, label maps into the study."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.progress import Progress
from napari_apprentice.errors import ModelError
from napari_apprentice.learn.device import choose_device
from napari_apprentice.learn.predictor import Predictor
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study


class PredictionTask:
    """Predict the cases of one run; the network of the newest request stays in memory for the next."""

    def __init__(self) -> None:
        self._key: tuple[Path, str, str] | None = None
        self._predictor: Predictor | None = None

    def __call__(self, run: RunFolder) -> Generator[Progress, None, dict[str, Any]]:
        """Run it; the result names the cases predicted."""
        study = Study.open(run.study_path)
        model = str(run.request["model"])
        settings = PredictSettings.from_json(run.request["settings"])
        cases = [str(c) for c in run.request["cases"]]
        yield Progress(0, len(cases), "Starting the network")
        predictor = self._warm(study, model, settings)
        for done, case_id in enumerate(cases):
            yield from _predict(study, case_id, model, predictor, settings, run, (done, len(cases)))
        yield Progress(len(cases), len(cases), f"Predicted {len(cases)} of {len(cases)}")
        return {"cases": cases, "model": model}

    def _warm(self, study: Study, model: str, settings: PredictSettings) -> Predictor:
        key = (study.path, model, settings.device)
        if self._predictor is None or key != self._key:
            version = study.models.info(model)
            device = choose_device(settings.device)
            self._predictor = Predictor(version.plan, study.models.weights(model), device)
            self._key = key
        return self._predictor


def _predict(
    study: Study, case_id: str, model: str, predictor: Predictor, settings: PredictSettings,
    run: RunFolder, place: tuple[int, int],
) -> Generator[Progress, None, None]:  # fmt: skip
    info = study.cases.info(case_id)
    expected = len(study.models.info(model).plan.normalisation)
    if len(info.channels) != expected:
        raise ModelError(f"Case {case_id} has {len(info.channels)} channels, model version {model} takes {expected}.")
    work = predictor.predict(study.cases.voxels(case_id), info.spacing, settings, run.cancelled)
    done, total = place
    while True:
        try:
            inner = next(work)
        except StopIteration as end:
            study.predictions.write(case_id, model, end.value)
            return
        # Progress counts in hundredths of a case, so that one large case moves the bar too.
        share = inner.done / inner.total if inner.total else 0.0
        yield Progress(round(100 * (done + share)), 100 * total, f"Predicting {case_id}", case_id=case_id)
