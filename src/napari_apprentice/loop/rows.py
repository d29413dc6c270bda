"""What the tables of cases and of model versions say; reads no voxels."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache

from napari_apprentice.core.ensemble import folds_beside, unlike, unlike_orders
from napari_apprentice.core.ranking import Candidate
from napari_apprentice.core.records import ModelVersion
from napari_apprentice.errors import StorageError, StudyError
from napari_apprentice.loop.shown import by_weights, weights_of
from napari_apprentice.store.predictions import mean_quality
from napari_apprentice.store.presence import Present
from napari_apprentice.store.study import Study

Ages = Callable[[], Mapping[str, str]]  # model version to when it was made; read where a row asks for it
DAMAGED = "damaged"  # state of a case whose documents cannot be read


@dataclass(frozen=True)
class CaseRow:
    """One line of the case table; state is unseen, predicted, in correction, corrected, validation or damaged."""

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
    side: str = ""
    """Of the split: train or validation; "" before the subject's first correction."""
    models: tuple[str, ...] = ()
    """Model versions that predicted together: then the predicted Dice says how well they agree."""
    earlier: str = ""
    """The newest model version that predicted it, where the active one did not and nobody has corrected it."""
    earlier_quality: float | None = None
    """Its predicted Dice by that one; None where that found no label."""


@dataclass(frozen=True)
class ModelRow:
    """One line of the model list.

    Parameters
    ----------
    verdict
        The gate's reason, or how it was made.
    passed
        Whether it passed the gate; None where it did not go through it.
    before, after
        Mean Dice over labels on held-out corrections, as the gate saw it; None where it did not.
    temperature
        What its logits are divided by.
    note
        What a person wrote about it.
    overruled
        Who went against the gate's verdict on it, and why; "" where nobody did.
    unlike
        In what it differs from the active one, so that the two cannot predict together; "" where they can.
    fold
        Whether it is another fold of the model that the active one is a fold of.
    worse
        Whether the gate measured something that speaks against it.
    """

    name: str
    active: bool
    created: str
    parent: str | None
    verdict: str
    passed: bool | None = None
    before: float | None = None
    after: float | None = None
    temperature: float = 1.0
    note: str = ""
    overruled: str = ""
    unlike: str = ""
    fold: bool = False
    worse: bool = False

    @property
    def refused(self) -> bool:
        """Whether the gate found it worse and nobody has decided otherwise."""
        return self.worse and not self.overruled


def case_rows(study: Study, present: Mapping[str, tuple[Present, ...]] | None = None) -> tuple[CaseRow, ...]:
    """The case table, by case id; `present` says who else has which case open."""
    active = study.models.active()
    weights = weights_of(study, active) if active else ""
    sides = study.split.sides()
    ages = cache(lambda: {version.name: version.created for version in study.models.readable()})
    rows = (_case_row(study, case_id, active, weights, sides, ages) for case_id in study.cases.ids())
    return tuple(replace(row, others=(present or {}).get(row.case_id, ())) for row in rows)


def _case_row(
    study: Study, case_id: str, active: str | None, weights: str, sides: Mapping[str, str], ages: Ages
) -> CaseRow:
    try:
        return _sound_row(study, case_id, active, weights, sides, ages)
    except StudyError:  # opening it says what is wrong; the others can be worked on
        return CaseRow(case_id, "", DAMAGED, None, 0)
    except StorageError:  # of this one, as with a bad sector or without permission; else of the list too
        study.cases.ids()
        return CaseRow(case_id, "", DAMAGED, None, 0)


def _sound_row(
    study: Study, case_id: str, active: str | None, weights: str, sides: Mapping[str, str], ages: Ages
) -> CaseRow:
    subject = study.cases.info(case_id).subject
    revisions = len(study.revisions.names(case_id))
    told = _told(study, case_id, active, weights) if active else None
    predicted, (quality, models) = told is not None, told or ({}, ())
    if study.journal.started(case_id):
        state = "in correction"
    elif revisions:
        state = "validation" if sides.get(subject) == "validation" else "corrected"
    else:
        state = "predicted" if predicted else "unseen"
    names = {label.id: label.name for label in study.schema.labels}
    by_label = tuple((names.get(i, f"label {i}"), dice) for i, dice in sorted(quality.items()))
    earlier = ("", None) if predicted or revisions else _earlier(study, case_id, active, ages)
    return CaseRow(
        case_id, subject, state, mean_quality(quality), revisions, predicted,
        by_label=by_label, side=sides.get(subject, ""), models=models,
        earlier=earlier[0], earlier_quality=earlier[1],
    )  # fmt: skip


