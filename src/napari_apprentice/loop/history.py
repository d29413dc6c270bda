"""Who changed what in a case, when, and which model versions learned from it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from napari_apprentice.core.baseline import planes_changed, voxels_changed
from napari_apprentice.core.records import Revision
from napari_apprentice.errors import StudyError
from napari_apprentice.store.documents import MALFORMED
from napari_apprentice.store.study import Study

DAMAGED = "damaged"


@dataclass(frozen=True)
class HistoryRow:
    """One revision, or the strokes that are in none yet.

    Parameters
    ----------
    case_id, subject
        Whose.
    revision
        rNNNN; "" for strokes that are in no revision yet.
    created
        When, UTC, ISO 8601; "" for strokes that are in no revision yet.
    author, origin, parent, model, strokes, seconds
        As in `core.records.Provenance`; the author of unsaved strokes is not known. Where the record cannot be read,
        `origin` is "damaged" and nothing but the names is known.
    accepted, edited
        Voxels with that status in the revision; of strokes, those whose label they changed, and that are not back to
        what they were, count as edited.
    changed
        Label name to voxels that the label gained or lost since the parent.
    learned, measured
        Model versions that learned from the revision, and those it was held out for.
    merged
        Revisions whose changes were taken into it beside those of the parent.
    digest
        SHA-256 over labels and status; "" for strokes that are in no revision yet.
    """

    case_id: str
    subject: str
    revision: str
    created: str
    author: str
    origin: str
    parent: str | None
    model: str | None
    strokes: int
    seconds: float
    accepted: int
    edited: int
    changed: Mapping[str, int]
    learned: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()
    digest: str = ""
    merged: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lessons:
    """Which model versions learned from a revision, or were measured on it; by case_id/rNNNN."""

    learned: Mapping[str, tuple[str, ...]]
    measured: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, study: Study) -> "Lessons":
        """Read the documents of all model versions once; what a damaged one learned from cannot be known."""
        learned: dict[str, tuple[str, ...]] = {}
        measured: dict[str, tuple[str, ...]] = {}
        for version in study.models.readable():
            for keys, place in ((version.revisions, learned), (version.held_out, measured)):
                for key in dict.fromkeys(keys):
                    place[key] = (*place.get(key, ()), version.name)
        return cls(learned, measured)


def case_history(study: Study, case_id: str, lessons: Lessons | None = None) -> tuple[HistoryRow, ...]:
    """Everything that happened to a case's labels, oldest first; reads no voxel of a revision.

    Parameters
    ----------
    lessons
        What `Lessons.of` found, where many cases are asked for.

    Raises
    ------
    InputError
        No such case.
    """
    lessons = lessons or Lessons.of(study)
    subject = _subject(study, case_id)
    rows: list[HistoryRow] = []
    try:
        rows += [_told(study, case_id, subject, name, lessons) for name in study.revisions.names(case_id)]
        rows += _unsaved(study, case_id, subject)
    except StudyError:
        rows.append(_damaged(case_id, subject))
    return tuple(rows)


def _subject(study: Study, case_id: str) -> str:
    try:
        return study.cases.info(case_id).subject
    except StudyError:  # who corrected a scan is told also where the scan is damaged
        return ""


def _told(study: Study, case_id: str, subject: str, name: str, lessons: Lessons) -> HistoryRow:
    try:
        return _saved(study, subject, study.revisions.info(case_id, name), lessons)
    except (StudyError, *MALFORMED):
        key = f"{case_id}/{name}"
        found = _damaged(case_id, subject, name)
        return replace(found, learned=lessons.learned.get(key, ()), measured=lessons.measured.get(key, ()))


def _damaged(case_id: str, subject: str, revision: str = "") -> HistoryRow:
    return HistoryRow(case_id, subject, revision, "", "", DAMAGED, None, None, 0, 0.0, 0, 0, {})


def _saved(study: Study, subject: str, revision: Revision, lessons: Lessons) -> HistoryRow:
    made = revision.provenance
    return HistoryRow(
        revision.case_id, subject, revision.name, revision.created,
        made.author, made.origin, made.parent, made.model, made.strokes, made.seconds,
        revision.voxels_accepted, revision.voxels_edited, _by_name(study, made.voxels_changed),
        lessons.learned.get(revision.key, ()), lessons.measured.get(revision.key, ()), revision.digest,
        made.merged,
    )  # fmt: skip


def _unsaved(study: Study, case_id: str, subject: str) -> tuple[HistoryRow, ...]:
    journal = study.journal.read(case_id)
    if journal is None or not journal.strokes:
        return ()
    planes = list(planes_changed(journal.strokes))
    changed = {str(label): count for label, count in voxels_changed(planes).items()}
    seconds = round(sum(s.seconds for s in journal.strokes), 1)
    edited = sum(int(np.count_nonzero(before != after)) for before, after in planes)
    row = HistoryRow(
        case_id, subject, "", "", "", "strokes", journal.parent, journal.model, len(journal.strokes), seconds,
        0, edited, _by_name(study, changed),
    )  # fmt: skip
    return (row,)


def _by_name(study: Study, counts: Mapping[str, int]) -> dict[str, int]:
    return {study.label_name(int(label)): count for label, count in counts.items()}
