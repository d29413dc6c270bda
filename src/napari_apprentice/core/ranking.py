"""Which case to look at next."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

MOST, FEWEST = 0.8, 3  # a label is missed where this share of at least so many other predictions have it
SHOWN = 3  # names of missed labels in a reason


@dataclass(frozen=True)
class Candidate:
    """What the ranking needs to know of a case.

    Parameters
    ----------
    quality
        Its predicted Dice by the active version, mean over the labels that were found; None where none was.
    predicted, corrected, started
        Whether the active version predicted it, a revision is stored, strokes are in none yet.
    by_label
        Name and predicted Dice of every label that was found.
    held_out
        Whether its subject is on the validation side of the split.
    models
        Model versions that predicted together; empty for one alone.
    earlier, earlier_quality
        Where the active version did not predict it: the newest one that did, "" for none, and what it says as
        `quality` does.
    """

    case_id: str
    quality: float | None
    predicted: bool
    corrected: bool
    started: bool
    by_label: tuple[tuple[str, float], ...] = ()
    held_out: bool = False
    models: tuple[str, ...] = ()
    earlier: str = ""
    earlier_quality: float | None = None


@dataclass(frozen=True)
class QueueItem:
    """One place in the review queue; a higher score comes first."""

    case_id: str
    score: float
    reason: str


def review_queue(candidates: Iterable[Candidate], model: str | None) -> tuple[QueueItem, ...]:
    """Order the cases still to be corrected, the one that teaches most first.

    Work that was begun comes first (score 2), then predicted cases by 1 - predicted Dice, then cases without a
    prediction by the active version (score -1 to -0.5, by what an earlier one said of them). A label that most
    other predictions have and this one lacks counts as a predicted Dice of 0: it was missed. Where nothing was
    found, the score is the share of other predictions that found something: among scans of which many have no
    lesion, one without may well be right. Cases of subjects that are held out come last, in the same order (score
    from -4 to -2), since nothing is learned from them. Corrected cases are not in the queue. Ties go by case id, so
    that the order can be repeated.

    Parameters
    ----------
    model
        The active model version; None where there is none yet.
    """
    known = tuple(candidates)
    found = Counter(name for c in known if c.predicted for name, _ in c.by_label)
    predicted, some = sum(c.predicted for c in known), sum(c.quality is not None for c in known)
    usual = round(some / (predicted - 1), 1) if predicted > FEWEST else 1.0  # of a case in which nothing was found
    items = [_item(c, _missed(c, found, predicted - 1), usual, model) for c in known if c.started or not c.corrected]
    return tuple(sorted(items, key=lambda i: (-i.score, i.case_id)))


def _missed(candidate: Candidate, found: Mapping[str, int], others: int) -> list[str]:
    """Labels that it lacks and most of so many other predictions have."""
    if not candidate.predicted or others < FEWEST:
        return []
    has = {name for name, _ in candidate.by_label}
    return [name for name, count in found.items() if name not in has and count >= MOST * others]


def _item(candidate: Candidate, missed: Sequence[str], usual: float, model: str | None) -> QueueItem:
    if candidate.started:
        return QueueItem(candidate.case_id, 2.0, "correction begun, not saved")
    score, reason = _score(candidate, missed, usual, model)
    if candidate.held_out:
        return QueueItem(candidate.case_id, score - 3.0, f"{reason}; its subject is held out, not learned from")
    return QueueItem(candidate.case_id, score, reason)


def _score(candidate: Candidate, missed: Sequence[str], usual: float, model: str | None) -> tuple[float, str]:
    if model is None:
        return -1.0, "in order of name, as no model version says yet what teaches most"
    if not candidate.predicted:
        return _by_earlier(candidate, model)
    if candidate.quality is None:
        others = "" if usual >= MOST else ", as in other cases"
        return usual, f"the prediction found no label at all{others}"
    reason = f"predicted Dice {candidate.quality:.2f}"
    if candidate.models:
        reason += f", which says how well {' and '.join(candidate.models)} agree"
    if missed:
        more = " ..." if len(missed) > SHOWN else ""
        reason += f", and no {', '.join(missed[:SHOWN])}{more}, found in most other cases"
    share = len(candidate.by_label) / (len(candidate.by_label) + len(missed)) if missed else 1.0
    return 1.0 - candidate.quality * share, reason


def _by_earlier(candidate: Candidate, model: str) -> tuple[float, str]:
    """Of a case that a new model version has not predicted: what was hard before is likely to be hard still."""
    quality, yet = candidate.earlier_quality, f"no prediction by {model} yet"
    if not candidate.earlier:
        return -1.0, yet
    said = "no label at all" if quality is None else f"predicted Dice {quality:.2f}"
    return -0.5 - 0.5 * (quality or 0.0), f"{said} by {candidate.earlier}, {yet}"


def next_item(
    queue: Iterable[QueueItem], here: str | None = None, passed: Mapping[QueueItem, int] | None = None
) -> QueueItem | None:
    """What to open next: the head of the queue, or of what is left of it when one goes on without correcting.

    Parameters
    ----------
    here
        Case id of the open case, which is not next.
    passed
        Items that were opened as the next one already, with a number that grows; they come after all others, the
        one opened longest ago first. A new prediction, or a begun correction, makes another item of a case.
    """
    told = passed or {}
    return min((i for i in queue if i.case_id != here), key=lambda i: told.get(i, 0), default=None)
