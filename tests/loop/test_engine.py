"""The warm process that predicts: which request comes first, how one is stopped, what is left when it dies."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from builders import study as make_study
from faults import drain
from learn.small import make_plan
from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import Cancelled, ModelError, RunError
from napari_apprentice.loop import engine as loop_engine
from napari_apprentice.loop.engine import Engine, Engines
from napari_apprentice.loop.predicting import PredictionRequest, begin, predict
from napari_apprentice.store.check import check
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.study import Study
from networks import add_version

TORCH = PredictSettings(backend="torch")


@pytest.fixture(scope="module")
def networked(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Three cases and a network of random weights."""
    made = make_study(tmp_path_factory.mktemp("engine"), cases=3)
    add_version(made, "v0001", make_plan(patch=(8, 16, 16)), seed=3)
    made.models.activate("v0001", "made by hand")
    return made


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.stop()


def sound(study: Study) -> bool:
    return drain(check(study.path))[0] == ()  # type: ignore[arg-type]


# ------------------------------------------------------------------- with the real network


def test_slabs_are_reported_and_can_be_read_before_the_case_is_done(networked: Study, engine: Engine) -> None:
    request = begin(networked, engine, ["c1"], TORCH, on_screen=True, focus=2)
    slabs = {}
    for progress in request.work():
        if progress.slab:
            found = request.slab("c1", *progress.slab)
            assert found is not None
            slabs[progress.slab] = found.labels
    whole = np.concatenate([slabs[s] for s in sorted(slabs)])
    stored = networked.predictions.read("c1", "v0001")
    np.testing.assert_array_equal(whole, stored.labels)
    assert stored.made["settings"]["backend"] == "torch"
    assert "torch" in stored.made["backend"]


