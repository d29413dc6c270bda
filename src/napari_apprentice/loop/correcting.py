"""Corrections into revisions."""

from pathlib import Path

import numpy as np

from napari_apprentice.core.correction import ACCEPTED, compare
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.records import Provenance, Revision
from napari_apprentice.core.volume import LabelArray, LabelMap
from napari_apprentice.errors import GeometryError, InputError
from napari_apprentice.loop.opening import OpenCase, as_shown
from napari_apprentice.scans.reader import read_label_map
from napari_apprentice.store.study import Study


def save_correction(study: Study, case: OpenCase, author: str) -> tuple[Revision, Revision | None]:
    """Store what a person did as a revision.

    Returns
    -------
    The new revision, and the one somebody else stored in the meantime (both survive) or None.
    """
    case_id = case.info.case_id
    newest = study.revisions.newest(case_id)
    conflict = newest if newest and newest.name != case.parent else None
    revision = study.revisions.save(case_id, case.canvas.labels, case.canvas.status, case.provenance(author))
    study.split.assign(case.info.subject)
    case.saved_as(revision.name)
    return revision, conflict


def import_correction(study: Study, case_id: str, path: Path, *, accept: str, author: str) -> Revision:
    """Store a label map made elsewhere as a revision, on the case's exact grid.

    Parameters
    ----------
    accept
        "all": every voxel is known, those that differ from the prediction as edited. "edited": only
        the differences are known. Without a prediction or an earlier revision there is nothing to
        differ from: "all" accepts everything.

    Raises
    ------
    GeometryError
        The label map lies on another grid.
    InputError
        It holds label ids that the study's schema does not have.
    """
    info = study.cases.info(case_id)
    labels = read_label_map(path)
    difference = info.geometry.difference(labels.geometry)
    if difference:
        raise GeometryError(f"{path.name} does not fit case {case_id}: {difference}. Nothing was stored.")
    check_fits(study.schema, labels, path.name)
    return store_label_map(study, case_id, labels.voxels, accept=accept, author=author, origin="import")


def store_label_map(
    study: Study, case_id: str, labels: LabelArray, *, accept: str, author: str, origin: str = "correction"
) -> Revision:
    """Store labels (z, y, x) as a revision against what the case showed before; see `import_correction`."""
    parent, model, shown = as_shown(study, case_id)
    if shown is not None:
        # What was known stays known, also where the newest model version happens to say the same.
        status = np.maximum(compare(shown.labels, labels, accept), shown.status)
    elif accept == "edited":
        raise InputError(f"Case {case_id} has no prediction to compare with; use --accept all.")
    else:
        status = np.full(labels.shape, ACCEPTED, np.uint8)
    provenance = Provenance(author, parent, model, origin=origin)
    revision = study.revisions.save(case_id, labels, status, provenance)
    study.split.assign(study.cases.info(case_id).subject)
    return revision


def check_fits(schema: LabelSchema, labels: LabelMap, name: str) -> None:
    """Refuse a label map with ids that are not in the schema."""
    strange = sorted(set(np.unique(labels.voxels).tolist()) - {0, *schema.ids})
    if strange:
        known = ", ".join(f"{x.id} {x.name}" for x in schema.labels)
        more = f" and {len(strange) - 8} more" if len(strange) > 8 else ""
        hint = " Objects numbered one by one must first all get their label's id." if len(strange) > 8 else ""
        raise InputError(
            f"{name} holds label {', '.join(map(str, strange[:8]))}{more}, which this study does not have "
            f"({known}).{hint}"
        )
