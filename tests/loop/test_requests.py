"""The order in which a warm process does what it is asked for."""

import json
import time
from pathlib import Path

import pytest

from builders import study as make_study
from napari_apprentice.core.config import PredictSettings
from napari_apprentice.errors import InputError
from napari_apprentice.loop.requests import Requests, WarmUp
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study

HOW = PredictSettings(device="cpu", ensemble="v0002")


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path)


class Line:
    """Standard input that stays open until it is told to end."""

    def __init__(self, *messages: dict[str, object]) -> None:
        self.lines = [json.dumps(m) + "\n" for m in messages]
        self.open = True
        self.idle = False
        """Whether the reader has dealt with every line and waits for the next."""

    def __iter__(self) -> "Line":
        return self

    def __next__(self) -> str:
        while not self.lines:
            self.idle = True
            if not self.open:
                raise StopIteration
            time.sleep(0.002)
        self.idle = False  # before the line is gone, so that there is no moment that looks like rest
        return self.lines.pop(0)

    def say(self, message: dict[str, object]) -> None:
        """One more line, and wait until it was dealt with."""
        self.lines.append(json.dumps(message) + "\n")
        heard(self)


def run(study: Study, *, on_screen: bool = False, focus: int | None = None) -> RunFolder:
    return study.runs.create("predict", {"on_screen": on_screen, "focus": focus})


def asked(made: RunFolder) -> dict[str, object]:
    return {"run": str(made.path)}


def heard(line: Line) -> None:
    while line.lines or not line.idle:
        time.sleep(0.002)


def test_the_screen_comes_first_then_what_came_first(study: Study) -> None:
    cohort, later, screen = run(study), run(study), run(study, on_screen=True)
    line = Line(asked(cohort), {"warm": ["s", "v0001", HOW.to_json()]}, asked(later), asked(screen))
    requests = Requests(line)
    heard(line)
    got = [requests.next() for _ in range(4)]
    assert [getattr(r, "run_id", r) for r in got] == [
        screen.run_id, cohort.run_id, WarmUp(Path("s"), "v0001", HOW), later.run_id,
    ]  # fmt: skip
    line.open = False
    assert requests.next() is None


def test_reading_ahead_makes_way_for_anything_but_its_own_case(study: Study) -> None:
    line = Line({"warm": ["s", "v0001", HOW.to_json()], "case": ["c1", 7]})
    requests = Requests(line)
    heard(line)
    assert requests.next() == WarmUp(Path("s"), "v0001", HOW, "c1", 7)
    assert not requests.others_than("c1")
    line.say(asked(study.runs.create("predict", {"on_screen": True, "cases": ["c1"]})))
    heard(line)
    assert not requests.others_than("c1")
    assert requests.others_than("c2")
    line.open = False
    while requests.next() is not None:
        pass
    assert requests.others_than("c1")


def test_only_the_screen_overtakes_and_only_others(study: Study) -> None:
    cohort, other, screen = run(study), run(study), run(study, on_screen=True)
    line = Line(asked(other), asked(screen))
    requests = Requests(line)
    heard(line)
    assert requests.overtaking(screen) is None
    found = requests.overtaking(cohort)
    assert isinstance(found, RunFolder)
    assert found.run_id == screen.run_id
    assert requests.overtaking(cohort) is None
    line.open = False


def test_a_newer_case_on_the_screen_cancels_the_older_ones_and_no_cohort(study: Study) -> None:
    cohort, now, waiting, newest = (run(study, on_screen=s) for s in (False, True, True, True))
    line = Line(asked(cohort), asked(now))
    requests = Requests(line)
    heard(line)
    under_way = requests.next()
    assert isinstance(under_way, RunFolder)
    assert under_way.run_id == now.run_id
    line.say(asked(waiting))
    assert now.cancelled()
    requests.end(under_way)
    line.say(asked(newest))
    assert [r.cancelled() for r in (cohort, waiting, newest)] == [False, True, False]
    line.open = False


def test_when_the_asker_is_gone_all_is_cancelled_and_nothing_begins(study: Study) -> None:
    now, waiting = run(study), run(study)
    line = Line(asked(now), asked(waiting))
    requests = Requests(line)
    heard(line)
    assert isinstance(requests.next(), RunFolder)
    assert not now.cancelled()
    line.open = False
    while not now.cancelled():
        time.sleep(0.002)
    assert requests.next() is None


def test_the_slice_looked_at_is_the_newest(study: Study) -> None:
    made = run(study, on_screen=True, focus=7)
    line = Line()
    requests = Requests(line)
    focus, other = requests.focus(made, "c1"), requests.focus(made, "c2")
    assert (focus(), other()) == (7, 7)
    line.say({"look": ["c1", 31]})
    assert (focus(), other()) == (31, 7)
    line.say({"look": ["c1", None]})
    assert focus() is None
    line.say({"look": ["c1", 31]})
    newer = study.runs.create("predict", {"on_screen": True, "focus": 4, "cases": ["c1"]})
    line.say(asked(newer))
    assert requests.focus(newer, "c1")() == 4  # the look may have been at a case of that name in another study
    line.open = False


def test_a_run_that_cannot_be_read_is_no_silence(tmp_path: Path) -> None:
    requests = Requests(Line({"run": str(tmp_path)}))
    with pytest.raises(InputError, match="no run folder"):
        requests.next()
