from collections.abc import Generator

from pytestqt.qtbot import QtBot

from napari_apprentice.core.progress import Progress
from napari_apprentice.errors import Cancelled, ScanError
from napari_apprentice.gui.work import Runner


def counting(n: int) -> Generator[Progress, None, int]:
    for done in range(n):
        yield Progress(done, n, f"Step {done}")
    return n


def test_a_generator_is_driven_to_its_end_and_every_report_arrives(qtbot: QtBot) -> None:
    runner = Runner("log")
    job = runner.run("Counting", lambda: counting(5))
    heard: list[Progress] = []
    job.progressed.connect(heard.extend)
    with qtbot.waitSignal(job.returned) as got:
        pass
    assert got.args == [5]
    assert [p.done for p in heard] == [0, 1, 2, 3, 4]
    assert not runner.busy


def test_an_error_of_ours_is_told_once_as_its_sentence(qtbot: QtBot) -> None:
    runner, told = Runner("log"), []
    runner.went_wrong.connect(told.append)

    def fail() -> None:
        raise ScanError("scan.nii is no scan.")

    with qtbot.waitSignal(runner.run("Failing", fail).ended):
        pass
    assert told == ["scan.nii is no scan."]


def test_an_unexpected_error_says_where_the_log_is(qtbot: QtBot) -> None:
    runner, told = Runner("/logs/apprentice.log"), []
    runner.went_wrong.connect(told.append)
    with qtbot.waitSignal(runner.run("Failing", lambda: 1 / 0).ended):
        pass
    assert len(told) == 1
    assert "/logs/apprentice.log" in told[0]
    assert "Traceback" not in told[0]


def test_cancel_closes_the_generator_and_says_nothing_of_an_error(qtbot: QtBot) -> None:
    runner, told, closed = Runner("log"), [], []
    runner.went_wrong.connect(told.append)

    def endless() -> Generator[Progress, None, None]:
        try:
            while True:
                yield Progress(0, 0, "Going on")
        finally:
            closed.append(True)

    job = runner.run("Endless", endless)
    with qtbot.waitSignal(job.cancelled):
        job.cancel()
    assert closed == [True]
    assert told == []


def test_a_verb_that_was_cancelled_elsewhere_counts_as_cancelled(qtbot: QtBot) -> None:
    runner = Runner("log")

    def cancelled() -> None:
        raise Cancelled("Asked to.")

    with qtbot.waitSignal(runner.run("Training", cancelled).cancelled):
        pass


def test_quiet_jobs_are_not_shown(qtbot: QtBot) -> None:
    runner = Runner("log")
    job = runner.run("Reading", lambda: 1, quiet=True)
    assert runner.shown is None
    with qtbot.waitSignal(job.ended):
        pass
