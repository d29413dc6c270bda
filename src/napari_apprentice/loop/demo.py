"""Once around the loop without a screen, on the sample study."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_apprentice.core.config import PRESETS, PredictSettings, TrainSettings
from napari_apprentice.core.corrector import correct
from napari_apprentice.core.progress import Progress
from napari_apprentice.errors import RunError
from napari_apprentice.loop.correcting import store_label_map
from napari_apprentice.loop.engine import Engine
from napari_apprentice.loop.evaluating import evaluate
from napari_apprentice.loop.predicting import predict
from napari_apprentice.loop.report import ReportRow, write_report
from napari_apprentice.loop.sample import STARTER, making_sample_study, sample_folder, sample_list, sample_reference
from napari_apprentice.loop.tuning import TuneReport, begin_training, follow_training
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study

CORRECTED = 3


@dataclass(frozen=True)
class DemoReport:
    """What once around the loop changed."""

    rows: tuple[ReportRow, ...]
    corrected: tuple[str, ...]
    tune: TuneReport
    folder: Path

    def mean_change(self, site: str) -> float:
        """Change of mean Dice at a site, "first" or "second"."""
        row = next(r for r in self.rows if r.site == site and r.label == "mean")
        return row.after - row.before


def run_demo(folder: Path, steps: int = PRESETS["quick"], seed: int = 0) -> Generator[Progress, None, DemoReport]:
    """Predict, correct three scans of the second site, fine-tune, predict again, compare.

    Parameters
    ----------
    folder
        New folder; the study and a report with pictures go into it.

    Raises
    ------
    RunError
        A child process failed.
    """
    study = yield from making_sample_study(folder / "sample.study")
    engine = Engine()
    try:
        return (yield from _around(study, engine, folder / "report", steps, seed))
    finally:
        engine.stop()


def _around(study: Study, engine: Engine, out: Path, steps: int, seed: int) -> Generator[Progress, None, DemoReport]:
    sample = sample_list()
    everything = (*sample.first_site, *sample.second_site)
    yield from predict(study, engine, everything, PredictSettings())
    corrected = _worst(study, sample.second_site)
    for case_id in corrected:
        yield Progress(0, 0, f"Correcting {case_id} (simulated corrector)", case_id=case_id)
        _correct(study, case_id, seed)
    run = begin_training(study, "fine-tune", TrainSettings(steps=steps, seed=seed))
    tune = yield from _to_its_end(run)
    yield from predict(study, engine, everything, PredictSettings(), tune.model)
    sites = {"first": sample.first_site, "second": tuple(c for c in sample.second_site if c not in corrected)}
    rows = tuple(r for site, cases in sites.items() for r in _rows(study, site, cases, tune.model))
    if not rows:
        raise RunError("Nothing is left to measure on: every sample scan was corrected.")
    write_report(study, out, rows, tune, sites["second"], sample_reference)
    return DemoReport(rows, corrected, tune, out)


def _to_its_end(run: RunFolder) -> Generator[Progress, None, TuneReport]:
    """Follow a training run that nobody wants any more when the demo is stopped."""
    finished = False
    try:
        report = yield from follow_training(run)
        finished = True
    finally:
        if not finished:
            run.cancel()
    return report


def _worst(study: Study, cases: Sequence[str]) -> tuple[str, ...]:
    """The cases the review queue would open first: lowest predicted Dice."""
    return tuple(sorted(cases, key=lambda c: (study.predictions.quality(c, STARTER) or 0.0, c))[:CORRECTED])


def _correct(study: Study, case_id: str, seed: int) -> None:
    start = study.predictions.read(case_id, STARTER).labels
    labels, _ = correct(start, sample_reference(case_id).voxels)
    store_label_map(study, case_id, labels, accept="all", author=f"simulated corrector {seed}")


def _rows(study: Study, site: str, cases: Sequence[str], model: str) -> tuple[ReportRow, ...]:
    references = sample_folder() / "references"
    tables = []
    for version in (STARTER, model):
        scores = evaluate(study, references, model=version, cases=cases)
        tables.append({**{study.schema.name(i): d for i, d in scores.by_label().items()}, "mean": scores.mean})
    before, after = tables
    return tuple(ReportRow(site, name, before[name], after.get(name, float(np.nan)), len(cases)) for name in before)
