"""The gate: a candidate becomes active only when it has proved itself on held-out scans."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from napari_apprentice.core.config import FEWEST_STEPS
from napari_apprentice.core.intervals import intervals

# A drop of one Dice point on a single label is within the noise of a handful of scans; more is not. Over all
# labels together the noise is smaller, and so is what may be lost.
LABEL_TOLERANCE = 0.01
REPLAY_TOLERANCE = 0.01
REPLAY_MEAN_TOLERANCE = 0.005
NOTHING = 0.0005  # mean Dice that is shown as 0.000
FEWEST_UNSHOWN = 50  # steps of a time budget where nothing held out can show what they were worth
POOR = 0.1  # mean Dice that a network of a few steps may have by chance
ALL_LABELS = 0  # in a row: the mean over labels; background itself is never measured
# Of so many subjects, how many of 100 such intervals held the truth in trials with normal changes; see docs/design.
HELD = {2: 50, 3: 75, 4: 80, 5: 85, 6: 85, 7: 85, 8: 90, 9: 90}


@dataclass(frozen=True)
class CaseScore:
    """Dice of one held-out revision and label under one model; absent labels have no score.

    `replay` is True for scans the base model version already knew the kind of; `subject` is the person, by
    default the revision itself. `size` and `found` are the known voxels that have the label in the revision, None
    where they were not counted, and in the prediction.
    """

    revision: str
    label: int
    dice: float
    replay: bool = False
    subject: str = ""
    size: int | None = None
    found: int = 0

    @property
    def person(self) -> str:
        """Who it is of; a revision of nobody is somebody of its own."""
        return self.subject or self.revision


@dataclass(frozen=True)
class GatePair:
    """Dice of one label in one held-out revision, before and after; `absent` where the revision lacks the label."""

    revision: str
    subject: str
    label: int
    replay: bool
    before: float
    after: float
    absent: bool = False


@dataclass(frozen=True)
class GateRow:
    """Mean Dice of one label (or of all, `ALL_LABELS`) before and after, over held-out scans of one kind.

    Parameters
    ----------
    cases, subjects
        Scans that have the label, and of how many people; 0 subjects where that was not kept.
    low, high
        95 % interval of the mean change; None with fewer than two subjects. See `core.intervals`.
    """

    label: int
    replay: bool
    before: float
    after: float
    cases: int
    subjects: int = 0
    low: float | None = None
    high: float | None = None

    @property
    def change(self) -> float:
        """After minus before."""
        return self.after - self.before

    @property
    def interval(self) -> str:
        """For a person; "" where there is none."""
        return "" if self.low is None or self.high is None else f"{self.low:+z.3f} to {self.high:+z.3f}"


@dataclass(frozen=True)
class GateReport:
    """The table a person sees, and the verdict with its reason.

    Parameters
    ----------
    rows
        By label; corrections before replay.
    totals
        The mean over labels, on corrections and on replay where there is any.
    pairs
        What the rows are the means of.
    left_out
        Held-out scans that could not be measured on, because one of the two had learned from their subject.
    compared_with
        The model version that was active then; "" where that was not kept.
    sparse
        Whether little is known of each held-out correction, such as single slices.
    """

    rows: tuple[GateRow, ...]
    passed: bool
    reason: str
    totals: tuple[GateRow, ...] = ()
    pairs: tuple[GatePair, ...] = ()
    left_out: int = 0
    compared_with: str = ""
    sparse: bool = False

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "GateReport":
        """Read what `to_json` wrote, or an earlier version, which kept rows only."""
        return cls(
            tuple(GateRow(**r) for r in data["rows"]),
            bool(data["passed"]),
            str(data["reason"]),
            tuple(GateRow(**r) for r in data.get("totals", ())),
            tuple(GatePair(**p) for p in data.get("pairs", ())),
            int(data.get("left_out", 0)),
            str(data.get("compared_with", "")),
            bool(data.get("sparse", False)),
        )

    @property
    def told(self) -> str:
        """The reason, with the model version it was compared with on held-out corrections; where there were any."""
        compared = self.compared_with and self.mean(replay=False) is not None
        return f"{self.reason} (compared with {self.compared_with})" if compared else self.reason

    def mean(self, *, replay: bool) -> tuple[float, float] | None:
        """Mean over labels (before, after); None where no scan of that kind is held out."""
        rows = [r for r in self.rows if r.replay == replay]
        if not rows:
            return None
        return float(np.mean([r.before for r in rows])), float(np.mean([r.after for r in rows]))

    @property
    def found_worse(self) -> bool:
        """Whether something was measured that speaks against it, rather than nothing for it."""
        return not self.passed and _measured_fault(self, {}) is not None

    @property
    def caution(self) -> str:
        """What few subjects or slices are worth, for a person; "" where the figures are worth what they say."""
        people = min((t.subjects for t in self.totals if t.subjects), default=0)
        texts = []
        if people == 1:
            texts.append("One held-out subject: nothing says how much other people would differ from it.")
        elif people in HELD:
            texts.append(
                f"{people} held-out subjects: intervals from so few are too narrow. In trials about {HELD[people]} of "
                "100 held the truth, not 95."
            )
        if self.sparse:
            texts.append(
                "Only single slices, or small parts, of the held-out scans are corrected: in trials a worse model "
                "version passed nearly as often as a better one. Correct a held-out scan as a whole."
            )
        if self.left_out:
            texts.append(f"{self.left_out} held-out scan{'s' * (self.left_out > 1)} could not be measured on: one of "
                         "the two model versions learned from their subject.")  # fmt: skip
        return " ".join(texts)


def judge(
    before: Sequence[CaseScore],
    after: Sequence[CaseScore],
    names: Mapping[int, str],
    left_out: int = 0,
    corrections: int = 0,
    *,
    changed: bool = True,
) -> GateReport:
    """Compare a candidate with the active version, pair by pair, on the same held-out scans.

    It passes when, on held-out corrections, the mean over labels does not fall and no label falls by
    more than 0.01, and on replay no label falls by more than 0.01 and the mean over labels not by more than
    0.005. Without a held-out correction there is no proof, so it does not pass; nor where neither of the two agrees
    with the corrections anywhere, nor where both say the same everywhere. The intervals are shown and do not decide:
    with a handful of subjects nearly all of them reach across zero, and nothing would ever pass.

    Parameters
    ----------
    names
        Label ids to what a person calls them.
    left_out
        Held-out scans that could not be measured on; see `GateReport`.
    corrections
        Held-out corrections that both predicted; one has no score where nobody says anything but background.
    changed
        Whether the two differ in any voxel of the held-out scans.
    """
    pairs = _pairs(before, after)
    rows, totals = _rows(pairs)
    report = GateReport(rows, False, "", totals, pairs, left_out)
    fault = _fault(report, names, corrections)
    if fault is not None:
        return replace(report, reason=fault)
    if not changed:
        return replace(report, reason=_SAME)
    means = report.mean(replay=False)
    assert means is not None  # there is a fault without; for the type checker
    return replace(report, passed=True, reason=f"held-out corrections: {_from_to(*means)}")


_SAME = (
    "it says the same as the active model version in every voxel of the held-out scans, so nothing shows that it is "
    "better; more corrections or more steps may help"
)
_NO_AGREEMENT = (
    "neither model version agrees with the held-out corrections anywhere (mean Dice 0.000), so nothing proves that it "
    "is better; more corrections or more steps may help"
)


def first_fault(
    scores: Iterable[CaseScore], taught: Collection[int], steps: int, minutes: float, corrections: int = 0
) -> str:
    """Why a first model version does not become active by itself, as a clause; "" where it does.

    There is nothing to compare it with, but all fine-tuning begins from it.

    Parameters
    ----------
    scores
        Its own, on held-out corrections; none where none is held out.
    taught
        Label ids that it was shown a voxel of. Others it cannot find, and has nothing to show there.
    steps, minutes
        What it was trained; 0 minutes where the steps were asked for.
    corrections
        Held-out corrections that were measured on; they have no score where they have no label.
    """
    found: dict[int, list[float]] = {}
    for score in scores:
        if score.size and score.label in taught:
            found.setdefault(score.label, []).append(score.dice)
    dice = float(np.mean([np.mean(each) for each in found.values()])) if found else None
    # one label of a hundred is something, although their mean is next to nothing
    if found and max(map(max, found.values())) < NOTHING:
        return (
            "it agrees with the held-out corrections nowhere (mean Dice 0.000); train anew with more corrections or "
            "more steps, or activate it all the same"
        )
    fewest = FEWEST_UNSHOWN if dice is None else FEWEST_STEPS
    if not minutes or steps >= fewest or (dice is not None and dice >= POOR):
        return ""
    time = f"{minutes:g} minute{'' if minutes == 1 else 's'}"
    told = f"only {steps} step{'s' if steps > 1 else ''} fitted into {time}, the shortest preset takes {FEWEST_STEPS}"
    no_label = "the held-out corrections have no label that it was taught"
    shown = no_label if corrections else "no held-out scan shows its worth"
    if dice is not None:
        shown = f"its mean Dice on held-out corrections is {dice:.3f}"
    return f"{told}, and {shown}; train anew with more time, or activate it all the same"


def _no_proof(report: GateReport, corrections: int) -> str:
    if corrections:
        return (
            "the held-out corrections are background alone, which a model that finds nothing has right, so nothing "
            "proves that it is better; hold out a correction with labels"
        )
    if report.left_out:
        return (
            "no corrected scan is held out of which neither model version has learned the subject, so nothing proves "
            "that it is better"
        )
    if report.rows:  # the table shows these
        return "only scans corrected earlier are held out, no newer one yet, so nothing proves that it is better"
    return "no corrected scan is held out yet, so nothing proves that it is better"


def _fault(report: GateReport, names: Mapping[int, str], corrections: int) -> str | None:
    """Why it does not pass; None where it was measured and nothing speaks against it."""
    measured, means = _measured_fault(report, names), report.mean(replay=False)
    if measured is not None:
        return measured
    if means is None or all(p.absent for p in report.pairs if not p.replay):
        return _no_proof(report, corrections)
    return _NO_AGREEMENT if means[1] < NOTHING else None


def _from_to(before: float, after: float) -> str:
    """Two means, with as many places as tell them apart."""
    places = next((n for n in (3, 4, 5) if f"{before:.{n}f}" != f"{after:.{n}f}"), 3)
    return f"mean Dice {before:.{places}f} to {after:.{places}f}"


def _measured_fault(report: GateReport, names: Mapping[int, str]) -> str | None:
    """What was measured that speaks against it; None where nothing was."""
    means, kept = report.mean(replay=False), report.mean(replay=True)
    if means is not None and means[1] < means[0]:
        return f"held-out corrections get worse: {_from_to(*means)}"
    worse = [r for r in report.rows if not r.replay and -r.change > LABEL_TOLERANCE]
    if worse:
        return f"{_called(worse[0].label, names)} gets worse on held-out corrections: {_drop(worse[0])}"
    forgotten = [r for r in report.rows if r.replay and -r.change > REPLAY_TOLERANCE]
    if forgotten:
        return f"{_called(forgotten[0].label, names)} is forgotten on earlier scans: {_drop(forgotten[0])}"
    if kept is not None and kept[0] - kept[1] > REPLAY_MEAN_TOLERANCE:
        return f"earlier scans are forgotten: {_from_to(*kept)}"
    return None


def _called(label: int, names: Mapping[int, str]) -> str:
    return names.get(label, f"label {label}")  # one that was taken out of the schema since


def _drop(row: GateRow) -> str:
    return f"Dice {row.before:.3f} to {row.after:.3f}"


def _pairs(before: Sequence[CaseScore], after: Sequence[CaseScore]) -> tuple[GatePair, ...]:
    """Every label of every scan that one of the two has a score for."""
    earlier, later = ({(s.replay, s.label, s.revision): s for s in scores} for scores in (before, after))
    sizes, pairs = _sizes((*before, *after)), []
    for key in sorted({*earlier, *later}):
        either = earlier.get(key) or later[key]
        # No score: the label is in neither map, which is as right as can be.
        old, new = (_dice(s[key], sizes) if key in s else 1.0 for s in (earlier, later))
        pairs.append(GatePair(key[2], either.person, key[1], key[0], old, new, absent=either.size == 0))
    return tuple(pairs)


def _sizes(scores: Iterable[CaseScore]) -> dict[int, list[int]]:
    """Label id to its voxels in each revision that has it."""
    found: dict[int, list[int]] = {}
    for score in scores:
        if score.size:
            found.setdefault(score.label, []).append(score.size)
    return found


def _dice(score: CaseScore, sizes: Mapping[int, list[int]]) -> float:
    """As measured; where the revision lacks the label, as if one of the usual size was found there beside the rest.

    By the formula it would be 0 for a single wrong voxel and 1 without any, which outweighs all that changes where the
    label is: the pitfall of empty references (Reinke et al., Nat Methods 21, 2024).
    """
    usual = sizes.get(score.label) or [n for each in sizes.values() for n in each]
    if score.size != 0 or not usual:
        return score.dice
    return float(2 * np.mean(usual) / (2 * np.mean(usual) + score.found))


def _rows(pairs: Sequence[GatePair]) -> tuple[tuple[GateRow, ...], tuple[GateRow, ...]]:
    rows: list[GateRow] = []
    totals: list[GateRow] = []
    for replay in (False, True):
        some = [p for p in pairs if p.replay == replay]
        if not some:
            continue
        by_label, over_all = intervals([(p.subject, p.label, p.after - p.before) for p in some])
        mine = [_row([p for p in some if p.label == label], label, found) for label, found in by_label.items()]
        before, after = float(np.mean([r.before for r in mine])), float(np.mean([r.after for r in mine]))
        totals.append(GateRow(ALL_LABELS, replay, before, after, *_counts(some), *(over_all or (None, None))))
        rows += mine
    return tuple(rows), tuple(totals)


def _row(pairs: Sequence[GatePair], label: int, interval: tuple[float, float] | None) -> GateRow:
    before, after = float(np.mean([p.before for p in pairs])), float(np.mean([p.after for p in pairs]))
    return GateRow(label, pairs[0].replay, before, after, *_counts(pairs), *(interval or (None, None)))


def _counts(pairs: Iterable[GatePair]) -> tuple[int, int]:
    found = [(p.revision, p.subject) for p in pairs]
    return len({r for r, _ in found}), len({s for _, s in found})
