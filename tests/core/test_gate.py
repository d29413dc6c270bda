"""The gate lets a better candidate through and nothing else."""

from napari_apprentice.core.gate import CaseScore, GateReport
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


def test_one_label_may_not_pay_for_another() -> None:
    before = [CaseScore("a/r0001", 1, 0.5), CaseScore("a/r0001", 2, 0.9)]
    after = [CaseScore("a/r0001", 1, 0.9), CaseScore("a/r0001", 2, 0.8)]
    report = judge(before, after)
    assert not report.passed
    assert "kidney" in report.reason


def test_forgetting_earlier_scans_is_caught() -> None:
    replay = CaseScore("old/r0001", 1, 0.9, replay=True)
    forgot = CaseScore("old/r0001", 1, 0.85, replay=True)
    report = judge([*_scores(0.5), replay], [*_scores(0.9), forgot])
    assert not report.passed
    assert "forgotten" in report.reason


def test_without_proof_nothing_passes() -> None:
    assert not judge([], []).passed
    replay_only = judge(_scores(0.5, replay=True), _scores(0.9, replay=True))
    assert not replay_only.passed
    assert "no corrected scan is held out" in replay_only.reason


def test_report_reads_back() -> None:
    report = judge(_scores(0.5), _scores(0.9))
    assert GateReport.from_json(report.to_json()) == report


def test_a_label_invented_by_the_candidate_counts_against_it() -> None:
    present = [CaseScore("a/r0001", 1, 0.8)]
    report = judge(present, [CaseScore("a/r0001", 1, 0.9), CaseScore("a/r0001", 2, 0.0)])
    assert not report.passed
    assert judge([*present, CaseScore("a/r0001", 2, 0.0)], [CaseScore("a/r0001", 1, 0.9)]).passed
