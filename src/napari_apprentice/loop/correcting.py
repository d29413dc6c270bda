"""Corrections into revisions."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.baseline import voxels_changed
from napari_apprentice.core.correction import ACCEPTED, UNSEEN, compare
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.records import Provenance, Revision
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import GeometryError, InputError
from napari_apprentice.loop.label_import import refuse_masks
from napari_apprentice.loop.label_matching import IGNORE, match_labels
from napari_apprentice.loop.opening import OpenCase
from napari_apprentice.loop.shown import as_shown, base_of
from napari_apprentice.scans.fitting import fit
from napari_apprentice.scans.reader import read_label_map
from napari_apprentice.scans.segments.belonging import refuse_foreign
from napari_apprentice.store.names import revision_number
from napari_apprentice.store.study import Study


def save_correction(
    study: Study, case: OpenCase, author: str, merged: str | None = None
) -> tuple[Revision, Revision | None]:
    """Store what a person did as a revision; `merged` is one that its differences were settled with.

    Returns
    -------
    The new revision, and the one somebody else stored in the meantime (both survive) or None.
    """
    case_id = case.info.case_id
    case.settle()  # the revision makes the journal superfluous, so a failure there is none here
    parent = case.parent
    study.split.assign(case.info.subject)  # first: what fails after the revision is stored would store it twice
    canvas, provenance = case.canvas, case.provenance(author, merged)
    revision = study.revisions.save(case_id, canvas.labels, canvas.status, provenance, case.schema)
    conflict = _saved_meanwhile(study, case_id, parent, revision)
    case.saved_as(revision.name)
    study.refresh()
    return revision, conflict


def _saved_meanwhile(study: Study, case_id: str, parent: str | None, mine: Revision) -> Revision | None:
    """The newest revision between the parent and mine; asked afterwards, so that of two at once the second knows."""
    first, last = revision_number(parent) if parent else 0, revision_number(mine.name)
    between = [n for n in study.revisions.names(case_id) if first < revision_number(n) < last]
    return study.revisions.info(case_id, between[-1]) if between else None


@dataclass(frozen=True, eq=False)
class Imported:
    """A label map that came in: the revision it became, and sentences about what was decided on the way."""

    revision: Revision
    notes: tuple[str, ...] = ()


def import_correction(
    study: Study,
    case_id: str,
    path: Path,
    *,
    accept: str,
    author: str,
    resample: bool = False,
    settings: ReadSettings | None = None,
) -> Imported:
    """Store a label map made elsewhere as a revision, on the case's exact grid.

    It may be of any format that is read, DICOM SEG and RT Structure Set too. Its labels are the study's by
    name, else by id; see `loop.label_matching`.

    Parameters
    ----------
    accept
        "all": every voxel is known, those that differ from the prediction as edited. "edited": only
        the differences are known. Without a prediction or an earlier revision there is nothing to
        differ from: "all" accepts everything.
    resample
        Whether the nearest label may be sampled where the grids differ; see `scans.fitting.fit`.
    settings
        Answers to what the file leaves open.

    Raises
    ------
    ChoiceError
        The file can be read in several ways, for example overlapping segments, or has names for its labels
        that the study lacks; or it says that it is of another person or scan.
    GeometryError
        The label map lies on another grid.
    InputError
        It holds labels that the study's schema does not have.
    """
    settings = settings or ReadSettings()
    geometry = study.cases.info(case_id).geometry
    _refuse_incomparable(study, case_id, accept)
    doubt = refuse_foreign(path, study.cases.record(case_id).get("acquisition", {}), settings)
    refuse_masks(study.schema, path, settings)
    unknown = {IGNORE} - {*study.schema.ids}
    try:
        labels = fit(read_label_map(path, settings, geometry, unknown), geometry, path.name, resample=resample)
    except GeometryError as error:
        raise GeometryError(f"{error} Nothing was stored in case {case_id}.") from error
    matched = match_labels(study.schema, labels, path.name, settings.match)
    revision = store_label_map(
        study, case_id, matched.voxels, accept=accept, author=author, origin="import", ignored=matched.ignored
    )
    other = _saved_meanwhile(study, case_id, revision.provenance.parent, revision)
    told = f"{other.provenance.author} saved {other.key} in the meantime. Both are kept." if other else ""
    return Imported(revision, (*([doubt] if doubt else []), *matched.notes, *([told] if told else [])))


def store_label_map(
    study: Study,
    case_id: str,
    labels: LabelArray,
    *,
    accept: str,
    author: str,
    origin: str = "correction",
    ignored: NDArray[np.bool_] | None = None,
) -> Revision:
    """Store labels (z, y, x) as a revision against what the case showed before; see `import_correction`.

    Voxels of the mask `ignored` keep the label and the status that they had.
    """
    _refuse_incomparable(study, case_id, accept)
    parent, model, shown = as_shown(study, case_id)
    if shown is not None:
        # What was known stays known, also where the newest model version happens to say the same.
        status = np.maximum(compare(shown.labels, labels, accept), shown.status)
    else:
        status = np.full(labels.shape, ACCEPTED, np.uint8)
    if ignored is not None:
        labels = np.where(ignored, shown.labels if shown else np.zeros(1, labels.dtype), labels)
        status[ignored] = shown.status[ignored] if shown else UNSEEN
    changed = voxels_changed(zip(shown.labels, labels, strict=True)) if shown is not None else {}
    by_label = {str(label): count for label, count in changed.items()}
    provenance = Provenance(author, parent, model, voxels_changed=by_label, origin=origin)
    study.split.assign(study.cases.info(case_id).subject)
    return study.revisions.save(case_id, labels, status, provenance)


def _refuse_incomparable(study: Study, case_id: str, accept: str) -> None:
    if accept == "edited" and base_of(study, case_id) == (None, None):
        raise InputError(f"Case {case_id} has no prediction to compare with; use --accept all.")
