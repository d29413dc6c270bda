"""Mends by rule what can be mended in a study, and says what it did.

A revision, a scan and a whole journal are never deleted. What is taken out of its place (the end of a
journal, a damaged prediction) goes to the study's folder `repaired`, under the time of the repair.
"""

import json
import os
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path

from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import now
from napari_apprentice.errors import ApprenticeError, InputError, StorageError, StudyError
from napari_apprentice.store.check_case import damaged_archives
from napari_apprentice.store.file_lock import one_at_a_time
from napari_apprentice.store.files import clock_of, remove_quietly, storage_errors, write_durably
from napari_apprentice.store.finding import Finding
from napari_apprentice.store.journal import FILE
from napari_apprentice.store.journal_content import content_of
from napari_apprentice.store.ledger import complete
from napari_apprentice.store.names import folders_in
from napari_apprentice.store.presence import Presence
from napari_apprentice.store.repair_case import mend_groups, mend_image, mend_label_list, mend_levels, mend_predictions
from napari_apprentice.store.repaired import Repaired
from napari_apprentice.store.study import Study
from napari_apprentice.store.tail import tail_of
from napari_apprentice.store.trust import journal_bytes, read_plain

ASIDE_SECONDS = 3600.0  # a younger aside may belong to a program that is writing it now
_Step = Callable[[], Iterator[Finding]]


def repair(path: Path, *, aside_seconds: float = ASIDE_SECONDS) -> Generator[Progress, None, tuple[Finding, ...]]:
    """Mend a study; `check` afterwards says what is left.

    Parameters
    ----------
    aside_seconds
        How long nothing was written to a leftover of an interrupted write before it is removed.

    Returns
    -------
    What was done; empty when there was nothing to mend.

    Raises
    ------
    StudyError
        No study, or one whose study.json cannot be read.
    StorageError
        The study cannot be written to, or is of a newer layout.
    """
    study = Study.open(path)
    if study.refusal:
        raise StorageError(study.refusal)
    away = Repaired(path, now())
    steps = list(_steps(study, away, aside_seconds))
    done: list[Finding] = []
    for number, (text, step) in enumerate(steps):
        yield Progress(number, len(steps), text)
        try:
            for finding in step():
                done.append(finding)  # noqa: PERF402 - what was done before a fault counts
        except StorageError:
            raise
        except ApprenticeError:
            continue  # damage that no rule mends; the others go on, and check says what is left
    yield Progress(len(steps), len(steps), "Repaired")
    return tuple(done)


def _steps(study: Study, away: Repaired, aside_seconds: float) -> Iterator[tuple[str, _Step]]:
    yield "Leftovers of interrupted writes", partial(_remove_asides, study, aside_seconds)
    for case_id in folders_in(study.journal.root):
        yield f"Journal of {case_id}", partial(_mend_journal, study, away, case_id)
        yield f"Strokes of revisions of {case_id}", partial(_mend_archives, study, away, case_id)
    for path in (study.split.ledger.path, study.models.ledger.path, study.models.note_ledger.path):
        yield path.name, partial(_mend_ledger, away, path)
    for case_id in study.cases.ids():
        for mend in (mend_groups, mend_image, mend_label_list):
            yield f"Case {case_id}", partial(mend, study, case_id)
        yield f"Case {case_id}", partial(mend_levels, study, away, case_id)
        yield f"Predictions of {case_id}", partial(mend_predictions, study, away, case_id)


def _remove_asides(study: Study, aside_seconds: float) -> Iterator[Finding]:
    with storage_errors(f"the folder of {study.path.name}"):
        now_there = clock_of(study.path)
        found = [p for p in _asides(study.path) if now_there - _touched(p, now_there) >= aside_seconds]
    for path in found:
        remove_quietly(path)
        if not path.exists():
            text = f"Removed {path.relative_to(study.path)}, left by a write that was interrupted."
            whole = path.parent in (study.cases.root, study.journal.root)  # of a case itself, not a part of one
            yield Finding(text) if whole else Finding(text, str(path.parent), path.name)


