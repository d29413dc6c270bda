"""The gate lets a better candidate through and nothing else."""

import json
from dataclasses import replace

import pytest

from napari_apprentice.core.gate import ALL_LABELS, CaseScore, GatePair, GateReport, first_fault
from napari_apprentice.core.gate import judge as judge_named


def judge(before: list[CaseScore], after: list[CaseScore]) -> GateReport:
    return judge_named(before, after, {1: "liver", 2: "kidney"})


def _scores(*values: float, replay: bool = False) -> list[CaseScore]:
    return [CaseScore(f"c{i}/r0001", 1, v, replay) for i, v in enumerate(values)]


def test_better_on_corrections_passes() -> None:
    report = judge(_scores(0.5, 0.6), _scores(0.7, 0.8))
    assert report.passed
    assert report.rows[0].before == 0.55
    assert report.rows[0].cases == 2


def test_worse_on_corrections_stays_a_candidate() -> None:
    report = judge(_scores(0.8, 0.8), _scores(0.8, 0.7))
    assert not report.passed
    assert "0.800 to 0.750" in report.reason


def test_a_small_loss_is_told_with_the_places_that_show_it() -> None:
    report = judge(_scores(0.8904, 0.8904), _scores(0.8899, 0.8899))
    assert report.reason == "held-out corrections get worse: mean Dice 0.8904 to 0.8899"


def test_one_label_may_not_pay_for_another() -> None:
    before = [CaseScore("a/r0001", 1, 0.5), CaseScore("a/r0001", 2, 0.9)]
    after = [CaseScore("a/r0001", 1, 0.9), CaseScore("a/r0001", 2, 0.8)]
    report = judge(before, after)
    assert not report.passed
    assert "kidney" in report.reason


def _beside_an_empty_scan(dice: float, stray: int) -> list[CaseScore]:
    """Four scans with a liver of 1000 voxels, and one without, where so many voxels are called liver all the same."""
    there = [CaseScore(f"c{i}/r0001", 1, dice, size=1000, found=1000) for i in range(4)]
    return there + ([CaseScore("c4/r0001", 1, 0.0, size=0, found=stray)] if stray else [])


def test_a_stray_voxel_where_a_label_is_absent_does_not_outweigh_the_scans_that_have_it() -> None:
    worse = judge(_beside_an_empty_scan(0.9, stray=1), _beside_an_empty_scan(0.75, stray=0))
    assert not worse.passed
    assert "mean Dice 0.920 to 0.800" in worse.reason
    assert judge(_beside_an_empty_scan(0.75, stray=0), _beside_an_empty_scan(0.9, stray=1)).passed
    invented = judge(_beside_an_empty_scan(0.9, stray=0), _beside_an_empty_scan(0.9, stray=1000))
    assert "mean Dice 0.920 to 0.853" in invented.reason


def test_held_out_background_alone_proves_nothing_of_a_model_that_finds_nothing() -> None:
    report = judge_named([CaseScore("c0/r0001", 1, 0.0, size=0, found=7)], [], {}, corrections=1)
    assert not report.passed
    assert not report.found_worse
    assert "the held-out corrections are background alone" in report.reason


def test_forgetting_earlier_scans_is_caught() -> None:
    replay = CaseScore("old/r0001", 1, 0.9, replay=True)
    forgot = CaseScore("old/r0001", 1, 0.85, replay=True)
    report = judge([*_scores(0.5), replay], [*_scores(0.9), forgot])
    assert not report.passed
    assert "forgotten" in report.reason


def test_without_proof_nothing_passes() -> None:
    nothing = judge([], [])
    assert not nothing.passed
    assert "no corrected scan is held out" in nothing.reason
    replay_only = judge(_scores(0.5, replay=True), _scores(0.9, replay=True))
    assert not replay_only.passed
    assert "only scans corrected earlier are held out" in replay_only.reason
    assert not replay_only.found_worse


