"""How far from the base towards the tuned weights to go: a share of the change, chosen on held-out scans."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from napari_apprentice.core.gate import CaseScore, GateReport, judge

LEVEL = 0.05


@dataclass(frozen=True)
class ShareScore:
    """How one share of the change did; mean Dice on held-out corrections and replay, None without such scans."""

    share: float
    corrections: float | None
    replay: float | None
    passed: bool


def shares(count: int) -> tuple[float, ...]:
    """Evenly spaced shares of the change, the whole of it last: 5 gives 0.2, 0.4, 0.6, 0.8, 1."""
    return tuple(round((i + 1) / count, 3) for i in range(count))


def choose_share(
    before: Sequence[CaseScore], by_share: Mapping[float, Sequence[CaseScore]], names: Mapping[int, str]
) -> tuple[float, tuple[ShareScore, ...]]:
    """The largest share that does not do clearly worse than the best one.

    Only shares that pass the gate come into question; when none does, the whole change is taken, and the gate
    will say what is wrong with it. Of those that pass, the best is the one with the highest mean Dice on held-out
    corrections, and the largest is taken that is not worse than it at the 5 % level, by a one-sided paired t-test
    over subjects (Student, Biometrika 6, 1908). It is the idea of the one-standard-error rule of Breiman et al.
    (Classification and Regression Trees, 1984, section 3.4.3), with the whole change as the simplest choice, and
    with more patience where subjects are few. With one subject only the gate's bounds decide.

    Parameters
    ----------
    before, by_share
        Scores of the active model version, and of each share, on the same scans.
    names
        Label ids to what a person calls them.

    Returns
    -------
    The share, and how each one did, in ascending order.
    """
    reports = {share: judge(before, after, names) for share, after in sorted(by_share.items())}
    tried = tuple(_score(share, report) for share, report in reports.items())
    people = {share: _by_subject(report) for share, report in reports.items() if report.passed}
    if not people:
        return max(by_share), tried
    best = max(people, key=lambda share: (float(np.mean(list(people[share].values()))), share))
    return max(share for share in people if _as_good(people[share], people[best])), tried


def _score(share: float, report: GateReport) -> ShareScore:
    corrections, replay = (report.mean(replay=kind) for kind in (False, True))
    return ShareScore(
        share, corrections[1] if corrections else None, replay[1] if replay else None, report.passed
    )  # fmt: skip


def _by_subject(report: GateReport) -> dict[str, float]:
    """Mean Dice after, of each subject's corrections."""
    found: dict[str, list[float]] = {}
    for pair in report.pairs:
        if not pair.replay:
            found.setdefault(pair.subject, []).append(pair.after)
    return {subject: float(np.mean(values)) for subject, values in sorted(found.items())}


def _as_good(share: Mapping[str, float], best: Mapping[str, float]) -> bool:
    behind = np.array([best[s] - share[s] for s in best])
    if len(behind) < 2:
        return True
    error = behind.std(ddof=1) / np.sqrt(len(behind))
    return bool(behind.mean() <= float(special.stdtrit(len(behind) - 1, 1 - LEVEL)) * error)