def test_an_engine_killed_half_way_is_started_again_with_smaller_work(networked: Study, engine: Engine) -> None:
    cases = ["c1", "c2", "c3"] * 15  # not over before the kill
    work = predict(networked, engine, cases, TORCH)
    seen: list[Progress] = []
    while sum(p.slab is not None for p in seen) < 3:
        seen.append(next(work))
    killed = engine._process
    assert killed is not None
    os.kill(killed.pid, signal.SIGKILL)
    rest = drain(work)
    assert rest[0] == tuple(cases)
    told = [p.text for p in rest[1] if "started again" in p.text]
    assert told == [
        "The prediction process was killed, perhaps for want of memory. It was started again, with smaller work."
    ]
    requests = [networked.runs.open(run_id).request for run_id in networked.runs.ids()]
    (second,) = (r for r in requests if r.get("settings", {}).get("memory_mb") == TORCH.memory_mb // 2)
    assert len(second["cases"]) < len(cases)  # what was done is not done again
    assert all(networked.predictions.has(c, "v0001") for c in set(cases))
    assert sound(networked)


@pytest.mark.slow
def test_a_case_that_kills_the_process_again_and_again_is_left_out(networked: Study, engine: Engine) -> None:
    request, kills = begin(networked, engine, ["c1", "c2", "c3"], TORCH), 0
    for progress in request.work():
        if progress.case_id == "c2" and kills < 2:
            kills += 1
            assert engine._process is not None
            os.kill(engine._process.pid, signal.SIGKILL)
    assert request.refused == {"c2": "The prediction process was killed, perhaps for want of memory."}
    assert request.run is not None
    assert request.run.request["cases"] == ["c3"]
    assert request.run.request["settings"]["memory_mb"] == TORCH.memory_mb  # less only for the case that was at fault


def test_a_case_that_cannot_be_predicted_is_told_and_the_others_are_predicted(
    networked: Study, engine: Engine, tmp_path: Path
) -> None:
    study = Study.open(Path(shutil.copytree(networked.path, tmp_path / "odd.study")))
    for case_id in study.cases.ids():
        shutil.rmtree(study.cases.folder(case_id) / "predictions", ignore_errors=True)
    geometry = study.cases.info("c1").geometry
    two = Volume(np.zeros((2, *geometry.shape), np.int16), geometry, ("T1", "T2"), "x.nii.gz", "0" * 64)
    study.cases.add("a2", "s9", two)
    (study.cases.folder("c1") / "image" / "zarr.json").write_text("{")
    request = begin(study, engine, study.cases.ids(), TORCH)
    drain(request.work())
    assert [c for c in study.cases.ids() if study.predictions.has(c, "v0001")] == ["c2", "c3"]
    assert request.refusals() == (
        "2 of 4 cases could not be predicted; the others are.\n"
        "a2: Case a2 has 2 channels, model version v0001 takes 1.\n"
        "c1: The stored group c1/image is damaged: image/zarr.json is damaged: it is not JSON."
    )
    with pytest.raises(RunError, match="None of them could be predicted"):
        drain(begin(study, engine, ["a2", "c1"], TORCH).work())
    with pytest.raises(ModelError, match="Case a2 has 2 channels"):
        drain(begin(study, engine, ["a2"], TORCH).work())


# --------------------------------------------------------------- with a task that takes its time

SLOW = """
import sys, time, types
importing_torch = ("loop.worker_predict", "loop.worker_train", "loop.worker_import", "learn.ranks", "learn.device")
for name in importing_torch:
    parts = ("PredictionTask", "train", "import_weights", "several", "first_here", "release_memory")
    sys.modules["napari_apprentice." + name] = types.SimpleNamespace(**{part: lambda *_: None for part in parts})
from napari_apprentice.core.progress import Progress
from napari_apprentice.errors import Cancelled
from napari_apprentice.loop import worker
def task(run):
    window, deaf, steps = run.request["settings"]["window"], run.request["settings"]["deaf"], run.request["steps"]
    for step in range(steps):
        if run.cancelled() and not deaf:
            raise Cancelled("asked to stop")
        time.sleep(window)
        if run.request.get("fault"):
            raise {"MemoryError": MemoryError, "RuntimeError": RuntimeError}[run.request["fault"]]("no room")
        yield Progress(step + 1, steps, str(run.request["cases"][0]), slab=(step, step + 1))
    return {"cases": run.request["cases"], "model": "v0001"}
worker.task_for = lambda run, prediction: task
sys.exit(worker.main(["--serve"]))
"""


@pytest.fixture(scope="module")
def slow() -> Iterator[Engine]:
    made = Engine(program=("-c", SLOW))
    yield made
    made.stop()


class Sleeper(PredictionRequest):
    """A request for sleep: windows of so many seconds."""

    steps, window, deaf, fault = 40, 0.05, False, ""

    def _request(self) -> dict[str, Any]:
        settings = {"window": self.window, "deaf": self.deaf}
        return {**super()._request(), "settings": settings, "steps": self.steps, "fault": self.fault}


def ask(study: Study, engine: Engine, case: str, *, on_screen: bool = False, **facts: Any) -> Sleeper:
    made = Sleeper(study, engine, [case], TORCH, "v0001", on_screen=on_screen)
    for name, value in facts.items():
        setattr(made, name, value)
    return made


class Watcher:
    """Follows a request in a thread, as a window does."""

    def __init__(self, request: PredictionRequest) -> None:
        self.request = request
        self.seen: list[Progress] = []
        self.ended: float = 0.0
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        try:
            for progress in self.request.work():
                self.seen.append(progress)
        except Exception as error:  # noqa: BLE001 - looked at by the test
            self.error = error
        self.ended = time.monotonic()

    def until(self, done: Callable[[], Any], seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not done():
            time.sleep(0.005)
            assert time.monotonic() < end, self.seen

    def join(self) -> "Watcher":
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self


def events(request: PredictionRequest) -> list[str]:
    assert request.run is not None
    return [e["event"] for e in request.run.events()[0]]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path)


def test_the_case_on_the_screen_overtakes_a_cohort_which_then_goes_on(study: Study, slow: Engine) -> None:
    cohort = Watcher(ask(study, slow, "cohort"))
    cohort.until(lambda: cohort.seen)
    screen = Watcher(ask(study, slow, "screen", on_screen=True, steps=3)).join()
    assert screen.error is None
    assert not cohort.ended
    before = len(cohort.seen)
    cohort.join()
    assert cohort.error is None
    assert cohort.ended > screen.ended
    assert len(cohort.seen) > before
    assert [(p.done, p.text) for p in cohort.seen] == [(n, "cohort") for n in range(1, 41)]  # none was done twice


def test_of_two_cases_on_the_screen_the_newest_wins(study: Study, slow: Engine) -> None:
    first = Watcher(ask(study, slow, "first", on_screen=True))
    first.until(lambda: first.seen)
    second = Watcher(ask(study, slow, "second", on_screen=True))
    third = Watcher(ask(study, slow, "third", on_screen=True, steps=2))
    for watcher in (first, second, third):
        watcher.join()
    assert isinstance(first.error, Cancelled)
    lost, won = sorted((second, third), key=lambda w: w.error is None)  # two threads: either may have come last
    assert (type(lost.error), won.error) == (Cancelled, None)


@pytest.mark.alone
def test_a_cancelled_request_stops_within_a_second_and_the_process_stays(study: Study, slow: Engine) -> None:
    watcher = Watcher(ask(study, slow, "c1"))
    watcher.until(lambda: watcher.seen)
    process, asked = slow._process, time.monotonic()
    watcher.request.cancel()
    watcher.join()
    assert isinstance(watcher.error, Cancelled)
    assert watcher.ended - asked < 1.0
    assert events(watcher.request)[-1] == "cancelled"
    assert Watcher(ask(study, slow, "c1", steps=1)).join().error is None
    assert slow._process is process


@pytest.mark.alone
def test_a_process_that_does_not_stop_is_not_waited_for_and_others_go_on(
    study: Study, slow: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_engine, "DEAF_SECONDS", 0.5)
    waiting_on = ask(study, slow, "deaf", window=5.0, steps=2, deaf=True)
    watcher = Watcher(waiting_on)
    watcher.until(lambda: waiting_on.run is not None and "started" in events(waiting_on))
    behind = Watcher(ask(study, slow, "behind", steps=2))
    behind.until(lambda: behind.request.run is not None)
    time.sleep(0.2)
    process, asked = slow._process, time.monotonic()
    watcher.request.cancel()
    watcher.join()
    assert isinstance(watcher.error, Cancelled)
    assert watcher.ended - asked < 1.0
    assert behind.join().error is None  # taken up by the next process
    assert process is not None
    assert process.poll() is not None
    assert not any("started again" in p.text for p in behind.seen)  # nothing had gone wrong


@pytest.mark.alone
def test_a_long_window_of_a_cancelled_case_ends_neither_the_process_nor_the_cohort(study: Study, slow: Engine) -> None:
    cohort = Watcher(ask(study, slow, "cohort", window=0.1))
    cohort.until(lambda: cohort.seen)
    process = slow._process
    for _ in range(2):  # one more death than a case may have
        screen = Watcher(ask(study, slow, "screen", on_screen=True, window=1.2, deaf=True, steps=1))
        screen.until(lambda s=screen: s.request.run is not None and "started" in events(s.request))
        asked = time.monotonic()
        screen.request.cancel()
        assert isinstance(screen.join().error, Cancelled)
        assert screen.ended - asked < 1.0
    assert cohort.join().error is None
    assert slow._process is process
    assert [p.done for p in cohort.seen] == list(range(1, 41))  # none was done twice


@pytest.mark.alone
def test_a_cohort_that_was_overtaken_is_cancelled_without_harm_to_the_case_on_the_screen(
    study: Study, slow: Engine
) -> None:
    cohort = Watcher(ask(study, slow, "cohort"))
    cohort.until(lambda: cohort.seen)
    screen = Watcher(ask(study, slow, "screen", on_screen=True, steps=25))
    screen.until(lambda: screen.seen)
    process, asked = slow._process, time.monotonic()
    cohort.request.cancel()
    assert isinstance(cohort.join().error, Cancelled)
    assert cohort.ended - asked < 0.5
    assert screen.join().error is None
    assert slow._process is process
    cohort.until(lambda: events(cohort.request)[-1] == "cancelled")


def test_a_death_is_counted_only_for_the_case_that_was_at_work(study: Study, slow: Engine) -> None:
    cohort = Watcher(ask(study, slow, "cohort", steps=10))
    cohort.until(lambda: cohort.seen)
    screen = Watcher(ask(study, slow, "screen", on_screen=True, window=0.1))
    for _ in range(2):
        seen = sum(p.slab is not None for p in screen.seen)
        screen.until(lambda n=seen: sum(p.slab is not None for p in screen.seen) > n)
        assert slow._process is not None
        slow._process.kill()
        screen.until(lambda: screen.ended or any("started again" in p.text for p in screen.seen))
    assert isinstance(screen.join().error, RunError)
    assert cohort.join().error is None
    assert not any("started again" in p.text for p in cohort.seen)


@pytest.mark.alone
def test_a_request_that_has_not_begun_is_cancelled_at_once_and_never_begins(study: Study, slow: Engine) -> None:
    cohort = Watcher(ask(study, slow, "cohort", steps=30))
    cohort.until(lambda: cohort.seen)
    waiting = Watcher(ask(study, slow, "waiting"))
    waiting.until(lambda: waiting.request.run is not None)
    time.sleep(0.1)
    asked = time.monotonic()
    waiting.request.cancel()
    waiting.join()
    assert isinstance(waiting.error, Cancelled)
    assert waiting.ended - asked < 0.5
    cohort.join()
    waiting.until(lambda: "cancelled" in events(waiting.request))
    assert "progress" not in events(waiting.request)


def test_a_process_that_dies_again_is_told(study: Study, slow: Engine) -> None:
    request = ask(study, slow, "c1", window=0.1)
    watcher = Watcher(request)
    for _ in range(2):
        watcher.until(lambda: slow._process is not None and slow._process.poll() is None and request.run is not None)
        watcher.until(lambda: "progress" in events(request))
        assert slow._process is not None
        slow._process.kill()
        slow._process.wait()
        time.sleep(0.2)
    watcher.join()
    assert isinstance(watcher.error, RunError)
    assert str(watcher.error) == (
        "The prediction process was killed, perhaps for want of memory. The study is unharmed; predict again."
    )


@pytest.mark.parametrize(
    ("fault", "told"), [("MemoryError", "not enough memory"), ("RuntimeError", "unexpected fault")]
)
def test_what_goes_wrong_inside_is_told_and_the_process_stays(
    study: Study, slow: Engine, fault: str, told: str
) -> None:
    watcher = Watcher(ask(study, slow, "c1", fault=fault)).join()
    assert isinstance(watcher.error, RunError)
    assert told in str(watcher.error)
    process = slow._process
    assert Watcher(ask(study, slow, "c1", steps=1)).join().error is None
    assert slow._process is process


def test_each_device_has_a_process_of_its_own(study: Study) -> None:
    engines = Engines()
    engines._engines = {d: Engine(program=("-c", SLOW)) for d in ("cpu", "cuda")}
    try:
        both = [Watcher(ask(study, engines.of(d), d, steps=20)) for d in ("cpu", "cuda")]
        for watcher in both:
            watcher.until(lambda w=watcher: w.seen, seconds=90)  # two processes import torch, at low priority
        first, second = (engines.of(d)._process for d in ("cpu", "cuda"))
        assert first is not None
        assert second is not None
        assert first.pid != second.pid
        assert not any(w.ended for w in both)  # side by side
        engines.stop()
        assert not psutil.pid_exists(first.pid)
        assert not psutil.pid_exists(second.pid)
        for watcher in both:
            watcher.join()
            assert isinstance(watcher.error, Cancelled)
        assert all(engines.of(d)._process is None for d in ("cpu", "cuda"))  # nobody started one again
    finally:
        engines.stop()


def _pid(run: RunFolder) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        starts = [e for e in run.events()[0] if e["event"] == "started"]
        if starts:
            return int(starts[-1]["pid"])
        time.sleep(0.05)
    raise TimeoutError


def test_an_engine_whose_asker_was_killed_leaves_its_work(study: Study) -> None:
    """Its input closes; the run under way is asked to stop, and the process ends."""
    run = study.runs.create("predict", {"settings": {"window": 0.02, "deaf": False}, "steps": 10000, "cases": ["c1"]})
    child = subprocess.Popen([sys.executable, "-c", SLOW], stdin=subprocess.PIPE, text=True)
    assert child.stdin is not None
    child.stdin.write(json.dumps({"run": str(run.path)}) + "\n")
    child.stdin.flush()
    _pid(run)
    child.stdin.close()
    assert child.wait(timeout=30) == 0
    assert run.events()[0][-1]["event"] == "cancelled"


def test_a_request_nobody_understands_ends_the_process_so_that_nobody_waits_for_ever(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", SLOW], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    child.communicate(json.dumps({"run": str(tmp_path)}) + "\n", timeout=60)
    assert child.returncode not in (0, None)
