"""What a case shows before a stroke is drawn: its newest revision, filled up with a prediction."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from napari_apprentice.core.correction import UNSEEN, Canvas, Stroke, fill_unseen, unfounded
from napari_apprentice.core.records import CaseInfo, Prediction
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import ApprenticeError
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
    return names[-1] if names else None, active if active and is_by(study, case_id, active) else None


def is_by(study: Study, case_id: str, model: str) -> bool:
    """Whether there is a prediction by a model version; see `by_weights`."""
    if not study.predictions.has(case_id, model):
        return False
    return by_weights(study.predictions.made(case_id, model), model, weights_of(study, model))


def weights_of(study: Study, model: str) -> str:
    """Digest of a model version's weights; "" where it is damaged or gone: its predictions can be looked at still."""
    try:
        return study.models.info(model).weights_digest
    except ApprenticeError:
        return ""


def by_weights(made: Mapping[str, Any], model: str, weights: str) -> bool:
    """Whether a prediction's record says these weights; those that had a model version's name before it did not.

    True where either of them is not known.
    """
    return not weights or bool(made.get("weights", {}).get(model, weights) == weights)


def canvas_on(study: Study, info: CaseInfo, parent: str | None, model: str | None) -> Canvas:
    """A revision's labels and status, what is unseen filled with a model version's prediction.

    Raises
    ------
    InputError
        There is no such revision.
    """
    return ground_of(study, info, parent, model).canvas


class Ground:
    """What a case shows before a stroke is drawn, and whether that is what its strokes were drawn on.

    Parameters
    ----------
    case_id, canvas
        Whose, and the labels and status.
    base
        Digest of the prediction in it, "" for none; None where the one that strokes were drawn on is gone.
    """

    def __init__(self, case_id: str, canvas: Canvas, base: str | None) -> None:
        self.canvas, self.base = canvas, base
        self._case_id = case_id
        self._status = canvas.status.copy() if base is None else canvas.status

    def without_lost(self, strokes: Iterable[Stroke]) -> str:
        """Where what strokes accepted is gone let it be unseen again, after they were applied to the canvas.

        Returns
        -------
        A sentence for the person; "" where nothing was lost.
        """
        if self.base is not None:
            return ""
        lost = unfounded(self._status, strokes)
        self.canvas.status[lost] = UNSEEN
        count = np.count_nonzero(lost)
        if not count:
            return ""
        return (
            f"The prediction that strokes of {self._case_id} were drawn on is gone: {count} voxels that were accepted "
            "as it had them are unseen again. Look at them once more and accept them."
        )


def ground_of(
    study: Study, info: CaseInfo, parent: str | None, model: str | None, drawn_on: str | None = None,
    wide: DTypeLike = np.uint8,
) -> Ground:  # fmt: skip
    """A revision's labels and status, what is unseen filled with a model version's prediction.

    Parameters
    ----------
    drawn_on
        Where strokes come upon it: digest of the prediction that they were drawn on, "" where their journal does not
        say. None for no strokes: the present prediction is shown.
    wide
        Of labels that are to find room in it, whatever the study's are.

    Raises
    ------
    InputError
        There is no such revision.
    """
    kind = np.promote_types(wide, np.uint8 if max(study.schema.ids) < 256 else np.uint16)
    labels: LabelArray = np.zeros(info.shape, kind)
    status = np.full(info.shape, 0, np.uint8)  # zeros would take its memory when accepting, and hold the window up
    if parent is not None:
        stored, status = study.revisions.read(info.case_id, parent)
        labels = stored.astype(np.promote_types(kind, stored.dtype))
    prediction = _prediction(study, info.case_id, model, drawn_on)
    if prediction is not None:
        labels = fill_unseen(prediction.labels, labels, status)
    gone = model is not None and drawn_on is not None and prediction is None
    return Ground(info.case_id, Canvas(labels, status), None if gone else prediction.digest if prediction else "")


def _prediction(study: Study, case_id: str, model: str | None, drawn_on: str | None) -> Prediction | None:
    if model is None:
        return None
    if drawn_on is not None:
        return study.predictions.read_base(case_id, model, drawn_on)
    return study.predictions.read(case_id, model) if study.predictions.has(case_id, model) else None