def _asides(study: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(study):
        if Path(folder) == study and "repaired" in folders:
            folders.remove("repaired")
        for name in (*folders, *files):
            if name.startswith(".") and name.endswith(".aside"):
                yield Path(folder) / name
        folders[:] = [n for n in folders if not n.startswith(".")]


def _touched(path: Path, now_there: float) -> float:
    """When anything in a file or folder was written last; now, where it goes while it is looked at."""
    inside = [Path(folder) / name for folder, _, names in os.walk(path) for name in names]
    try:
        return max(p.lstat().st_mtime for p in (path, *inside))
    except FileNotFoundError:  # whoever writes it has finished this moment
        return now_there


def _mend_journal(study: Study, away: Repaired, case_id: str) -> Iterator[Finding]:
    folder = study.journal.root / case_id
    path = folder / FILE
    with storage_errors(f"the journal of case {case_id}"):
        for kept in sorted(folder.glob(".*.damaged")):
            place = away.keep(kept)
            yield Finding(f"Moved what an earlier damage left of the journal of case {case_id} to {place}.")
        if not path.is_file():
            return
        data = read_plain(path, journal_bytes())
    tail = tail_of(data, study.vault.at(case_id, "journal"), study.journal.most(case_id))
    lost = _lost_ground(study, case_id, data)
    others = Presence(study.journal.root, "", study.vault).others(case_id) if tail.size or lost else ()
    if others:  # what looks torn may be a stroke that is being written now
        who = f"{others[0].author} has the case open on {others[0].host}"
        yield Finding(f"The journal of case {case_id} was left alone: {who}. Repair it when nobody has it open.")
        return
    if lost:
        moved = f"moved to {away.keep(path)}. The case opens as it was saved last."
        yield Finding(f"The journal of case {case_id} {lost}; {moved}")
    elif tail.size:
        place = away.keep_copy(path)
        write_durably(path, data[: tail.start])
        yield Finding(
            f"The journal of case {case_id} keeps its first {tail.strokes} strokes; after them came {tail.size} bytes "
            f"that are no whole stroke. All of it as it was is in {place}."
        )


def _lost_ground(study: Study, case_id: str, data: bytes) -> str:
    """Why it is not known what a journal's strokes were drawn on, so that its case does not open; "" where it is."""
    content = content_of(data, study.vault.at(case_id, "journal"), study.journal.most(case_id))
    if content is None:
        return "is damaged at its beginning, so that it is not known what its strokes were drawn on"
    if content.parent is None or case_id not in study.cases.ids() or not content.strokes:
        return ""
    try:
        study.revisions.read(case_id, content.parent)
    except (InputError, StudyError):
        return f"was drawn on revision {content.parent}, which is missing or damaged (put both back if you have a copy)"
    return ""


def _mend_archives(study: Study, away: Repaired, case_id: str) -> Iterator[Finding]:
    for name in damaged_archives(study, case_id):
        place = away.keep(study.journal.root / case_id / f"{name}.bin")
        text = f"Moved the damaged strokes that led to {case_id}/{name} to {place}; undo does not reach behind it."
        yield Finding(text, case_id, name)


def _mend_ledger(away: Repaired, path: Path) -> Iterator[Finding]:
    data, good, _ = _lines_of(path)
    if good == data:
        return
    with one_at_a_time(path, f"the file {path.name}"):
        # Else a line that somebody adds meanwhile would go with the file that is replaced.
        data, good, bad = _lines_of(path)
        if good == data:  # what looked torn was a line on its way
            return
        place = away.keep_copy(path)
        write_durably(path, good)
    what = f"line {', '.join(map(str, bad))}" if bad else "an unfinished last line"
    yield Finding(f"Took {what} out of {path.name}, which could not be read. All of it as it was is in {place}.")


def _lines_of(ledger: Path) -> tuple[bytes, bytes, list[int]]:
    """All of a ledger, its whole lines that can be read, and the numbers of those that cannot."""
    with storage_errors(f"the file {ledger.name}"):
        data = ledger.read_bytes() if ledger.is_file() else b""
    lines = complete(data).splitlines(keepends=True)
    bad = [number for number, line in enumerate(lines, 1) if not _is_record(line)]
    return data, b"".join(line for line in lines if _is_record(line)), bad


def _is_record(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
