import pytest

from napari_apprentice.core.config import TrainSettings
from napari_apprentice.core.progress import Progress
from napari_apprentice.learn.pace import Pace, plan_pace, time_prediction, time_steps


def test_the_time_is_filled_with_steps():
    assert plan_pace(60.0, 0.5, 0.0, 100).steps == 120
    assert plan_pace(0.0, 0.5, 0.0, 100).steps == 1  # something is always learned


@pytest.mark.parametrize("measuring", [0.1, 1.0, 8.0])
def test_measuring_takes_its_time_but_never_most_of_it(measuring):
    pace = plan_pace(60.0, 0.1, measuring, 100)
    assert pace.every >= 100
    measured = pace.steps / pace.every * measuring
    assert measured <= 0.16 * 60
    assert 0.1 * pace.steps + measured <= 60
    assert 0.1 * (pace.steps + 2) + measured > 59


def test_what_takes_too_long_to_measure_is_left_to_the_gate():
    assert plan_pace(60.0, 0.1, 30.0, 100).every == 0


def test_the_first_steps_are_not_counted_and_slow_ones_are_tried_fewer_times(monkeypatch):
    clock, done = [0.0], []
    monkeypatch.setattr("napari_apprentice.learn.pace.time.monotonic", lambda: clock[0])

    def step(number, long):
        done.append(number)
        clock[0] += 50.0 * long if number < 2 else long

    assert time_steps(lambda n: step(n, 0.1), 10_000.0, bool) == pytest.approx(0.1)
    assert len(done) == 7
    done.clear()
    assert time_steps(lambda n: step(n, 4.0), 120.0, bool) == pytest.approx(200.0)
    assert done == [0]


@pytest.mark.parametrize(
    ("budget", "tried"),
    [(1000.0, 8), (100.0, 3)],  # a share of 50 s, and of 5
)
def test_a_prediction_that_takes_long_is_timed_by_its_first_windows(budget, tried, monkeypatch):
    clock, done, closed = [0.0], [], []
    monkeypatch.setattr("napari_apprentice.learn.pace.time.monotonic", lambda: clock[0])

    def predicted():
        try:
            for i in range(1, 9):
                clock[0] += 2.0
                done.append(i)
                yield Progress(i, 8, "Predicting")
        finally:
            closed.append(True)

    assert time_prediction(predicted(), budget) == pytest.approx(16.0)
    assert len(done) == tried
    assert closed  # what it holds on to is given back before the first step


def test_a_night_of_quick_steps_is_no_more_than_a_run_can_have():
    pace = plan_pace(500 * 60.0, 0.01, 0.0, 100)
    assert TrainSettings(steps=pace.steps).steps == 1_000_000
    assert pace.sentence(500) == "1000000 steps of 0.01 s, the most of one run, take no longer than 500 minutes."


def test_what_is_told_of_a_pace_is_true():
    assert Pace(300, 0, 0.047, 0.0).sentence(0.25) == "300 steps of 0.047 s fit into 0.25 minutes."
    assert Pace(1, 0, 40.0, 0.0).sentence(1.0) == "1 step of 40 s fits into 1 minute."
    alone = Pace(1, 0, 200.0, 0.0).sentence(2.0)
    assert alone == "A step takes 200 s, which is more than 2 minutes: a single one is trained."
