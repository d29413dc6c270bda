"""The corrections that a training run goes by: what is taught, and what is held out."""

import math
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from napari_apprentice.core.correction import UNSEEN, StatusArray
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import Example
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.errors import Cancelled, InputError, StudyError
from napari_apprentice.learn.memory import refuse_too_many
from napari_apprentice.loop.begun import Begun, newest_revisions, without_revisions
from napari_apprentice.loop.seen_labels import SeenLabels, with_common_sets
from napari_apprentice.loop.unfit import clause
from napari_apprentice.store.split import VALIDATION
from napari_apprentice.store.study import Study

Sides = tuple[list[Example], list[Example]]

# Bytes a voxel: labels and status packed (0.02 with 41 labels; what is painted by hand takes more), and one label map
# with all that is made of it.
PACKED, LOOKED_AT = 0.1, 10


def collecting(
    study: Study, learned: frozenset[str], begun: Begun | None = None, left_out: dict[str, str] | None = None,
    measured: frozenset[str] = frozenset(), cancelled: Callable[[], bool] = lambda: False,
) -> Generator[Progress, None, Sides]:  # fmt: skip
    """Newest revision of every case that has one, as (training, held-out) examples by the subject's side.

    Parameters
    ----------
    learned
        The revisions that the base model version learned from: these are replay.
    begun
        Of a run that is resumed: its revisions are taken instead, on the sides and with the labels of then.
    left_out
        Gets every revision, or case, that is damaged or gone, and what is wrong; by default that is raised.
    measured
        Those that it was measured on: these are replay where they are held out still. Of a subject that was moved to
        the train side since, nothing was learned yet.
    cancelled
        Asked before each revision: a study may have hundreds of large ones.

    Yields
    ------
    Progress before each revision is read.

    Raises
    ------
    Cancelled
        `cancelled` said so.
    RunError
        There is too little memory for the label maps of all of them.
    """
    sides: dict[str, list[Example]] = {"train": [], "validation": []}
    seen = SeenLabels(study, begun.labels if begun else None)
    gone = begun.retired if begun else tuple(label.id for label in study.retired)
    chosen = begun.sides if begun else dict.fromkeys(newest_revisions(study))
    for case_id, error in () if begun else without_revisions(study):
        if left_out is None:
            raise error
        left_out[case_id] = clause(error)
    refuse_too_many("The corrections", _bytes_of(study, chosen))
    for number, (key, side) in enumerate(chosen.items(), 1):
        if cancelled():
            raise Cancelled("Training was cancelled before its first step.")
        yield Progress(0, 0, f"Reading correction {number} of {len(chosen)}")
        try:
            example = _example(study, key, seen, gone)
        except (InputError, StudyError) as error:
            if left_out is None:
                raise
            left_out[key] = clause(error)
            continue
        side = side or study.split.assign(example.subject)
        replay = key in learned or (side == VALIDATION and key in measured)
        sides[side].append(replace(example, replay=replay))
    both = with_common_sets([*sides["train"], *sides["validation"]])
    return both[: len(sides["train"])], both[len(sides["train"]) :]


def _bytes_of(study: Study, keys: Iterable[str]) -> int:
    """What revisions (case_id/rNNNN) take: packed all of them, and the largest while it is looked at, as it is.

    Those of damaged cases are not read.
    """
    sizes = [0]
    for key in keys:
        with suppress(InputError, StudyError):
            sizes.append(math.prod(study.cases.info(key.partition("/")[0]).shape))
    return int(LOOKED_AT * max(sizes) + PACKED * sum(sizes))


def _example(study: Study, key: str, seen: SeenLabels, gone: Sequence[int]) -> Example:
    case_id, _, name = key.partition("/")
    info, revision = study.cases.info(case_id), study.revisions.info(case_id, name)
    labels, status = study.revisions.read(case_id, name)
    status = _taught(gone, labels, status)
    return Example(
        key, info.subject, study.cases.source(case_id), labels, status, info.spacing,
        info.channels, open=seen.open_in(revision, labels, status),
    )  # fmt: skip


def _taught(gone: Sequence[int], labels: LabelArray, status: StatusArray) -> StatusArray:
    """Nothing is taught where a person put a label that the study does not have any more."""
    return np.where(np.isin(labels, gone), UNSEEN, status).astype(np.uint8) if gone else status
