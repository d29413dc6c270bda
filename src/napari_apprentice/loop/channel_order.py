"""The channels of cases in the order in which a network reads them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from napari_apprentice.core.channels import Names, in_order, prevailing, reading_order, same_channels, taken_for
from napari_apprentice.core.records import Example, ModelVersion
from napari_apprentice.core.slabs import VoxelSource, reordered
from napari_apprentice.errors import StorageError, StudyError
from napari_apprentice.store.study import Study

MOST_NAMED = 5  # cases in one sentence


def source_for(study: Study, case_id: str, version: ModelVersion) -> VoxelSource:
    """A case's scan as a model version reads it."""
    names = study.cases.info(case_id).channels
    return reordered(study.cases.source(case_id), reading_order(names, version.channels))


def prediction_notes(study: Study, model: str, case_ids: Iterable[str]) -> tuple[str, ...]:
    """A sentence for cases whose several channels have other names than a model version's; reads no voxel."""
    wanted = study.models.info(model).channels
    if len(wanted) < 2:  # one channel is never taken for another: no case need be read, in the window's thread too
        return ()
    taken: dict[str, list[str]] = {}
    for case_id in case_ids:
        with suppress(StudyError, StorageError):  # damaged or unreadable: that is told where it is predicted
            what = taken_for(study.cases.info(case_id).channels, wanted)
            if what:
                taken.setdefault(what, []).append(case_id)
    return tuple(
        f"{model} was made for channels {', '.join(wanted)}. It takes {what} in {_named(cases)}; look whether that "
        "is right."
        for what, cases in taken.items()
    )


@dataclass(frozen=True, eq=False)
class Readable:
    """Those examples that one network can read.

    Parameters
    ----------
    channels
        Names in the order of its input; empty where no example can be read.
    examples, held_out
        Their voxels in this order.
    left_out
        Revisions (case_id/rNNNN) with other channels to the reason, as a clause.
    notes
        Sentences on what is taken for something else.
    """

    channels: tuple[str, ...]
    examples: Sequence[Example]
    held_out: Sequence[Example]
    left_out: Mapping[str, str]
    notes: tuple[str, ...]


def readable(
    examples: Sequence[Example], held_out: Sequence[Example], base: ModelVersion | None, active: ModelVersion | None
) -> Readable:
    """Choose which channels are read in which order, and leave out what has others.

    They are the several channels that the active model version reads, or else the base, where any example has them;
    else those of most examples, in the place of the base's.

    Parameters
    ----------
    base
        The model version that is tuned; None for a first one.
    active
        The one that the result is compared with.
    """
    every = (*examples, *held_out)
    channels = _channels([e for e in every if base is None or _as_many(e, base)], base, active)
    here, there = (
        [ordered(e, channels) for e in side if same_channels(e.channels, channels)] for side in (examples, held_out)
    )
    reads = channels or (base.channels if base else ())
    many = len(base.plan.normalisation) if base else len(channels)
    others = {e.revision: _other(e, reads, many) for e in every if not same_channels(e.channels, channels)}
    return Readable(channels, here, there, others, tuple(_taken(channels, base) if base else ()))


def _as_many(example: Example, base: ModelVersion) -> bool:
    return len(example.channels) == len(base.plan.normalisation)


def _channels(every: Sequence[Example], base: ModelVersion | None, active: ModelVersion | None) -> tuple[str, ...]:
    if not every:
        return ()
    for version in (active, base):
        names = version.channels if version else ()
        if len(names) > 1 and any(same_channels(e.channels, names) for e in every):
            return names
    learned = [e for e in every if e.replay]
    most = prevailing([e.channels for e in learned or every])
    return in_order(most, base.channels) if base else most


def ordered(example: Example, channels: Names) -> Example:
    """An example with its channels in this order; one that has them so, or not as many, stays as it is."""
    scan = reordered(example.source, reading_order(example.channels, channels))
    return replace(example, voxels=scan, channels=in_order(example.channels, channels))


def _taken(channels: Names, base: ModelVersion) -> Iterator[str]:
    what = taken_for(channels, base.channels)
    if what:
        yield f"{base.name} was made for channels {', '.join(base.channels)}; it takes {what}."


def _other(example: Example, reads: Names, many: int) -> str:
    what = ", ".join(reads) or f"{many} channel{'s' * (many > 1)}"
    return f"channel{'s' * (len(example.channels) > 1)} {', '.join(example.channels)}; the network reads {what}"


def _named(case_ids: Sequence[str]) -> str:
    more = len(case_ids) - MOST_NAMED
    cases = ", ".join(case_ids[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{'case' if len(case_ids) == 1 else 'cases'} {cases}"
