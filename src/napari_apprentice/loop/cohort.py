"""Predict a cohort: what is there already is skipped, what fails is told, and the rest goes on."""

from collections.abc import Generator, Sequence
from contextlib import suppress

from napari_apprentice.core.cohort import CaseDone, CohortReport, CohortSettings, Outcome, same_settings
from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.postprocess import PostRecipe
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.words import counted
from napari_apprentice.errors import InputError, StorageError, StudyError
from napari_apprentice.loop.channel_order import prediction_notes
from napari_apprentice.loop.cohort_cluster import predict_there
from napari_apprentice.loop.cohort_local import places, predict_here
from napari_apprentice.loop.ensembles import settled
from napari_apprentice.loop.exporting import active_model
from napari_apprentice.store.documents import MALFORMED
from napari_apprentice.store.postprocess import read_recipe
from napari_apprentice.store.study import Study
from napari_apprentice.store.unprocessed import recipe_of


def predict_cohort(
    study: Study, case_ids: Sequence[str], settings: PredictSettings, cohort: CohortSettings, model: str | None = None
) -> Generator[Progress, None, CohortReport]:
    """Let a model version (by default the active one) predict cases, on this computer or on a cluster.

    Yields a `CaseDone` for each case that ends. The generator may be closed at any time; started again it
    goes on with what is left.

    Raises
    ------
    InputError, ModelError
        There is no such case, model version or device, or model versions that cannot predict together, or workers
        are asked for here and on a cluster; nothing was started.
    RunError
        The cluster's scheduler does not answer.
    """
    if cohort.scheduler and (cohort.workers or cohort.devices):
        raise InputError(
            "A cluster has workers and devices of its own: leave --workers and --devices out, or --scheduler."
        )
    version = model or active_model(study)
    settings = settled(study, version, settings)
    for case_id in case_ids:
        with suppress(StudyError, StorageError):  # damaged or unreadable: that is the case's own outcome
            study.cases.info(case_id)
    recipe = read_recipe(study)
    names = tuple(dict.fromkeys(case_ids))
    skipped = () if cohort.again else tuple(c for c in names if is_predicted(study, c, version, settings, recipe))
    todo = [c for c in names if c not in set(skipped)]
    done: list[Outcome] = []
    notes = prediction_notes(study, version, names)
    if todo:
        started = f"Starting to predict {counted(len(todo), 'case')}; the libraries and the network are loaded first"
        for text in (*notes, started):
            yield Progress(0, len(todo), text)
        yield from _predict(study, todo, settings, cohort, version, done)
    good, bad = (tuple(o for o in done if bool(o.error) == failed) for failed in (False, True))
    return CohortReport(version, good, bad, skipped, notes)


def is_predicted(study: Study, case_id: str, model: str, settings: PredictSettings, recipe: PostRecipe) -> bool:
    """Whether a model version predicted a case with these settings and steps; reads no voxel."""
    try:
        if not study.predictions.has(case_id, model):
            return False
        made = study.predictions.record(case_id, model)["made"]
        plan = study.models.info(model).plan
        weights = study.models.digests(model, *settings.members)
        asked = made.get("labels", list(plan.labels)) == list(plan.only(study.schema.ids).labels)
        asked = asked and made.get("weights", weights) == weights  # a name may have been given anew
        return asked and same_settings(made["settings"], settings) and recipe_of(study, case_id, model) == recipe
    except (StudyError, StorageError, *MALFORMED):  # damaged, unreadable, or from before this was written down
        return False


def _predict(
    study: Study, todo: Sequence[str], settings: PredictSettings, cohort: CohortSettings, model: str,
    done: list[Outcome],
) -> Generator[Progress, None, None]:  # fmt: skip
    news: Generator[str | Outcome | Progress, None, None]
    if cohort.scheduler:
        news = predict_there(study, todo, settings, model, cohort.scheduler)
    else:
        news = predict_here(study, todo, settings, model, places(cohort, settings))
    try:
        for said in news:
            if isinstance(said, Progress):
                yield said
            elif isinstance(said, Outcome):
                done.append(said)
                yield CaseDone(len(done), len(todo), said.line, case_id=said.case_id, outcome=said)
            else:
                yield Progress(len(done), len(todo), f"Predicting {said}", case_id=said)
    finally:
        news.close()
