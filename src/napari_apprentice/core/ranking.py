"""Which case to look at next."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """What the ranking needs to know of a case: its predicted Dice by the active version, if predicted."""

    case_id: str
    quality: float | None
    predicted: bool
    corrected: bool
    started: bool


@dataclass(frozen=True)
class QueueItem:
    """One place in the review queue; a higher score comes first."""

    case_id: str
    score: float
    reason: str


def review_queue(candidates: Iterable[Candidate]) -> tuple[QueueItem, ...]:
    """Order the cases still to be corrected, the one that teaches most first.

    Work that was begun comes first (score 2), then predicted cases by 1 - predicted Dice, then cases
    without a prediction by the active version (score below 0). Corrected cases are not in the queue.
    Ties go by case id, so that the order can be repeated.
    """
    items = [_item(c) for c in candidates if c.started or not c.corrected]
    return tuple(sorted(items, key=lambda i: (-i.score, i.case_id)))


def _item(candidate: Candidate) -> QueueItem:
    if candidate.started:
        return QueueItem(candidate.case_id, 2.0, "correction begun, not saved")
    if not candidate.predicted:
        return QueueItem(candidate.case_id, -1.0, "no prediction by the active model version yet")
    if candidate.quality is None:
        return QueueItem(candidate.case_id, 1.0, "the prediction found no label at all")
    return QueueItem(candidate.case_id, 1.0 - candidate.quality, f"predicted Dice {candidate.quality:.2f}")
