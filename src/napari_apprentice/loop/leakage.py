"""Nobody is examined on what they have learned: which held-out scans may judge which model versions."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

from napari_apprentice.core.records import Example, ModelVersion
from napari_apprentice.errors import ApprenticeError, StudyError
from napari_apprentice.loop.begun import named
from napari_apprentice.store.documents import MALFORMED
from napari_apprentice.store.study import Study


def subjects_of(study: Study, revisions: Iterable[str]) -> frozenset[str]:
    """Subjects of revisions (case_id/rNNNN) or cases that were learned from.

    Those of cases that are not in the study are passed over. A damaged case may be of anybody who was ever on the train
    side, so all of these count.
    """
    found = [_subject(study, case_id) for case_id in _cases(study, revisions)]
    known = frozenset(subject for subject in found if subject is not None)
    return known | study.split.ever_taught() if None in found else known


def _cases(study: Study, revisions: Iterable[str]) -> set[str]:
    return {key.partition("/")[0] for key in revisions} & set(study.cases.ids())


def _subject(study: Study, case_id: str) -> str | None:
    """Whose scan a case is; None where it is damaged."""
    try:
        return study.cases.info(case_id).subject
    except StudyError:
        return None


def subjects_learned(study: Study, name: str) -> frozenset[str]:
    """Subjects whose scans are in a model version's weights: its own and those of all it was tuned from.

    Of an imported one, those whose scans it brought the digests of, and what versions of this study with the same
    weights learned. What models of other programs learned elsewhere cannot be known.
    """
    return learned_by(study, [name])[name]


def learned_by(study: Study, names: Iterable[str], *, skip_damaged: bool = False) -> dict[str, frozenset[str]]:
    """`subjects_learned` of several model versions, reading the study once.

    With `skip_damaged` without those that are damaged, or were tuned from one that is.
    """
    versions, owners = _readable(study), dict[str, set[str]]()
    if any(_scans_of(v) for v in versions.values()):
        for case_id in study.cases.ids():
            with suppress(StudyError):  # nothing is measured on a damaged case
                for digest in study.cases.scan_digests(case_id):
                    owners.setdefault(digest, set()).add(case_id)
    found = {}
    for name in names:
        try:
            kin = _kin(study, versions, name)
        except StudyError:
            if skip_damaged:
                continue
            raise
        brought = (owners.get(digest, ()) for v in kin for digest in _scans_of(v))
        found[name] = subjects_of(study, (*(key for v in kin for key in v.revisions), *chain(*brought)))
    return found


def scans_learned(study: Study, name: str) -> tuple[str, ...]:
    """Digests of the scans in a model version's weights, by which another study knows them; no names.

    See `store.cases.Cases.scan_digests`.
    """
    kin = _kin(study, _readable(study), name)
    found = {digest for v in kin for digest in _scans_of(v)}
    for case_id in _cases(study, (key for v in kin for key in v.revisions)):
        try:
            found.update(study.cases.scan_digests(case_id))
        except StudyError:  # damaged; the runs that learned from it wrote down which file it was
            found.update(digest for v in kin for digest in _written_down(study, v, case_id))
    return tuple(sorted(found))


def _written_down(study: Study, version: ModelVersion, case_id: str) -> list[str]:
    """Digests of a case's scan in the document of the run that made a model version; none where it has none."""
    try:
        made: Any = study.runs.open(version.run).record()["made"]
        return [str(r["scan"]) for r in made["revisions"] if r["revision"].partition("/")[0] == case_id]
    except (ApprenticeError, *MALFORMED):
        return []


def doubt(study: Study, names: Iterable[str | None], held_out: Sequence[Example]) -> str:
    """A sentence about held-out scans that damaged cases keep from being compared on (see `fair`); "" without any."""
    versions = _readable(study)
    learned = {key for name in names if name for v in _kin(study, versions, name) for key in v.revisions}
    damaged = sorted(case_id for case_id in _cases(study, learned) if _subject(study, case_id) is None)
    taught = study.split.ever_taught() if damaged else frozenset()
    spared = [e.revision for e in held_out if e.subject in taught]
    if not spared:
        return ""
    return (
        f"Not compared on: {named(spared)}. They may be of a person whose scan was learned from: {named(damaged)} was, "
        "and is damaged, so that nobody knows whose scan it is."
    )


def _scans_of(version: ModelVersion) -> tuple[str, ...]:
    """Digests that an imported model version came with; none where it was made before these were kept."""
    return tuple(str(digest) for digest in version.origin.get("scans", ()))


def _readable(study: Study) -> dict[str, ModelVersion]:
    """Only what descends from a damaged one has to fail."""
    return {version.name: version for version in study.models.readable()}


def _kin(study: Study, versions: Mapping[str, ModelVersion], name: str) -> list[ModelVersion]:
    """A model version, those it descends from, and those with the same weights as one of these.

    A version that was handed on and came back is the same by its weights alone.
    """
    found: dict[str, ModelVersion] = {}
    known, waiting = study.models.names(), [name]
    while waiting:
        here = waiting.pop()
        if here in found or here not in known:
            continue
        version = found[here] = versions.get(here) or study.models.info(here)
        weights = {version.weights_digest, *(a.get("digest") for a in version.origin.get("lineage", ()))}
        waiting += [n for n, v in versions.items() if v.weights_digest in weights]
        waiting += [version.parent] if version.parent else []
    return list(found.values())


def fair(
    study: Study, names: Iterable[str | None], taught: Sequence[Example], held_out: Sequence[Example]
) -> list[Example]:
    """The held-out examples whose subjects none of these has learned from, whatever side they were on when.

    A subject that was moved from the train to the validation side is held out from then on; model versions that
    learned from it before must not be examined on it, and neither must what is tuned from them.

    Parameters
    ----------
    names
        Model versions (None for none): the active one, and the base of the candidate.
    taught
        What the candidate itself was taught.
    """
    earlier = learned_by(study, [name for name in names if name is not None])
    learned = {e.subject for e in taught}.union(*earlier.values())
    return [e for e in held_out if e.subject not in learned]
