"""Which labels existed when a voxel was called background: a newer one is not taught to be absent there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.correction import UNSEEN
from napari_apprentice.core.plan import MOST_OPEN
from napari_apprentice.core.records import Example, OpenLabels, Revision
from napari_apprentice.errors import InputError, StudyError
from napari_apprentice.store.names import revision_number
from napari_apprentice.store.study import Study

Mask = NDArray[np.bool_]


@dataclass(eq=False)
class SeenLabels:
    """What a study knows of the labels that its revisions were made under.

    A revision keeps the ids of the study's labels of its day. One of an earlier version of the program does not:
    then the oldest model version that learned from it, or was held out on it, says which labels there were; where
    there is none either, all of today's. A voxel called background, by a revision or by one that it continues,
    under a list without some label, may be of that label, until the case has voxels of it: then somebody
    has looked for it there. Where an earlier revision is damaged or gone, all background may be of any
    label that the case has no voxel of.

    Parameters
    ----------
    study
        The open study.
    schema
        Ids of its labels; None for today's.
    """

    study: Study
    schema: tuple[int, ...] | None = None

    def open_in(self, revision: Revision, labels: NDArray[np.integer], status: NDArray[np.uint8]) -> OpenLabels | None:
        """Where a label that is newer may be; None where nowhere."""
        lacking = self._lacking(revision, {int(i) for i in np.unique(labels)})
        if not lacking:
            return None
        background = (labels == 0) & (status != UNSEEN)
        groups = list(lacking)
        bits = np.zeros(labels.shape, np.uint16)
        for number, name in enumerate(groups):
            bits |= np.where(background & self._was_background(revision, name), np.uint16(1 << number), np.uint16(0))
        sets: list[tuple[int, ...]] = []
        where = np.zeros(labels.shape, np.uint8)
        for pattern in np.unique(bits[bits > 0]):
            ids = {i for number, name in enumerate(groups) if pattern >> number & 1 for i in lacking[name]}
            sets.append(tuple(sorted(ids)))
            where[bits == pattern] = len(sets)
        return OpenLabels(tuple(sets), where) if sets else None

    def _lacking(self, revision: Revision, used: set[int]) -> dict[str, set[int]]:
        """Labels by the newest revision, of this one and those it continues, that was made without them."""
        lacking: dict[str, set[int]] = {}
        todo = set(self._today) - used
        for name, ids in self._line(revision):
            missing = todo - ids
            if missing:
                lacking[name] = missing
                todo -= missing
        return dict(list(lacking.items())[:16])

    def _line(self, revision: Revision) -> Iterator[tuple[str, set[int]]]:
        """A revision and those it continues with the labels they were made under, the newest first.

        It ends at one that is damaged or gone: what that and those before it were made without, nobody knows.
        """
        names = {revision.name}
        while names:
            newest = max(names, key=revision_number)
            try:
                found = self.study.revisions.info(revision.case_id, newest)
            except (InputError, StudyError):
                yield newest, set()
                return
            yield newest, self._ids(found)
            parents = (found.provenance.parent, *found.provenance.merged)
            names = (names | {p for p in parents if p and revision_number(p) < revision_number(newest)}) - {newest}

    def _ids(self, revision: Revision) -> set[int]:
        if revision.schema is not None:
            return set(revision.schema)
        return self._by_models.get(revision.key, set(self._today))

    @property
    def _today(self) -> tuple[int, ...]:
        return self.study.schema.ids if self.schema is None else self.schema

    @cached_property
    def _by_models(self) -> Mapping[str, set[int]]:
        found: dict[str, set[int]] = {}
        for version in sorted(self.study.models.readable(), key=lambda v: v.created):
            for key in (*version.revisions, *version.held_out):
                found.setdefault(key, set(version.schema.ids))
        return found

    def _was_background(self, revision: Revision, name: str) -> Mask:
        try:
            labels, status = self.study.revisions.read(revision.case_id, name)
        except (InputError, StudyError):  # damaged or gone: it may have been anywhere
            return np.ones(self.study.cases.info(revision.case_id).shape, bool)
        background: Mask = (labels == 0) & (status != UNSEEN)
        return background


def with_common_sets(examples: Sequence[Example]) -> list[Example]:
    """The same examples, their open labels numbered alike."""
    every = [s for e in examples if e.open for s in e.open.sets]
    if not every:
        return list(examples)
    often = sorted(set(every), key=lambda s: (-every.count(s), s))
    # what is rarer is left more open than it need be
    kept, rest = often[:MOST_OPEN], often[MOST_OPEN:]
    if rest:
        kept[-1] = tuple(sorted({i for s in (kept[-1], *rest) for i in s}))
    numbers = {s: min(i, MOST_OPEN) for i, s in enumerate(often, 1)}
    return [_renumbered(e, tuple(kept), numbers) for e in examples]


def _renumbered(example: Example, sets: tuple[tuple[int, ...], ...], numbers: Mapping[tuple[int, ...], int]) -> Example:
    if example.open is None:
        return example
    table = np.array([0, *(numbers[s] for s in example.open.sets)], np.uint8)
    return replace(example, open=OpenLabels(sets, table[example.open.where]))
