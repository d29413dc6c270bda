"""Two revisions that were made at the same time become one again."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from napari_apprentice.core.correction import Canvas, Stroke
from napari_apprentice.core.differences import Place, Places, places_of
from napari_apprentice.core.merging import CONFLICT, MINE, ONLY_MINE, ONLY_THEIRS, THEIRS, Merge
from napari_apprentice.core.records import Revision
from napari_apprentice.errors import InputError
from napari_apprentice.loop.opening import MERGE, OpenCase
from napari_apprentice.store.study import Study

UNTOUCHED = "untouched"
_ALL = {
    MINE: (MINE, (ONLY_MINE, ONLY_THEIRS, CONFLICT)),
    THEIRS: (THEIRS, (ONLY_MINE, ONLY_THEIRS, CONFLICT)),
    UNTOUCHED: (THEIRS, (ONLY_THEIRS,)),
}


@dataclass(frozen=True, eq=False)
class Merging:
    """The open case beside a revision that somebody else stored meanwhile.

    Parameters
    ----------
    case_id
        The open case.
    mine
        The revision it stands on; None for a case that was never saved.
    theirs
        The other revision.
    base
        The revision that both began with; None where there is none.
    merge
        Who changed what.
    places
        Where the labels differ, by the kinds of `core.merging`, the largest first.
    """

    case_id: str
    mine: str | None
    theirs: Revision
    base: str | None
    merge: Merge
    places: Places


def begin_merge(study: Study, case: OpenCase, name: str) -> Merging:
    """Find out where the open case and a revision differ, and who decided what since their common ancestor.

    Raises
    ------
    InputError
        No such revision, or what is open goes back to it already.
    StudyError
        One of the revisions is damaged.
    """
    case_id = case.info.case_id
    theirs = study.revisions.info(case_id, name)
    mine = Canvas(case.canvas.labels.copy(), case.canvas.status.copy())
    base = common_ancestor(study, case_id, case.parent, name)
    if base == name:
        raise InputError(f"Everything in {name} is a part of what is open already; there is nothing to merge.")
    before = Canvas(*study.revisions.read(case_id, base)) if base else None
    merge = Merge.of(before, mine, Canvas(*study.revisions.read(case_id, name)))
    return Merging(case_id, case.parent, theirs, base, merge, places_of(merge.kinds))


def take_place(case: OpenCase, merging: Merging, place: Place, whose: str) -> bool:
    """Put "mine" or "theirs" at one place, as a stroke that can be undone; false when it was there already."""
    return _draw(case, merging, merging.merge.taking(case.canvas, whose, place.box, place.mask))


def take_all(case: OpenCase, merging: Merging, whose: str) -> bool:
    """Put "mine" or "theirs" everywhere, or theirs where I did nothing ("untouched"), as one stroke."""
    side, kinds = _ALL[whose]
    return _draw(case, merging, merging.merge.taking_all(case.canvas, side, kinds))


def _draw(case: OpenCase, merging: Merging, stroke: Stroke | None) -> bool:
    if case.info.case_id != merging.case_id:
        raise InputError(f"Case {merging.case_id} is not open any more; open it to go on merging.")
    if stroke is None:
        return False
    case.draw(replace(stroke, tool=f"{MERGE} {merging.theirs.name}"))
    return True


def common_ancestor(study: Study, case_id: str, one: str | None, two: str | None) -> str | None:
    """The newest revision that both go back to, through parents and merged revisions; itself counts; None if none."""
    theirs = set(_ancestors(study, case_id, two))
    shared = [name for name in _ancestors(study, case_id, one) if name in theirs]
    return max(shared, key=lambda name: (len(name), name), default=None)


def _ancestors(study: Study, case_id: str, name: str | None) -> Iterator[str]:
    there = set(study.revisions.names(case_id))
    waiting: list[str | None] = [name]
    seen: set[str] = set()
    while waiting:
        current = waiting.pop()
        if current is None or current in seen or current not in there:
            continue
        seen.add(current)
        yield current
        made = study.revisions.info(case_id, current).provenance
        waiting += [made.parent, *made.merged]
