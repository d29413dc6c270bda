"""A trained network becomes a model version of the study, and the active one when it has proved itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version as library_version
from typing import Any

from napari_apprentice.core.config import TrainSettings
from napari_apprentice.core.gate import GateReport
from napari_apprentice.core.records import ModelVersion, now
from napari_apprentice.loop.candidate import Candidate, Verdict
from napari_apprentice.store.study import Study

LIBRARIES = ("napari-apprentice", "torch", "monai", "numpy")


@dataclass(frozen=True)
class Findings:
    """What was found out about a candidate beside the gate's verdict; see `ModelVersion`.

    Parameters
    ----------
    pictures, shown
        PNG files by name, and what each shows.
    """

    metrics: Mapping[str, Any]
    temperature: float
    note: str
    pictures: Mapping[str, bytes]
    shown: Mapping[str, Any]


def register(study: Study, made: Candidate, verdict: Verdict, settings: TrainSettings, found: Findings) -> ModelVersion:
    """Store weights with all that is to be known of them under the next free name; see `Models.register`."""
    version = ModelVersion(
        name=study.models.next_name(),
        parent=made.base.name if made.base else None,
        created=now(),
        plan=made.plan,
        schema=study.schema_for(made.plan.labels),
        revisions=tuple(e.revision for e in made.examples),
        held_out=tuple(e.revision for e in made.held_out),
        gate=verdict.report,
        settings=settings.to_json(),
        seed=settings.seed,
        libraries={name: library_version(name) for name in LIBRARIES},
        weights_digest="",
        note=found.note,
        temperature=found.temperature,
        metrics=found.metrics,
        pictures=found.shown,
    )
    return study.models.register(version, verdict.weights, found.pictures)


def activate(study: Study, version: ModelVersion, report: GateReport | None) -> bool:
    """Make a version active that passed the gate, or is the first; whether it was.

    What it was not compared with may be better: where another version became active meanwhile, that one stays.
    """
    if report is None:
        return study.models.activate_in_place_of(None, version.name, "first model version")
    reason = f"passed the gate: {report.told}"
    return report.passed and study.models.activate_in_place_of(report.compared_with, version.name, reason)
