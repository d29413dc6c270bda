"""Two revisions of a case side by side, and an earlier one brought back."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.correction import StatusArray
from napari_apprentice.core.differences import KindArray, kinds_of
from napari_apprentice.core.records import Provenance, Revision
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import InputError
from napari_apprentice.loop.opening import OpenCase
from napari_apprentice.store.study import Study

RESTORE = "restore"
SHOWN = "what is on the screen"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Where two revisions of a case differ.

    Parameters
    ----------
    case_id, first, second
        The case; names of the revisions.
    pairs
        (label in the first, label in the second) to voxels, only where they differ; 0 is no label.
    differs
        (z, y, x) mask of the voxels whose label differs.
    kinds
        (z, y, x) uint8, how they differ; see `core.differences.kinds_of`.
    status_differs
        How many voxels have another status, whatever their label.
    """

    case_id: str
    first: str
    second: str
    pairs: dict[tuple[int, int], int]
    differs: NDArray[np.bool_]
    kinds: KindArray
    status_differs: int

    @property
    def voxels(self) -> int:
        """Voxels whose label differs."""
        return sum(self.pairs.values())


def compare_revisions(study: Study, case_id: str, first: str, second: str) -> Comparison:
    """Compare two revisions of a case, voxel by voxel.

    Raises
    ------
    InputError
        No such case or revision.
    StudyError
        One of them is damaged.
    """
    one, two = study.revisions.read(case_id, first), study.revisions.read(case_id, second)
    return comparison(case_id, (first, *one), (second, *two))


def compare_with_shown(study: Study, case: OpenCase, name: str) -> Comparison:
    """Compare a revision with what is on the screen, strokes that are in no revision included.

    Raises
    ------
    InputError, StudyError
        As `compare_revisions`.
    """
    shown = case.canvas.labels.copy(), case.canvas.status.copy()  # a person may go on painting meanwhile
    case_id = case.info.case_id
    return comparison(case_id, (name, *study.revisions.read(case_id, name)), (SHOWN, *shown))


def comparison(
    case_id: str, first: tuple[str, LabelArray, StatusArray], second: tuple[str, LabelArray, StatusArray]
) -> Comparison:
    """Compare two label maps (z, y, x) with their status, each under a name, also unsaved ones."""
    (one_name, one, one_status), (two_name, two, two_status) = first, second
    if one.shape != two.shape:
        raise InputError(f"Case {case_id}: {one_name} and {two_name} lie on different grids.")
    differs = one != two
    # Both ids fit 16 bits, so a pair is one number: counting them needs no table of all pairs.
    found, counts = np.unique(one[differs].astype(np.uint32) << 16 | two[differs], return_counts=True)
    pairs = {(int(p) >> 16, int(p) & 0xFFFF): int(n) for p, n in zip(found, counts, strict=True)}
    status_differs = int(np.count_nonzero(one_status != two_status))
    return Comparison(case_id, one_name, two_name, pairs, differs, kinds_of(one, two), status_differs)


def restore_revision(study: Study, case_id: str, name: str, author: str) -> Revision:
    """Store an earlier revision's labels and status again, as the case's newest revision.

    Nothing goes: the revisions in between stay, and the new one names the restored one as its parent.

    Raises
    ------
    InputError
        No such case or revision, it is the newest already, or the case has strokes in no revision yet.
    StudyError
        The revision is damaged.
    """
    if study.journal.started(case_id):
        raise InputError(f"Case {case_id} has strokes that are in no revision yet; save them first.")
    if name in study.revisions.names(case_id)[-1:]:
        raise InputError(f"{name} is the newest revision of case {case_id} already.")
    labels, status = study.revisions.read(case_id, name)
    model = study.revisions.info(case_id, name).provenance.model
    study.split.assign(study.cases.info(case_id).subject)
    return study.revisions.save(case_id, labels, status, Provenance(author, name, model, origin=RESTORE))
