"""What comes after a training run, in its process: the gate, and a model version in the study."""

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from napari_apprentice.core.config import TrainSettings
from napari_apprentice.core.plan import Plan
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import Example, ModelVersion
from napari_apprentice.loop.registering import activate, register
from napari_apprentice.loop.worker_gate import gate
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study


def conclude(
    run: RunFolder, study: Study, base: ModelVersion | None, plan: Plan,
    used: tuple[Sequence[Example], Sequence[Example]], settings: TrainSettings, fitted: Path,
) -> Generator[Progress, None, dict[str, Any]]:  # fmt: skip
    """Put trained weights through the gate and register them; active when they passed.

    Parameters
    ----------
    base
        The model version they were tuned from; None for a first one.
    used
        (training, held-out) examples of the run.
    fitted
        The trained weights (safetensors).

    Returns
    -------
    The new model version's name, whether it is active, and the gate's report, as JSON values.
    """
    report, weights, share = yield from gate(run, study, plan, fitted, used[1], settings)
    note = "" if share == 1.0 else f"{share:.0%} of the way from {base.name if base else ''} to the tuned weights"
    version = register(study, base, plan, used, settings, report, weights, note)
    active = activate(study, version, report)
    return {"model": version.name, "active": active, "gate": report.to_json() if report else None}
