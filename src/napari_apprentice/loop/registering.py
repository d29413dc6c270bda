"""A trained network becomes a model version of the study, and the active one when it has proved itself."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version as library_version
from typing import Any

from napari_apprentice.core.config import TrainSettings
from napari_apprentice.core.gate import GateReport
from napari_apprentice.core.records import ModelVersion, now
from napari_apprentice.errors import StudyError
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


def registered(study: Study, run_id: str) -> ModelVersion | None:
    """What a run had registered already when it was killed; None where it did not come so far."""
    for name in reversed(study.models.names()):
        with suppress(StudyError):  # another version that is damaged is in nobody's way
            if study.models.record(name).get("run") == run_id:
                return study.models.info(name)
    return None


def register(
    study: Study, made: Candidate, verdict: Verdict, settings: TrainSettings, found: Findings, run_id: str
) -> ModelVersion:
    """Store weights with all that is to be known of them under the next free name; see `Models.register_as_next`."""
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
        channels=made.channels,
        run=run_id,
    )
    return study.models.register_as_next(version, verdict.weights, found.pictures)


def activate(study: Study, version: ModelVersion, report: GateReport | None, *, resumed: bool = False) -> bool:
    """Make a version active that passed the gate, or is the first; whether it is.

    What it was not compared with may be better: where another version became active meanwhile, that one stays.

    Parameters
    ----------
    resumed
        Whether the version was registered at an earlier start of its run, which was killed afterwards. If it was
        active since, it is left as it is: somebody may have gone back.
    """
    if resumed and _was_active(study, version):
        return study.models.active() == version.name
    if report is None:
        return study.models.activate_in_place_of(None, version.name, "first active model version")
    reason = f"passed the gate: {report.told}"
    return report.passed and study.models.activate_in_place_of(report.compared_with, version.name, reason)


def _was_active(study: Study, version: ModelVersion) -> bool:
    """Whether a version was made active once; turns from before it was made are of a removed one of the same name."""
    return any(turn.name == version.name and turn.time >= version.created for turn in study.models.activations())
