"""The prediction verb of the parent process."""

from collections.abc import Generator, Sequence

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.progress import Progress
from napari_apprentice.loop.exporting import active_model
from napari_apprentice.loop.launch import Engine, follow
from napari_apprentice.store.study import Study


def predict(
    study: Study, engine: Engine, case_ids: Sequence[str], settings: PredictSettings, model: str | None = None
) -> Generator[Progress, None, tuple[str, ...]]:
    """Let a model version (by default the active one) propose label maps for cases.

    The generator may be closed at any time: the child is then asked to stop after its window.

    Returns
    -------
    The cases predicted.
    """
    version = model or active_model(study)
    study.models.info(version)  # refuses an unknown name before a process is started
    for case_id in case_ids:
        study.cases.info(case_id)
    run = study.runs.create(
        "predict",
        {"model": version, "cases": list(case_ids), "settings": settings.to_json()},
    )
    finished = False
    try:
        result = yield from follow(run, engine.submit(run))
        finished = True
    finally:
        if not finished:
            run.cancel()
    return tuple(result["cases"])
