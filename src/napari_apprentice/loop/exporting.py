"""Label maps and uncertainty out, on the source's exact grid."""

from pathlib import Path

import numpy as np

from napari_apprentice.core.correction import UNSEEN
from napari_apprentice.core.records import Prediction
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import InputError, ModelError
from napari_apprentice.loop.label_matching import IGNORE
from napari_apprentice.loop.shown import is_by
from napari_apprentice.scans.segments.seg_writer import SegOrigin, write_seg
from napari_apprentice.scans.writer import write_label_map, write_scalar
from napari_apprentice.store.study import Study

WHAT = ("corrected", "prediction", "uncertainty")
SEG = ".dcm"


def export(
    study: Study,
    case_id: str,
    out: Path,
    what: str = "corrected",
    *,
    overwrite: bool = False,
    source: Path | None = None,
    series: str = "",
    unseen: int | None = None,
) -> Path:
    """Write a case's newest revision, or the active model version's prediction, beside its scan.

    Parameters
    ----------
    out
        Its suffix chooses the format; .dcm is a DICOM Segmentation, of label maps only.
    source, series
        For a DICOM Segmentation: the folder of the DICOM series that the case came from, because a study
        keeps no identifiers; and which of several series in it on the case's grid, by number or UID.
    unseen
        Label id that voxels get which nobody has looked at, of corrected labels only; None leaves there what was
        proposed.

    Raises
    ------
    ChoiceError
        Several series in `source` lie on the case's grid, or one of other files than the case came from.
    GeometryError
        No series in `source` lies on the case's grid.
    InputError
        `what` is none of corrected, prediction, uncertainty; or there is nothing of the kind; or the
        file exists and `overwrite` is False; or it is a part of the study; or `source` is missing or not needed; or
        `unseen` is a label of the study, or not needed.
    """
    if what not in WHAT:
        raise InputError(f"--what takes {', '.join(WHAT)}, not {what!r}.")
    _check_source(out, what, source)
    if unseen is not None:
        _check_unseen(study, out, what, unseen)
    study.refuse_inside(out)
    info = study.cases.info(case_id)
    if what == "uncertainty":
        prediction = _prediction(study, case_id, active_model(study))
        write_scalar(out, prediction.uncertainty, info.geometry, overwrite=overwrite)
        return out
    labels, origin = _corrected(study, case_id, unseen) if what == "corrected" else _predicted(study, case_id)
    names = {x.id: x.name for x in study.schema.labels}
    colours = {x.id: x.colour for x in study.schema.labels}
    if source is None:
        write_label_map(out, labels, info.geometry, names, colours, overwrite=overwrite)
    else:
        write_seg(
            out, labels, info.geometry, source, names=names, colours=colours, origin=origin,
            digests=study.cases.scan_digests(case_id), series=series, overwrite=overwrite,
        )  # fmt: skip
    return out


def active_model(study: Study) -> str:
    """Name of the active model version, or a ModelError that says how to get one."""
    active = study.models.active()
    if active is None:
        if study.models.names():
            raise ModelError("No model version of this study is active: activate one by its name, or train one anew.")
        raise ModelError("This study has no model version yet: correct a few scans, then train the first one.")
    return active


def _check_source(out: Path, what: str, source: Path | None) -> None:
    is_seg = out.suffix.lower() == SEG
    if is_seg and what == "uncertainty":
        raise InputError(f"{out.name}: DICOM Segmentations hold label maps; write uncertainty as .nii.gz.")
    if is_seg and source is None:
        raise InputError(
            f"{out.name}: a DICOM Segmentation refers to the slices it was drawn on; name the folder of the case's "
            "DICOM series with --source."
        )
    if source is not None and not is_seg:
        raise InputError(f"{out.name}: --source goes with a DICOM Segmentation, a file that ends in {SEG}.")


def _check_unseen(study: Study, out: Path, what: str, unseen: int) -> None:
    if what != "corrected":
        raise InputError("--unseen goes with --what corrected: a prediction says something about every voxel.")
    if out.suffix.lower() == SEG:
        raise InputError(f"{out.name}: DICOM Segmentations have no place for unseen voxels; write .nii.gz or .nrrd.")
    if unseen in _taken(study) or not 1 <= unseen <= 65535:
        raise InputError(
            f"--unseen takes a number from 1 to 65535 that is no label of the study and was none, not {unseen}."
        )


def free_id(study: Study) -> int:
    """A label id for unseen voxels: 255, which others take for unknown, or where that is taken the next free one."""
    taken = _taken(study)
    return IGNORE if IGNORE not in taken else max(taken) + 1


def _taken(study: Study) -> set[int]:
    """Ids of labels, and of those that earlier revisions may still hold."""
    return {*study.schema.ids, *(label.id for label in study.retired)}


def _corrected(study: Study, case_id: str, unseen: int | None) -> tuple[LabelArray, SegOrigin]:
    newest = study.revisions.newest(case_id)
    if newest is None:
        raise InputError(f"Case {case_id} has no correction yet; --what prediction exports the prediction.")
    labels, status = study.revisions.read(case_id, newest.name)
    if unseen is not None:
        kind = np.promote_types(labels.dtype, np.min_scalar_type(unseen))  # a byte has no room for 300
        labels = np.where(status == UNSEEN, kind.type(unseen), labels.astype(kind))
    author, parent, model = newest.provenance.author, newest.provenance.parent, newest.provenance.model
    while model is None and parent is not None:  # what a model version once proposed stays in later revisions
        earlier = study.revisions.info(case_id, parent).provenance
        parent, model = earlier.parent, earlier.model
    return labels, SegOrigin("SEMIAUTOMATIC" if model else "MANUAL", model or "", author)


def _predicted(study: Study, case_id: str) -> tuple[LabelArray, SegOrigin]:
    model = active_model(study)
    return _prediction(study, case_id, model).labels, SegOrigin("AUTOMATIC", model)


def _prediction(study: Study, case_id: str, model: str) -> Prediction:
    if study.predictions.has(case_id, model) and not is_by(study, case_id, model):
        raise InputError(f"{case_id} was predicted by another model version that was called {model}; predict it again.")
    return study.predictions.read(case_id, model)
