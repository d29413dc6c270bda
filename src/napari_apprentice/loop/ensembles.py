"""Which model versions predict together: settled before anything is started, and written into the settings."""

from dataclasses import replace

from napari_apprentice.core.config import ALONE, PredictSettings
from napari_apprentice.core.ensemble import folds_beside, unlike, unlike_orders
from napari_apprentice.errors import InputError
from napari_apprentice.store.study import Study


def settled(study: Study, model: str, settings: PredictSettings) -> PredictSettings:
    """The settings, naming every model version that predicts together with `model`.

    Settling what is settled already changes nothing.

    Raises
    ------
    ModelError
        There is no such model version.
    InputError
        Two of them see scans in different ways, or know other labels.
    """
    asked = settings.members
    if not asked and not settings.ensemble.strip() and settings.quality == "best":
        folds = folds_beside(study.models.info(model), study.models.readable())
        return replace(settings, ensemble=",".join(folds))
    others = sorted(set(asked) - {model})
    ids = study.schema.ids
    first = study.models.info(model)
    for name in others:
        other = study.models.info(name)
        differs = unlike(first.plan.only(ids), other.plan.only(ids)) or unlike_orders(first, other)
        if differs:
            raise InputError(
                f"{model} and {name} cannot predict together: they differ in {differs}. Choose model versions that "
                "were tuned from the same one, or folds of one model."
            )
    alone = ALONE if settings.ensemble.strip() else ""
    return replace(settings, ensemble=",".join(others) or alone)