def test_a_held_out_correction_without_any_label_is_not_said_to_be_missing() -> None:
    report = judge_named([], [], {}, corrections=1)
    assert not report.passed
    assert "the held-out corrections are background alone" in report.reason
    assert not report.found_worse


def test_two_that_agree_nowhere_prove_nothing() -> None:
    report = judge(_scores(0.0, 0.0004), _scores(0.0, 0.0005))
    assert not report.passed
    assert "neither model version agrees" in report.reason
    assert not report.found_worse  # whoever makes it active all the same need not say why
    assert judge(_scores(0.0, 0.0), _scores(0.0, 0.01)).passed


def test_one_that_agrees_nowhere_any_more_got_worse() -> None:
    report = judge(_scores(0.2), _scores(0.0))
    assert report.found_worse
    assert "get worse" in report.reason


def test_forgetting_speaks_against_it_also_where_no_correction_is_held_out() -> None:
    report = judge(_scores(0.9, replay=True), _scores(0.5, replay=True))
    assert report.found_worse
    assert "forgotten" in report.reason


def test_report_reads_back() -> None:
    report = judge(_scores(0.5), _scores(0.9))
    assert GateReport.from_json(report.to_json()) == report


def test_a_label_invented_by_the_candidate_counts_against_it() -> None:
    present = [CaseScore("a/r0001", 1, 0.8)]
    report = judge(present, [CaseScore("a/r0001", 1, 0.9), CaseScore("a/r0001", 2, 0.0)])
    assert not report.passed
    assert judge([*present, CaseScore("a/r0001", 2, 0.0)], [CaseScore("a/r0001", 1, 0.9)]).passed


def _people(values: list[float], label: int = 1, *, replay: bool = False, kind: str = "c") -> list[CaseScore]:
    return [CaseScore(f"{kind}{i}/r0001", label, v, replay, f"s{i}") for i, v in enumerate(values)]


def test_earlier_scans_may_drop_by_one_point_a_label_and_half_a_point_in_the_mean() -> None:
    corrections = ([CaseScore("a/r0001", 1, 0.5)], [CaseScore("a/r0001", 1, 0.9)])

    def replay(*drops: float) -> GateReport:
        before = [CaseScore("old/r0001", i, 0.9, replay=True) for i, _ in enumerate(drops, 1)]
        after = [CaseScore("old/r0001", i, 0.9 - d, replay=True) for i, d in enumerate(drops, 1)]
        return judge([*corrections[0], *before], [*corrections[1], *after])

    assert replay(0.009, 0.0).passed
    assert "liver is forgotten" in replay(0.011, -0.05).reason
    assert "earlier scans are forgotten" in replay(0.009, 0.009).reason


def test_pairs_are_kept_with_their_people() -> None:
    report = judge(_people([0.5, 0.6]), _people([0.7, 0.5]))
    assert report.pairs == (
        GatePair("c0/r0001", "s0", 1, False, 0.5, 0.7), GatePair("c1/r0001", "s1", 1, False, 0.6, 0.5),
    )  # fmt: skip
    assert (report.rows[0].cases, report.rows[0].subjects) == (2, 2)
    assert report.totals[0].label == ALL_LABELS


def test_a_change_that_all_people_share_has_an_interval_of_no_width() -> None:
    row = judge(_people([0.5, 0.6, 0.7]), _people([0.6, 0.7, 0.8])).rows[0]
    assert row.low == pytest.approx(0.1)
    assert row.high == pytest.approx(0.1)
    assert row.interval == "+0.100 to +0.100"


def test_one_subject_has_no_interval_and_says_so() -> None:
    report = judge(_people([0.5]), _people([0.9]))
    assert report.rows[0].interval == ""
    assert "One held-out subject" in report.caution
    few = judge(_people([0.5, 0.6, 0.7]), _people([0.9, 0.9, 0.9]))
    assert "75 of 100" in few.caution
    assert judge(_people([0.5] * 12), _people([0.9] * 12)).caution == ""