def _earlier(study: Study, case_id: str, active: str | None, ages: Ages) -> tuple[str, float | None]:
    """The newest other model version that predicted a case, and its predicted Dice; "" and None for none."""
    for model in sorted(study.predictions.models(case_id), key=lambda name: ages().get(name, ""), reverse=True):
        with suppress(StudyError):  # a damaged one says nothing of the order of cases
            if model != active:
                return model, study.predictions.quality(case_id, model)
    return "", None


def _told(study: Study, case_id: str, model: str, weights: str) -> tuple[Mapping[int, float], tuple[str, ...]] | None:
    """Predicted Dice by label, and which model versions predicted together (none where it was one alone).

    None without a prediction by these weights; one of older weights of the same name does not count.
    """
    if not study.predictions.has(case_id, model):
        return None
    quality, made = study.predictions.told(case_id, model)
    if not by_weights(made, model, weights):
        return None
    models = tuple(made.get("models", ()))
    return quality, models if len(models) > 1 else ()


def candidate(row: CaseRow) -> Candidate:
    """What the ranking needs to know of a case."""
    return Candidate(
        row.case_id, row.quality, row.predicted, row.revisions > 0, row.state == "in correction",
        row.by_label, row.side == "validation", row.models, row.earlier, row.earlier_quality,
    )  # fmt: skip


def model_rows(study: Study) -> tuple[ModelRow, ...]:
    """The model versions, oldest first; one that is damaged says so and keeps nobody from the others.

    The active one is listed also where it is damaged or gone: whoever is to choose another has to see that.
    """
    versions, names = study.models.readable(), study.models.names()
    active, notes = study.models.active(), study.models.notes()
    damaged = {*names, *([active] if active else [])} - {version.name for version in versions}
    overruled = {a.overrules: f"{a.author}: {a.why}" for a in study.models.activations() if a.overrules}
    rows = (
        replace(
            _model_row(version, active),
            note=notes[version.name].text if version.name in notes else "",
            overruled=overruled.get(version.name, ""),
        )
        for version in versions
    )
    whole = _with_fellows(rows, versions, active)
    rest = (_damaged_row(name, active=name == active, there=name in names) for name in damaged)
    return tuple(sorted((*whole, *rest), key=lambda row: row.name))


def _damaged_row(name: str, *, active: bool, there: bool) -> ModelRow:
    fault = "damaged: what is known of it cannot be read" if there else "missing: its folder is gone"
    return ModelRow(
        name, active=active, created="", parent=None, verdict=f"{fault}; activate another" if active else fault,
        unlike="what can be read of them",
    )  # fmt: skip


def _with_fellows(
    rows: Iterable[ModelRow], versions: Sequence[ModelVersion], active: str | None
) -> tuple[ModelRow, ...]:
    """The rows, saying of each which can predict together with the active one, and which was made to."""
    now = next((version for version in versions if version.name == active), None)
    if now is None:
        return tuple(rows)
    folds = folds_beside(now, versions)
    pairs = zip(rows, versions, strict=True)
    return tuple(
        replace(row, unlike=unlike(now.plan, v.plan) or unlike_orders(now, v), fold=v.name in folds) for row, v in pairs
    )


def _model_row(version: ModelVersion, active: str | None) -> ModelRow:
    gate = version.gate
    before, after = (gate.mean(replay=False) if gate else None) or (None, None)
    return ModelRow(
        version.name, version.name == active, version.created, version.parent,
        (gate.reason if gate else "") or version.note, gate.passed if gate else None, before, after,
        version.temperature, worse=gate is not None and gate.found_worse,
    )  # fmt: skip
