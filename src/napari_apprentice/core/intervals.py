"""How far a mean change may be off, from the subjects it was measured on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
Change = tuple[str, int, float]  # subject, label, after minus before

RESAMPLES, SEED = 2000, 0
LEVEL = 0.95


def intervals(changes: Sequence[Change]) -> tuple[dict[int, Interval | None], Interval | None]:
    """95 % intervals of the mean change of each label, and of the mean over labels.

    The paired bootstrap over subjects, percentile method: subjects are drawn with replacement, all scans of a
    drawn subject come with it, since they resemble each other, and each stands for its before and its after
    together (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13). Drawn from a
    fixed seed, so that the same scores give the same interval.

    With few subjects such an interval is too narrow; `docs/design` has the shares of repetitions in which it held
    the truth.

    Returns
    -------
    By label, and over all; None where fewer than two subjects have a label, since one subject says nothing about
    how much subjects differ.
    """
    subjects = sorted({s for s, _, _ in changes})
    labels = sorted({label for _, label, _ in changes})
    if len(subjects) < 2:
        return dict.fromkeys(labels), None
    total, count = _sums(changes, subjects, labels)
    drawn = np.random.default_rng(SEED).multinomial(len(subjects), [1 / len(subjects)] * len(subjects), RESAMPLES)
    scans = drawn @ count
    # A label that none of the drawn subjects has is left out of that repetition.
    means = np.divide(drawn @ total, scans, out=np.full(scans.shape, np.nan), where=scans > 0)
    several = (count > 0).sum(axis=0) > 1
    by_label = {label: _middle(means[:, i]) if several[i] else None for i, label in enumerate(labels)}
    return by_label, _middle(np.nanmean(means, axis=1))


def _sums(
    changes: Sequence[Change], subjects: Sequence[str], labels: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(subjects, labels) sums of changes, and how many there are."""
    total = np.zeros((len(subjects), len(labels)))
    count = np.zeros(total.shape, np.int64)
    rows, columns = ({key: i for i, key in enumerate(keys)} for keys in (subjects, labels))
    for subject, label, change in changes:
        total[rows[subject], columns[label]] += change
        count[rows[subject], columns[label]] += 1
    return total, count


def _middle(values: NDArray[np.float64]) -> Interval:
    low, high = np.nanpercentile(values, (50 * (1 - LEVEL), 50 * (1 + LEVEL)))
    return float(low), float(high)
