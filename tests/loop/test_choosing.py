"""A person may go against the gate and back; who, when and why is kept."""

from dataclasses import replace
from pathlib import Path

import pytest

from builders import study as small_study
from faults import finish
from learn.small import make_plan
from napari_apprentice.core.gate import CaseScore, GateReport, judge
from napari_apprentice.core.records import ModelVersion, now
from napari_apprentice.errors import InputError, ModelError
from napari_apprentice.session import Session
from napari_apprentice.store.check import check


def _gate(*, better: bool) -> GateReport:
    scores = ([CaseScore("c1/r0001", 1, 0.5)], [CaseScore("c1/r0001", 1, 0.9)])
    return judge(*(scores if better else reversed(scores)), {1: "one"})


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """Three versions: the first, one that passed, one that the gate refused."""
    study = small_study(tmp_path, 3)
    weights = tmp_path / "w"
    weights.write_bytes(b"w")
    first = ModelVersion("v0001", None, now(), make_plan(), study.schema, (), (), None, {}, 0, {}, "", note="made here")
    study.models.register(first, weights)
    for name, better in (("v0002", True), ("v0003", False)):
        study.models.register(replace(first, name=name, parent="v0001", gate=_gate(better=better), note=""), weights)
    study.models.activate("v0001", "first model version")
    study.models.activate("v0002", "passed the gate")
    made = Session("ann")
    made.open_study(study.path)
    return made


def test_a_refused_candidate_is_activated_with_a_reason_only(session: Session) -> None:
    assert [row.refused for row in session.models()] == [False, False, True]
    with pytest.raises(InputError, match="did not pass the gate: held-out corrections get worse"):
        session.activate("v0003")
    assert session.study.models.active() == "v0002"
    session.activate("v0003", "it sees the small lesions")
    last = session.study.models.activations()[-1]
    assert (last.name, last.author, last.overrules, last.why) == ("v0003", "ann", "v0003", "it sees the small lesions")
    row = next(r for r in session.models() if r.name == "v0003")
    assert (row.active, row.passed, row.overruled) == (True, False, "ann: it sees the small lesions")
    assert finish(check(session.study.path)) == ()


@pytest.mark.parametrize("measured", [[], [CaseScore("c1/r0001", 1, 0.0)]], ids=["nothing", "agrees nowhere"])
def test_where_nothing_speaks_against_it_no_reason_is_asked_for(
    measured: list[CaseScore], session: Session, tmp_path: Path
) -> None:
    version = session.model("v0001")
    unproved = replace(version, name="v0004", parent="v0001", gate=judge(measured, measured, {1: "one"}))
    session.study.models.register(unproved, tmp_path / "w")
    row = session.models()[-1]
    assert (row.passed, row.refused) == (False, False)
    session.activate("v0004")
    assert session.study.models.activations()[-1].overrules == "v0004"


def test_an_accepted_one_is_refused_and_the_one_before_is_active_again(session: Session) -> None:
    with pytest.raises(InputError, match="Say why"):
        session.refuse_model("v0002", " ")
    with pytest.raises(ModelError, match="not the active"):
        session.refuse_model("v0001", "x")
    assert session.refuse_model("v0002", "misses the left kidney") == "v0001"
    assert session.study.models.active() == "v0001"
    known = session.model_details("v0002")
    assert [(t.name, t.overrules) for t in known.turns] == [("v0002", ""), ("v0001", "v0002")]
    assert known.turns[-1].why == "misses the left kidney"


def test_one_click_back_is_kept_too(session: Session) -> None:
    assert session.go_back() == "v0001"
    last = session.study.models.activations()[-1]
    assert (last.name, last.author, last.reason) == ("v0001", "ann", "went back from v0002 (ann)")
    with pytest.raises(ModelError, match="none to go back to"):  # and not to the one that was just left
        session.go_back()
    assert (session.previous_model(), session.study.models.active()) == (None, "v0001")


def test_going_back_again_leads_further_back_and_never_to_one_that_was_refused(session: Session) -> None:
    session.activate("v0003", "it sees the small lesions")
    assert session.refuse_model("v0003", "misses the left kidney") == "v0002"
    assert session.refuse_model("v0002", "misses it too") == "v0001"
    assert session.previous_model() is None
    session.activate("v0003", "it is better than nothing")  # a person may think better of it
    assert session.go_back() == "v0001"
    session.activate("v0002")
    session.activate("v0003", "it is quick")
    assert [session.go_back(), session.go_back()] == ["v0002", "v0001"]


def test_there_is_no_way_back_from_the_first(tmp_path: Path) -> None:
    made = Session("ann")
    made.open_study(small_study(tmp_path, 0).path)
    with pytest.raises(ModelError, match="none to go back to"):
        made.go_back()


def test_notes_are_changed_and_never_lost(session: Session) -> None:
    assert session.model_details("v0001").note == "made here"
    session.note_model("v0001", "site A only")
    session.note_model("v0001", "sites A and B")
    assert session.model_details("v0001").note == "sites A and B"
    assert [r["text"] for r in session.study.models.note_ledger.read()] == ["site A only", "sites A and B"]
    assert next(r.note for r in session.models() if r.name == "v0001") == "sites A and B"
    assert finish(check(session.study.path)) == ()
    with pytest.raises(ModelError):
        session.note_model("v0009", "x")


def test_lines_of_earlier_versions_read_as_ever(session: Session) -> None:
    session.study.models.ledger.append({"name": "v0001", "reason": "chosen by hand (bob)", "time": "then"})
    last = session.study.models.activations()[-1]
    assert (last.author, last.overrules, last.why) == ("", "", "")
