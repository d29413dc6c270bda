"""How good a model is on scans whose truth is known, at least in part."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import numpy as np

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.gate import CaseScore
from napari_apprentice.core.metrics import dice
from napari_apprentice.core.postprocess import PostRecipe
from napari_apprentice.core.postprocess_steps import postprocess
from napari_apprentice.core.records import Example
from napari_apprentice.core.slabs import PredictedSlab
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import NoNumbersError, OutOfMemoryError
from napari_apprentice.learn.device import release_memory
from napari_apprentice.learn.predictor import Predictor

_NO_STEPS = PostRecipe()
Made = TypeVar("Made")


class Thrift:
    """Settings to measure with; where memory runs out, for all that is measured afterwards those that were enough.

    Parameters
    ----------
    settings
        To begin with.
    """

    def __init__(self, settings: PredictSettings) -> None:
        self.settings = settings

    def made(self, work: Callable[[PredictSettings], Made]) -> Made:
        """What some work makes with the settings, begun again in less memory as a prediction is.

        Raises
        ------
        OutOfMemoryError
            The least is too much.
        """
        while True:
            try:
                return work(self.settings)
            except OutOfMemoryError:
                smaller = self.settings.smaller()
                if smaller == self.settings:
                    raise
            # out here, where the error no longer holds the tensors
            release_memory()
            self.settings = smaller


def scores(
    predictor: Predictor, examples: Sequence[Example], settings: PredictSettings, cancelled: Callable[[], bool],
    recipe: PostRecipe = _NO_STEPS,
) -> list[CaseScore]:  # fmt: skip
    """Dice per example and label, on known voxels only; labels absent from both maps have no score.

    A label that the model does not know but the example has counts as 0: it was not found.

    Parameters
    ----------
    recipe
        As in `label_map`.

    Raises
    ------
    Cancelled
        `cancelled` said so.
    """
    found, thrift = list[CaseScore](), Thrift(settings)
    for example in examples:
        found += case_scores(label_map(predictor, example, thrift, cancelled, recipe), example, predictor.labels)
    return found


def case_scores(predicted: LabelArray, example: Example, labels: Sequence[int]) -> list[CaseScore]:
    """Dice of one predicted label map (z, y, x), as in `scores`; `labels` are those that the model knows."""
    reference, known = example.labels, example.knowing()
    found = []
    for label in sorted({*labels, *example.labels_shown()}):
        where = known(label)
        value = dice(predicted, reference, label, where)
        if value is not None:
            counts = (int(np.count_nonzero((m == label) & where)) for m in (reference, predicted))
            found.append(CaseScore(example.revision, label, value, example.replay, example.subject, *counts))
    return found


def label_map(
    predictor: Predictor, example: Example, thrift: Thrift, cancelled: Callable[[], bool],
    recipe: PostRecipe = _NO_STEPS,
) -> LabelArray:  # fmt: skip
    """(z, y, x) labels that a model proposes for an example; background where its numbers break.

    Parameters
    ----------
    thrift
        The settings, which become smaller where memory runs out; the labels are the same.
    recipe
        The steps that they go through, thresholds left out: they go by a temperature, which a candidate has not yet.

    Raises
    ------
    Cancelled
        `cancelled` said so.
    """
    labels = thrift.made(lambda settings: _proposed(predictor, example, settings, cancelled))
    return postprocess(labels, example.spacing, recipe)


def _proposed(
    predictor: Predictor, example: Example, settings: PredictSettings, cancelled: Callable[[], bool]
) -> LabelArray:
    labels: LabelArray = np.zeros(example.shape, dtype=predictor.label_type)
    with suppress(NoNumbersError):  # nothing could be proposed there, which the scores are to show
        for report in predictor.predict(example.source, settings, cancelled):
            if isinstance(report, PredictedSlab):
                labels[report.start : report.stop] = report.labels
    return labels
