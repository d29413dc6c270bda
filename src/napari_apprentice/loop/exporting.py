"""Label maps and uncertainty out, on the source's exact grid."""

from pathlib import Path

from napari_apprentice.errors import InputError, ModelError
from napari_apprentice.scans.writer import write_label_map, write_scalar
from napari_apprentice.store.study import Study

WHAT = ("corrected", "prediction", "uncertainty")


def export(study: Study, case_id: str, out: Path, what: str = "corrected", *, overwrite: bool = False) -> Path:
    """Write a case's newest revision, or the active model version's prediction, beside its scan.

    Raises
    ------
    InputError
        `what` is none of corrected, prediction, uncertainty; or there is nothing of the kind; or the
        file exists and `overwrite` is False.
    """
    info = study.cases.info(case_id)
    names = {x.id: x.name for x in study.schema.labels}
    if what == "corrected":
        newest = study.revisions.newest(case_id)
        if newest is None:
            raise InputError(f"Case {case_id} has no correction yet; --what prediction exports the prediction.")
        labels, _ = study.revisions.read(case_id, newest.name)
        write_label_map(out, labels, info.geometry, names, overwrite=overwrite)
        return out
    if what not in WHAT:
        raise InputError(f"--what takes {', '.join(WHAT)}, not {what!r}.")
    prediction = study.predictions.read(case_id, active_model(study))
    if what == "prediction":
        write_label_map(out, prediction.labels, info.geometry, names, overwrite=overwrite)
    else:
        write_scalar(out, prediction.uncertainty, info.geometry, overwrite=overwrite)
    return out


def active_model(study: Study) -> str:
    """Name of the active model version, or a ModelError that says how to get one."""
    active = study.models.active()
    if active is None:
        raise ModelError("This study has no model version yet: correct a few scans, then train the first one.")
    return active
