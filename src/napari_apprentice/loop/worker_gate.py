"""In the child process: a candidate against the active model version, on the same held-out scans."""

from collections.abc import Generator, Sequence
from pathlib import Path

from napari_apprentice.core.config import PredictSettings, TrainSettings
from napari_apprentice.core.gate import CaseScore, GateReport, judge
from napari_apprentice.core.plan import Plan
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import Example
from napari_apprentice.learn.device import choose_device
from napari_apprentice.learn.evaluate import scores
from napari_apprentice.learn.interpolate import between
from napari_apprentice.learn.predictor import Predictor
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study

DRAWN_BACK = (0.85, 0.7, 0.55, 0.4, 0.25)  # shares of the tuned weights that are tried when it forgets


def gate(
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
