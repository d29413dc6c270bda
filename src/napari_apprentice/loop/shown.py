"""What a case shows before a stroke is drawn: its newest revision, filled up with a prediction."""

import numpy as np

from napari_apprentice.core.correction import Canvas, fill_unseen
from napari_apprentice.core.records import CaseInfo, Prediction
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.store.study import Study


def as_shown(study: Study, case_id: str) -> tuple[str | None, str | None, Canvas | None]:
    """What a case shows before anything is changed.

    Returns
    -------
    Its newest revision, the active model version if that predicted it, and the one filled up with the
    other; None for each that there is not.
    """
    parent, model = base_of(study, case_id)
    nothing = parent is None and model is None
    return parent, model, None if nothing else canvas_on(study, study.cases.info(case_id), parent, model)


def base_of(study: Study, case_id: str) -> tuple[str | None, str | None]:
    """A case's newest revision, and the active model version if that predicted it."""
    names = study.revisions.names(case_id)
    active = study.models.active()
    return names[-1] if names else None, active if active and study.predictions.has(case_id, active) else None


def canvas_on(
    study: Study, info: CaseInfo, parent: str | None, model: str | None, *, journaled: bool = False
) -> Canvas:
    """A revision's labels and status, what is unseen filled with a model version's prediction.

    Parameters
    ----------
    journaled
        Whether strokes of the case's journal come upon it: then the prediction that they were drawn on.

    Raises
    ------
    InputError
        There is no such revision.
    """
    dtype = np.uint8 if max(study.schema.ids) < 256 else np.uint16
    labels: LabelArray = np.zeros(info.shape, dtype)
    status = np.full(info.shape, 0, np.uint8)  # zeros would take its memory when accepting, and hold the window up
    if parent is not None:
        stored, status = study.revisions.read(info.case_id, parent)
        labels = stored.astype(np.promote_types(dtype, stored.dtype))
    prediction = _prediction(study, info.case_id, model, journaled)
    if prediction is not None:
        labels = fill_unseen(prediction.labels, labels, status)
    return Canvas(labels, status)


def _prediction(study: Study, case_id: str, model: str | None, journaled: bool) -> Prediction | None:
    if not model or not study.predictions.has(case_id, model):
        return None
    return (study.predictions.read_base if journaled else study.predictions.read)(case_id, model)
