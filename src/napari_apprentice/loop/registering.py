"""A trained network becomes a model version of the study, and the active one when it has proved itself."""

from collections.abc import Sequence
from importlib.metadata import version as library_version
from pathlib import Path

from napari_apprentice.core.config import TrainSettings
from napari_apprentice.core.gate import GateReport
from napari_apprentice.core.plan import Plan
from napari_apprentice.core.records import Example, ModelVersion, now
from napari_apprentice.store.study import Study

LIBRARIES = ("napari-apprentice", "torch", "monai", "numpy")


def register(
    study: Study, base: ModelVersion | None, plan: Plan, used: tuple[Sequence[Example], Sequence[Example]],
    settings: TrainSettings, report: GateReport | None, weights: Path, note: str,
) -> ModelVersion:  # fmt: skip
    """Store weights with all that is to be known of them under the next free name; see `Models.register`."""
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


def activate(study: Study, version: ModelVersion, report: GateReport | None) -> bool:
    """Make a version active that passed the gate, or is the first; whether it was."""
    if report is None:
        study.models.activate(version.name, "first model version")
        return True
    if report.passed:
        study.models.activate(version.name, f"passed the gate: {report.reason}")
    return report.passed
