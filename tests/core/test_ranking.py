"""The review queue puts first what teaches most, and never hides begun work."""

from napari_apprentice.core.ranking import Candidate, review_queue


def test_begun_work_then_lowest_quality_then_unpredicted() -> None:
    queue = review_queue(
        [
            Candidate("good", 0.9, True, False, False),
            Candidate("bad", 0.4, True, False, False),
            Candidate("new", None, False, False, False),
            Candidate("empty", None, True, False, False),
            Candidate("begun", 0.95, True, True, True),
            Candidate("finished", 0.2, True, True, False),
        ]
    )
    assert [q.case_id for q in queue] == ["begun", "empty", "bad", "good", "new"]
    assert "0.40" in queue[2].reason


def test_ties_go_by_case_id() -> None:
    items = [Candidate(c, 0.5, True, False, False) for c in "bca"]
    assert [q.case_id for q in review_queue(items)] == ["a", "b", "c"]