def test_reports_of_earlier_versions_read_as_ever() -> None:
    stored = (
        '{"rows": [{"label": 1, "replay": false, "before": 0.5, "after": 0.75, "cases": 2}],'
        ' "passed": true, "reason": "better"}'
    )
    report = GateReport.from_json(json.loads(stored))
    assert report.passed
    assert report.rows[0].change == 0.25
    assert report.rows[0].interval == report.caution == ""
    assert GateReport.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_what_was_left_out_is_said() -> None:
    report = judge_named([], [], {}, left_out=2)
    assert "neither model version has learned the subject" in report.reason
    assert "2 held-out scans could not be measured on" in report.caution


def test_whom_it_was_compared_with_is_told_only_where_corrections_were_held_out() -> None:
    measured = replace(judge(_scores(0.5, 0.6), _scores(0.7, 0.8)), compared_with="v0001")
    assert measured.told == f"{measured.reason} (compared with v0001)"
    replay_alone = replace(judge(_scores(0.5, replay=True), _scores(0.5, replay=True)), compared_with="v0001")
    assert replay_alone.told == replay_alone.reason


@pytest.mark.parametrize(
    ("dice", "steps", "minutes", "says"),
    [
        ([0.0, 0.0004], 5000, 0.0, "nowhere"),
        ([0.0, 0.3], 1, 0.0, ""),  # the steps that were asked for
        ([0.05, 0.09], 1, 0.5, "only 1 step fitted into 0.5 minutes, the shortest preset takes 250, and its mean Dice"),
        ([0.05, 0.09], 250, 2.0, ""),
        ([0.1, 0.4], 60, 2.0, ""),
        ([], 49, 1.0, "only 49 steps fitted into 1 minute, the shortest preset takes 250, and no held-out scan"),
        ([], 50, 2.0, ""),
    ],
)
def test_a_first_model_version_is_active_unless_it_is_seen_or_bound_to_be_of_no_use(
    dice: list[float], steps: int, minutes: float, says: str
) -> None:
    scores = [CaseScore(f"c{n}/r0001", 1, value, size=9) for n, value in enumerate(dice)]
    found = first_fault([*scores, CaseScore("c9/r0001", 2, 0.0, size=0, found=3)], {1, 2}, steps, minutes)
    assert says in found
    assert bool(found) == bool(says)


def test_a_first_model_version_is_judged_by_the_labels_that_it_was_taught() -> None:
    kidney = CaseScore("c1/r0001", 2, 0.0, size=9)
    assert not first_fault([kidney], {1}, 5000, 0.0)
    assert "no held-out scan shows its worth" in first_fault([kidney], {1}, 1, 1.0)
    assert "the held-out corrections have no label that it was taught" in first_fault([], {1}, 1, 1.0, corrections=1)
    assert not first_fault([CaseScore("c2/r0001", 1, 0.1, size=9), kidney], {1}, 1, 1.0)
    assert "nowhere" in first_fault([kidney], {1, 2}, 5000, 0.0)


def test_one_label_of_many_that_is_found_is_not_nowhere() -> None:
    scores = [CaseScore("c1/r0001", label, 0.05 * (label == 7), size=9) for label in range(1, 118)]
    assert not first_fault(scores, range(1, 118), 5000, 0.0)


def test_scans_with_one_label_do_not_outvote_the_other_labels() -> None:
    scores = [CaseScore(f"c{n}/r0001", 1, 0.0, size=9) for n in range(1, 9)]
    assert not first_fault([*scores, CaseScore("c9/r0001", 2, 0.3, size=9)], {1, 2}, 1, 1.0)


def test_what_changed_no_voxel_is_not_better() -> None:
    scores = [CaseScore("c1/r0001", 1, 0.8, size=9)]
    assert judge(scores, scores).passed  # another map of the same Dice
    report = judge_named(scores, scores, {1: "liver"}, changed=False)
    assert not report.passed
    assert not report.found_worse
    assert "says the same" in report.reason
