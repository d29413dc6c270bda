"""What the tables of cases and of model versions say; reads no voxels."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from napari_apprentice.core.ranking import Candidate
from napari_apprentice.core.records import ModelVersion
from napari_apprentice.store.predictions import mean_quality
from napari_apprentice.store.presence import Present
from napari_apprentice.store.study import Study


@dataclass(frozen=True)
class CaseRow:
    """One line of the case table; state is unseen, predicted, in correction, corrected or validation."""

    case_id: str
    subject: str
    state: str
    quality: float | None
    revisions: int
    predicted: bool = False
    others: tuple[Present, ...] = ()
    """Other windows that have the case open."""
    by_label: tuple[tuple[str, float], ...] = ()
    """Name and predicted Dice of every label that the active model version found."""


@dataclass(frozen=True)
class ModelRow:
    """One line of the model list."""

    name: str
    active: bool
    created: str
    parent: str | None
    verdict: str


def case_rows(study: Study, present: Mapping[str, tuple[Present, ...]] | None = None) -> tuple[CaseRow, ...]:
    """The case table, by case id; `present` says who else has which case open."""
    active = study.models.active()
    sides = study.split.sides()
    rows = (_case_row(study, case_id, active, sides) for case_id in study.cases.ids())
    return tuple(replace(row, others=(present or {}).get(row.case_id, ())) for row in rows)


def _case_row(study: Study, case_id: str, active: str | None, sides: Mapping[str, str]) -> CaseRow:
    subject = study.cases.info(case_id).subject
    revisions = len(study.revisions.names(case_id))
    predicted = active is not None and study.predictions.has(case_id, active)
    quality = study.predictions.quality_by_label(case_id, active) if active and predicted else {}
    if study.journal.started(case_id):
        state = "in correction"
    elif revisions:
        state = "validation" if sides.get(subject) == "validation" else "corrected"
    else:
        state = "predicted" if predicted else "unseen"
    names = {label.id: label.name for label in study.schema.labels}
    by_label = tuple((names.get(i, f"label {i}"), dice) for i, dice in sorted(quality.items()))
    return CaseRow(case_id, subject, state, mean_quality(quality), revisions, predicted, by_label=by_label)


def candidate(row: CaseRow) -> Candidate:
    """What the ranking needs to know of a case."""
    return Candidate(row.case_id, row.quality, row.predicted, row.revisions > 0, row.state == "in correction")


def model_rows(study: Study) -> tuple[ModelRow, ...]:
    """The model versions, oldest first."""
    active = study.models.active()
    return tuple(_model_row(study.models.info(name), active) for name in study.models.names())


def _model_row(version: ModelVersion, active: str | None) -> ModelRow:
    verdict = "" if version.gate is None else version.gate.reason
    return ModelRow(version.name, version.name == active, version.created, version.parent, verdict or version.note)
