"""Nobody is examined on what they have learned: which held-out scans may judge which model versions."""

from collections.abc import Iterable, Sequence

from napari_apprentice.core.records import Example
from napari_apprentice.store.study import Study


def subjects_of(study: Study, revisions: Iterable[str]) -> frozenset[str]:
    """Subjects of revisions (case_id/rNNNN); those of cases that are not in the study are passed over."""
    known = set(study.cases.ids())
    cases = {key.partition("/")[0] for key in revisions} & known
    return frozenset(study.cases.info(case_id).subject for case_id in cases)


def subjects_learned(study: Study, name: str) -> frozenset[str]:
    """Subjects whose scans are in a model version's weights: its own and those of all it was tuned from.

    What an imported model learned from elsewhere cannot be known.
    """
    learned: set[str] = set()
    known, seen = study.models.names(), set()
    here: str | None = name
    while here is not None and here in known and here not in seen:
        seen.add(here)
        version = study.models.info(here)
        learned |= subjects_of(study, version.revisions)
        here = version.parent
    return frozenset(learned)


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
    learned = {e.subject for e in taught}
    for name in names:
        if name is not None:
            learned |= subjects_learned(study, name)
    return [e for e in held_out if e.subject not in learned]
