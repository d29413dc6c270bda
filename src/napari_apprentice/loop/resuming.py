"""Where a case was left: in the study's journal, in a rescue journal, or in both."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from napari_apprentice.core.correction import Canvas, Stroke
from napari_apprentice.core.records import CaseInfo, Provenance
from napari_apprentice.errors import ApprenticeError, StorageError
from napari_apprentice.loop.shown import base_of, ground_of
from napari_apprentice.store.arrays import digest
from napari_apprentice.store.journal_content import JournalContent
from napari_apprentice.store.record_walk import label_type
from napari_apprentice.store.rescue import RescueJournal, Rescues
from napari_apprentice.store.study import Study

_ARRAYS = ("labels_before", "labels_after", "status_before", "status_after")


@dataclass(frozen=True, eq=False)
class Resumed:
    """What a case goes on from.

    Parameters
    ----------
    parent, model
        Revision and model version's prediction that the strokes were drawn on.
    strokes
        Since then, oldest first.
    stored
        How many of them are in the study's journal.
    journal
        That journal; None when there is none to go on with.
    rescued
        A rescue journal that holds all of the strokes, and more than the study does.
    notes
        Sentences for the person.
    work
        Whose strokes they are; "" when nothing says so.
    base
        Digest of the prediction that they were drawn on; "" when nothing says so.
    schema
        Ids of the labels there were when the first was drawn; None when nothing says so.
    """

    parent: str | None
    model: str | None
    strokes: Sequence[Stroke] = ()
    stored: int = 0
    journal: JournalContent | None = None
    rescued: RescueJournal | None = None
    notes: tuple[str, ...] = ()
    work: str = ""
    base: str = ""
    schema: tuple[int, ...] | None = None


def resume(study: Study, info: CaseInfo, rescues: Rescues | None, *, apart: bool = False) -> Resumed:
    """Find every stroke of a case that is in no revision yet.

    A rescue journal that goes on where the study's journal ends is gone on with. One that the study
    knows already is removed. One that fits neither becomes a revision of its own.

    Parameters
    ----------
    apart
        Whether the study's journal belongs to somebody who has the case open now.
    """
    found = _from_study(study, info, apart=apart)
    for journal in _waiting(study, info, rescues):
        found = _with_rescued(study, info, found, journal)
    return found


def _waiting(study: Study, info: CaseInfo, rescues: Rescues | None) -> tuple[RescueJournal, ...]:
    return rescues.take(study.path, info.case_id, study.vault, study.study_id) if rescues else ()


def _from_study(study: Study, info: CaseInfo, *, apart: bool) -> Resumed:
    content = None if apart else study.journal.read(info.case_id)
    if content is None or not content.strokes or _closed(study, info, content):
        return Resumed(*base_of(study, info.case_id))
    return Resumed(
        content.parent, content.model, content.strokes, len(content.strokes), content,
        work=content.work, base=content.base, schema=content.schema,
    )  # fmt: skip


def _closed(study: Study, info: CaseInfo, content: JournalContent) -> bool:
    """Whether a journal's strokes are in a revision: a crash came between storing that and ending the journal."""
    if content.damaged or study.refusal:
        return False
    revision = _saved_as(study, info, content)
    if revision is None:
        return False
    journal = study.journal.another()
    journal.adopt(info.case_id, content)  # one that was begun since then is left alone
    journal.archive(info.case_id, revision, content.parent, content.model, content.strokes)
    return True


def _with_rescued(study: Study, info: CaseInfo, found: Resumed, journal: RescueJournal) -> Resumed:
    same_base = journal.parent == found.parent and (journal.model == found.model or not found.strokes)
    same_work = not (found.work and journal.work) or found.work == journal.work
    common = min(len(journal.strokes), len(found.strokes))
    if not same_base or not same_work or not _equal(journal.strokes[:common], found.strokes[:common]):
        return replace(found, notes=(*found.notes, _as_revision(study, info, journal)))
    if len(journal.strokes) == common:
        journal.remove()
        return found
    if found.rescued is not None:
        found.rescued.remove()  # a beginning of this one
    if not study.refusal and (known := _saved_as(study, info, journal)):
        return _after(study, info, found, journal, known)
    count = len(journal.strokes) - found.stored
    note = f"{count} strokes of {info.case_id} that the study could not take before were brought back."
    return replace(
        found, model=journal.model, strokes=journal.strokes, rescued=journal, notes=(*found.notes, note),
        work=found.work or journal.work, base=found.base or journal.base, schema=found.schema or journal.schema,
    )  # fmt: skip


