"""Predictions before and after post-processing: what the network said is kept where steps changed it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_apprentice.core.postprocess import PostRecipe
from napari_apprentice.core.postprocess_steps import postprocess
from napari_apprentice.core.slabs import PredictedSlab
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import StudyError
from napari_apprentice.store.arrays import digest, read_array
from napari_apprentice.store.prediction_writer import UNPROCESSED, UNPROCESSED_DIGEST, PredictionWriter
from napari_apprentice.store.study import Study

MADE_KEY = "postprocess"
"""Under which a prediction's `made` has the recipe that it went through."""
_QUALITY = "unprocessed_quality"


def read_unprocessed(study: Study, case_id: str, model: str) -> LabelArray:
    """The label map (z, y, x) as the network made it, with labels that the study does not have any more.

    Raises
    ------
    InputError
        No such case, or no prediction of it by this model version.
    StudyError
        What is stored is not what was written.
    """
    expected = study.predictions.record(case_id, model).get(UNPROCESSED_DIGEST)
    if expected is None:
        return study.predictions.read_stored(case_id, model).labels
    folder = study.cases.folder(case_id) / "predictions" / model
    labels = read_array(folder / UNPROCESSED, study.vault.at(case_id, "predictions", model, UNPROCESSED))
    if digest(labels) != expected:
        raise StudyError(f"The prediction of {case_id} by {model} is damaged; predict it again.")
    return labels


def finish(
    writer: PredictionWriter, spacing: tuple[float, float, float], recipe: PostRecipe, quality: Mapping[int, float]
) -> tuple[dict[int, float], dict[str, Any]]:
    """Do a recipe's steps on a prediction whose slabs are all written, before it is committed.

    Returns
    -------
    The quality of the labels that are still there, and what belongs into the prediction's `made`.
    """
    if not recipe:
        return dict(quality), {}
    labels = writer.labels()
    after = postprocess(labels, spacing, recipe)
    if not np.array_equal(after, labels):
        writer.replace_labels(after)
    left = {i: q for i, q in quality.items() if i not in recipe.steps or (after == i).any()}
    made: dict[str, Any] = {MADE_KEY: recipe.to_json()}
    if left != dict(quality):
        made[_QUALITY] = {str(i): float(q) for i, q in quality.items()}
    return left, made


def process_again(study: Study, case_id: str, model: str, recipe: PostRecipe) -> bool:
    """Put a stored prediction through another recipe, from what the network said; nothing is predicted.

    What is stored has no probabilities, so a threshold stays as it was when the case was predicted.

    Returns
    -------
    False when it went through these steps already.

    Raises
    ------
    InputError, StudyError
        As `read_unprocessed`.
    StorageError
        The disk is full, gone or read-only; the prediction is as before.
    """
    before = recipe_of(study, case_id, model)
    recipe = recipe.with_thresholds_of(before)
    if recipe == before:
        return False
    info, now = study.cases.info(case_id), study.predictions.read_stored(case_id, model)
    labels = read_unprocessed(study, case_id, model)
    with study.predictions.begin(case_id, model, labels.dtype) as writer:
        writer.write_slab(PredictedSlab(0, info.shape[0], labels, now.uncertainty))
        first = {int(i): float(q) for i, q in now.made.get(_QUALITY, now.quality).items()}
        quality, more = finish(writer, info.spacing, recipe, first)
        made = {k: v for k, v in now.made.items() if k not in (MADE_KEY, _QUALITY)}
        made_anew = study.predictions.digest(case_id, model) != now.digest  # by another process, since it was read
        if not made_anew:
            writer.commit(quality, now.seconds, now.device, {**made, **more})
    return process_again(study, case_id, model, recipe) if made_anew else True


def recipe_of(study: Study, case_id: str, model: str) -> PostRecipe:
    """The recipe that a stored prediction went through; empty for one from before there were any."""
    made = study.predictions.record(case_id, model).get("made", {})
    return PostRecipe.from_json(made.get(MADE_KEY, {}))
