"""The review queue puts first what teaches most, and never hides begun work."""

import pytest

from napari_apprentice.core.ranking import Candidate, QueueItem, next_item, review_queue

MODEL = "v0002"


def test_begun_work_then_lowest_quality_then_unpredicted() -> None:
    queue = review_queue(
        [
            Candidate("good", 0.9, True, False, False),
            Candidate("bad", 0.4, True, False, False),
            Candidate("new", None, False, False, False),
            Candidate("empty", None, True, False, False),
            Candidate("begun", 0.95, True, True, True),
            Candidate("finished", 0.2, True, True, False),
        ],
        MODEL,
    )
    assert [q.case_id for q in queue] == ["begun", "empty", "bad", "good", "new"]
    assert "0.40" in queue[2].reason


def test_a_label_that_was_missed_counts_as_wrong() -> None:
    """The mean over what was found is best where most was overlooked."""
    whole = [Candidate(c, 0.8, True, False, False, (("liver", 0.9), ("kidney", 0.7))) for c in "abcd"]
    missed = Candidate("e", 0.95, True, False, False, (("liver", 0.95),))
    queue = review_queue([*whole, missed], MODEL)
    assert queue[0].case_id == "e"
    assert queue[0].score == pytest.approx(1 - 0.95 / 2)
    assert queue[0].reason == "predicted Dice 0.95, and no kidney, found in most other cases"
    assert review_queue([whole[0], whole[1], missed], MODEL)[-1].case_id == "e"  # too few to say what is usual
    few = [Candidate(c, 0.8, True, False, False, (("liver", 0.8),)) for c in "fghi"]
    assert review_queue([whole[0], *few, missed], MODEL)[-1].case_id == "e"  # a tumour is not in every scan


def test_scans_without_a_lesion_do_not_come_before_all_that_have_one() -> None:
    """In a study of lesions half of the scans may have none; each came before the worst of the others."""
    lesions = [Candidate(f"lesion {q}", q, True, False, False, (("lesion", q),)) for q in (0.3, 0.4, 0.8)]
    without = [Candidate(f"none {n}", None, True, False, False) for n in range(4)]
    queue = review_queue([*without, *lesions], MODEL)
    assert [q.case_id[-3:] for q in queue] == ["0.3", "0.4", *("e 0", "e 1", "e 2", "e 3"), "0.8"]
    assert queue[2].score == pytest.approx(0.5)  # three of six others
    assert queue[2].reason == "the prediction found no label at all, as in other cases"
    assert review_queue([without[0], *lesions], MODEL)[0].case_id == "none 0"  # all others have one


def test_what_is_not_learned_from_comes_last_and_says_so() -> None:
    queue = review_queue(
        [
            Candidate("held", 0.1, True, False, False, held_out=True),
            Candidate("held new", None, False, False, False, held_out=True),
            Candidate("new", None, False, False, False),
            Candidate("good", 0.9, True, False, False, models=("v0001", "v0002")),
            Candidate("held begun", 0.9, True, False, True, held_out=True),
        ],
        MODEL,
    )
    assert [q.case_id for q in queue] == ["held begun", "good", "new", "held", "held new"]
    assert queue[3].reason == "predicted Dice 0.10; its subject is held out, not learned from"
    assert queue[1].reason == "predicted Dice 0.90, which says how well v0001 and v0002 agree"


def test_ties_go_by_case_id() -> None:
    items = [Candidate(c, 0.5, True, False, False) for c in "bca"]
    assert [q.case_id for q in review_queue(items, MODEL)] == ["a", "b", "c"]


def test_going_on_without_correcting_comes_by_every_case_before_it_comes_back() -> None:
    queue = review_queue([Candidate(c, q, True, False, False) for c, q in (("a", 0.2), ("b", 0.3), ("c", 0.4))], MODEL)
    passed: dict[QueueItem, int] = {}
    seen: list[str] = []
    for press in range(1, 7):
        ahead = next_item(queue, seen[-1] if seen else None, passed)
        assert ahead is not None
        passed[ahead] = press
        seen.append(ahead.case_id)
    assert seen == ["a", "b", "c", "a", "b", "c"]


def test_a_new_prediction_makes_a_case_that_was_passed_over_next_again() -> None:
    last = Candidate("b", 0.3, True, False, False)
    first, second = review_queue([Candidate("a", 0.2, True, False, False), last], MODEL)
    anew = review_queue([Candidate("a", 0.1, True, False, False), last], MODEL)
    assert next_item(anew, None, {first: 1, second: 2}) == anew[0]
    assert next_item([], "a") is None


def test_what_was_not_predicted_says_by_which_model_version_and_whether_there_is_one() -> None:
    new = [Candidate(c, None, False, False, False) for c in "ba"]
    assert [q.reason for q in review_queue(new, MODEL)] == ["no prediction by v0002 yet"] * 2
    first, second = review_queue(new, None)
    assert (first.case_id, second.case_id) == ("a", "b")
    assert first.reason == "in order of name, as no model version says yet what teaches most"


def test_after_a_fine_tune_what_was_hard_before_comes_first() -> None:
    new = [
        Candidate("a", None, False, False, False),
        Candidate("b", None, False, False, False, earlier="v0001", earlier_quality=0.9),
        Candidate("c", None, False, False, False, earlier="v0001", earlier_quality=0.4),
        Candidate("d", 0.95, True, False, False),
        Candidate("e", None, False, False, False, earlier="v0001"),
    ]
    queue = review_queue(new, MODEL)
    assert [q.case_id for q in queue] == ["d", "e", "c", "b", "a"]
    assert queue[2].reason == "predicted Dice 0.40 by v0001, no prediction by v0002 yet"
    assert queue[1].reason == "no label at all by v0001, no prediction by v0002 yet"
