"""The gate: a candidate becomes active only when it has proved itself on held-out scans."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

# A drop of one Dice point on a single label is within the noise of a handful of scans; more is not.
LABEL_TOLERANCE = 0.01
REPLAY_TOLERANCE = 0.01


@dataclass(frozen=True)
class CaseScore:
    """Dice of one held-out revision and label under one model; absent labels have no score.

    `replay` is True for scans the base model version already knew the kind of.
    """

    revision: str
    label: int
    dice: float
    replay: bool = False


@dataclass(frozen=True)
class GateRow:
    """Mean Dice of one label before and after, over `cases` held-out scans of one kind."""

    label: int
    replay: bool
    before: float
    after: float
    cases: int


@dataclass(frozen=True)
class GateReport:
    """The table a person sees, and the verdict with its reason."""

    rows: tuple[GateRow, ...]
    passed: bool
    reason: str

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"rows": [asdict(r) for r in self.rows], "passed": self.passed, "reason": self.reason}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "GateReport":
        """Read what `to_json` wrote."""
        return cls(tuple(GateRow(**r) for r in data["rows"]), bool(data["passed"]), str(data["reason"]))

    def mean(self, *, replay: bool) -> tuple[float, float] | None:
        """Mean over labels (before, after); None where no scan of that kind is held out."""
        rows = [r for r in self.rows if r.replay == replay]
        if not rows:
            return None
        return float(np.mean([r.before for r in rows])), float(np.mean([r.after for r in rows]))


def judge(before: Sequence[CaseScore], after: Sequence[CaseScore], names: Mapping[int, str]) -> GateReport:
    """Compare a candidate with the active version, pair by pair, on the same held-out scans.

    It passes when, on held-out corrections, the mean over labels does not fall and no label falls by
    more than 0.01, and no label falls by more than 0.01 on replay. Without a held-out correction there
    is no proof, so it does not pass. `names` maps label ids to what a person calls them.
    """
    rows = _rows(before, after)
    corrections = [r for r in rows if not r.replay]
    if not corrections:
        return GateReport(rows, False, "no corrected scan is held out yet, so nothing proves that it is better")
    report = GateReport(rows, False, "")
    means = report.mean(replay=False)
    assert means is not None  # corrections is not empty; for the type checker
    worse = [r for r in corrections if r.before - r.after > LABEL_TOLERANCE]
    forgotten = [r for r in rows if r.replay and r.before - r.after > REPLAY_TOLERANCE]
    if means[1] < means[0]:
        return GateReport(rows, False, f"held-out corrections get worse: mean Dice {means[0]:.3f} to {means[1]:.3f}")
    if worse:
        return GateReport(
            rows, False, f"{_called(worse[0].label, names)} gets worse on held-out corrections: {_drop(worse[0])}"
        )
    if forgotten:
        return GateReport(
            rows, False, f"{_called(forgotten[0].label, names)} is forgotten on earlier scans: {_drop(forgotten[0])}"
        )
    return GateReport(rows, True, f"held-out corrections: mean Dice {means[0]:.3f} to {means[1]:.3f}")


def _called(label: int, names: Mapping[int, str]) -> str:
    return names.get(label, f"label {label}")  # one that was taken out of the schema since


def _drop(row: GateRow) -> str:
    return f"Dice {row.before:.3f} to {row.after:.3f}"


def _rows(before: Sequence[CaseScore], after: Sequence[CaseScore]) -> tuple[GateRow, ...]:
    earlier, later = ({(s.replay, s.label, s.revision): s.dice for s in scores} for scores in (before, after))
    pairs: dict[tuple[bool, int], list[tuple[float, float]]] = {}
    for key in sorted({*earlier, *later}):
        # No score: the label is in neither map, which is as right as can be.
        pairs.setdefault(key[:2], []).append((earlier.get(key, 1.0), later.get(key, 1.0)))
    return tuple(
        GateRow(label, replay, float(np.mean([b for b, _ in both])), float(np.mean([a for _, a in both])), len(both))
        for (replay, label), both in sorted(pairs.items())
    )