def _after(study: Study, info: CaseInfo, found: Resumed, journal: RescueJournal, known: str) -> Resumed:
    """Go on from a revision that holds what was rescued: a crash came before its journals were ended."""
    _archive(study, info.case_id, known, journal)
    if found.journal is not None:
        begun = study.journal.another()
        begun.adopt(info.case_id, found.journal)
        begun.close(info.case_id)
    journal.remove()
    return Resumed(*base_of(study, info.case_id), notes=found.notes)


def _as_revision(study: Study, info: CaseInfo, journal: RescueJournal) -> str:
    """Store what was rescued beside what was saved in the meantime; the sentence that says so."""
    case_id = info.case_id
    begin = f"{len(journal.strokes)} strokes of {case_id} that the study could not take before"
    try:
        known = _saved_as(study, info, journal)
        if known is not None:
            _archive(study, case_id, known, journal)
            journal.remove()
            return f"{begin} are in one of its revisions already."
        newest = study.revisions.newest(case_id)
        canvas, gone = _replayed(study, info, journal)
        seconds = round(sum(stroke.seconds for stroke in journal.strokes), 1)
        provenance = Provenance(
            journal.author, journal.parent, journal.model, seconds, len(journal.strokes), origin="rescue"
        )
        study.split.assign(info.subject)
        revision = study.revisions.save(case_id, canvas.labels, canvas.status, provenance, journal.schema)
        _archive(study, case_id, revision.name, journal)
    except ApprenticeError as error:
        journal.release()
        return f"{begin} stay in the rescue journal on this computer for now. {error}"
    journal.remove()
    other = f"{newest.provenance.author} saved {newest.name}" if newest else "the case was corrected"
    also = f" {gone}" if gone else ""
    return f"{begin} are stored as revision {revision.name}, because {other} in the meantime. Both are kept.{also}"


def _archive(study: Study, case_id: str, revision: str, journal: RescueJournal) -> None:
    if revision not in study.journal.archives(case_id):
        with suppress(StorageError):  # undo will not reach behind the revision; nothing else is lost
            study.journal.another().archive(case_id, revision, journal.parent, journal.model, journal.strokes)


def _saved_as(study: Study, info: CaseInfo, drawn: JournalContent | RescueJournal) -> str | None:
    """The revision that holds just what strokes on a parent lead to; None when there is none."""
    after = [study.revisions.info(info.case_id, name) for name in study.revisions.names(info.case_id)]
    made = [(r, r.provenance) for r in after]
    same = [r for r, by in made if (by.parent, by.strokes) == (drawn.parent, len(drawn.strokes))]
    if not same:
        return None
    canvas, _ = _replayed(study, info, drawn)
    found = digest(canvas.labels, canvas.status)
    return next((revision.name for revision in same if revision.digest == found), None)


def _replayed(study: Study, info: CaseInfo, drawn: JournalContent | RescueJournal) -> tuple[Canvas, str]:
    """What strokes lead to, and a sentence where what was accepted is not known any more."""
    ground = ground_of(study, info, drawn.parent, drawn.model, drawn.base, label_type(drawn.strokes))
    for stroke in drawn.strokes:
        ground.canvas.apply(stroke)
    return ground.canvas, ground.without_lost(drawn.strokes)


def _equal(ours: Sequence[Stroke], theirs: Sequence[Stroke]) -> bool:
    return all(_same(a, b) for a, b in zip(ours, theirs, strict=True))


def _same(a: Stroke, b: Stroke) -> bool:
    facts = (a.start, a.tool, a.seconds) == (b.start, b.tool, b.seconds)
    return facts and all(np.array_equal(np.asarray(getattr(a, n)), np.asarray(getattr(b, n))) for n in _ARRAYS)
