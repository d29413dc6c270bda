"""Another list of labels for a study that has work in it."""

from collections.abc import Generator, Set

import numpy as np

from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.progress import Progress
from napari_apprentice.errors import InputError
from napari_apprentice.store.study import Study


def change_labels(study: Study, schema: LabelSchema) -> Generator[Progress, None, None]:
    """Name, colour and add labels; take away those that nothing in the study uses.

    Raises
    ------
    InputError
        A label that would go is in a revision, in unsaved strokes, or known to a model version.
    """
    gone = set(study.schema.ids) - set(schema.ids)
    if gone:
        _refuse_known(study, gone)
        case_ids = study.cases.ids()
        for done, case_id in enumerate(case_ids):
            yield Progress(done, len(case_ids), f"Looking for removed labels in {case_id}")
            _refuse_used(study, case_id, gone)
    study.set_schema(schema)


def _refuse_known(study: Study, gone: Set[int]) -> None:
    for name in study.models.names():
        known = gone & set(study.models.info(name).plan.labels)
        if known:
            raise InputError(f"Label {study.schema.name(min(known))} stays: model version {name} predicts it.")


def _refuse_used(study: Study, case_id: str, gone: Set[int]) -> None:
    for name in study.revisions.names(case_id):
        used = gone & set(np.unique(study.revisions.read(case_id, name)[0]).tolist())
        if used:
            raise InputError(f"Label {study.schema.name(min(used))} stays: revision {name} of case {case_id} uses it.")
    journal = study.journal.read(case_id)
    for stroke in journal.strokes if journal else ():
        used = gone & set(np.unique(stroke.labels_after).tolist())
        if used:
            raise InputError(f"Label {study.schema.name(min(used))} stays: unsaved strokes of case {case_id} use it.")
