"""Another list of labels for a study that has work in it."""

from collections.abc import Generator, Mapping, Sequence, Set
from contextlib import suppress

import numpy as np

from napari_apprentice.core.labels import Label, LabelSchema
from napari_apprentice.core.progress import Progress
from napari_apprentice.errors import ApprenticeError, InputError
from napari_apprentice.loop.opening import OpenCase
from napari_apprentice.store.presence import Present
from napari_apprentice.store.study import Study


def change_labels(
    study: Study,
    schema: LabelSchema,
    others: Mapping[str, Sequence[Present]] | None = None,
    was: LabelSchema | None = None,
) -> Generator[Progress, None, None]:
    """Name, colour and add labels; take away those that are in no revision.

    Model versions that know a label which goes do not propose it any more, and predictions that have it read as
    background there; a label that comes back under its number and name is proposed again.

    Parameters
    ----------
    others
        Who else has which case open.
    was
        The labels that the change was made from; by default those that the study is known to have.

    Raises
    ------
    InputError
        Another window or process has changed the labels since. Or a label that would go is in a revision or in
        unsaved strokes, or somebody else may be using it. Or a number that would be given to a new label means
        another one to a model version.
    """
    was = was or study.schema
    study.refresh()
    study.refuse_changed(was)
    gone = set(was.ids) - set(schema.ids)
    for label in schema.labels:
        if label.id not in study.schema.ids:
            _refuse_taken(study, label, schema)
    if gone:
        for case_id, (other, *_) in (others or {}).items():
            raise InputError(f"No label can go while {other.author} has case {case_id} open.")
        case_ids = study.cases.ids()
        for done, case_id in enumerate(case_ids):
            yield Progress(done, len(case_ids), f"Looking for removed labels in {case_id}")
            _refuse_used(study, case_id, gone)
    study.set_schema(schema, was)


def next_id(study: Study) -> int:
    """The lowest label id above all that the study has or had, or one of its model versions has."""
    return max((*study.schema.ids, *(x.id for x in study.retired), *_in_models(study))) + 1


def with_names(study: Study, schema: LabelSchema, names: Sequence[str]) -> LabelSchema:
    """A list of labels and more of the given names: labels that the study had come back as they were."""
    for name in names:
        back = [x for x in study.retired if x.called(name) and x.id not in schema.ids][-1:]
        first = max(next_id(study), max(schema.ids) + 1)
        schema = LabelSchema((*schema.labels, *back)) if back else schema.with_names([name], first)
    return schema


def refuse_waiting(case: OpenCase | None, waiting: Sequence[str]) -> None:
    """Refuse to take a label away while strokes are on this computer only, where nobody else can look for it.

    Parameters
    ----------
    waiting
        Cases with strokes in a rescue journal.

    Raises
    ------
    InputError
        There are such strokes.
    """
    here = {*waiting, *((case.info.case_id,) if case is not None and (case.rescued or case.unwritten) else ())}
    if here:
        raise InputError(
            f"No label can go while strokes of {', '.join(sorted(here))} are on this computer only. "
            "Open these cases to bring them over."
        )


def _in_models(study: Study) -> dict[int, set[str]]:
    """Label ids that model versions know, and what they are called there; a damaged version is passed over."""
    found: dict[int, set[str]] = {}
    for name in study.models.names():
        with suppress(ApprenticeError):
            version = study.models.info(name)
            called = {x.id: x.name for x in version.schema.labels}
            for label in version.plan.labels:
                found.setdefault(label, set()).update({called[label]} if label in called else ())
    return found


def _refuse_taken(study: Study, label: Label, schema: LabelSchema) -> None:
    had = {x.id: {x.name} for x in study.retired}
    names = had.get(label.id) or _in_models(study).get(label.id, set())
    if names and label.name not in names:
        free = max(next_id(study), max(schema.ids) + 1)
        raise InputError(
            f"Label id {label.id} means {sorted(names)[0]} in what this study keeps: "
            f"give {label.name} another id, for example {free}."
        )


def _refuse_used(study: Study, case_id: str, gone: Set[int]) -> None:
    for name in study.revisions.names(case_id):
        used = gone & set(np.unique(study.revisions.read(case_id, name)[0]).tolist())
        if used:
            raise InputError(f"Label {study.schema.name(min(used))} stays: revision {name} of case {case_id} uses it.")
    journal = study.journal.read(case_id)
    if not journal or not journal.strokes:
        return
    used = gone & {int(i) for stroke in journal.strokes for i in np.unique(stroke.labels_after)}
    if used:
        raise InputError(f"Label {study.schema.name(min(used))} stays: unsaved strokes of case {case_id} use it.")
    # To accept what was predicted is a stroke without labels of its own.
    base = study.predictions.read_base(case_id, journal.model, journal.base) if journal.model else None
    if base is not None:
        used = gone & set(np.unique(base.labels).tolist())
    if used:
        raise InputError(
            f"Label {study.schema.name(min(used))} stays: case {case_id} has unsaved strokes, and a prediction that "
            "has this label. Save them first."
        )
