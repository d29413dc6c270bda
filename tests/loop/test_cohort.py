"""Cohorts: what is there is skipped, what fails is told, and the result is the same wherever it is made."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import psutil
import pytest

from napari_apprentice.cli import main
from napari_apprentice.core.cohort import CaseDone, CohortReport, CohortSettings
from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.postprocess import PostRecipe, steps_of
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import Cancelled, InputError, ModelError, RunError
from napari_apprentice.loop import cohort_cluster, cohort_local
from napari_apprentice.loop.cohort import is_predicted, predict_cohort
from napari_apprentice.loop.cohort_local import places
from napari_apprentice.loop.engine import Engine
from napari_apprentice.loop.rows import case_rows
from napari_apprentice.store.postprocess import read_recipe, write_recipe
from napari_apprentice.store.runs import RunFolder, Runs
from napari_apprentice.store.study import Study
from napari_apprentice.store.unprocessed import read_unprocessed
from networks import MODEL, add_version, networked_study

CPU = PredictSettings(device="cpu", backend="torch")  # to convert a network for OpenVINO takes longer than the rest
USUAL = PredictSettings(device="cpu")  # the same bytes on any number of threads
ONE = CohortSettings()


class KeptEngine(Engine):
    """A real engine that stays warm from one test to the next: starting one takes longer than most tests."""

    free: list["KeptEngine"]

    def stop(self) -> None:
        """Give it back."""
        self.free.append(self)

    def end(self) -> None:
        """End its process."""
        super().stop()


@pytest.fixture(scope="module")
def kept() -> Iterator[list[KeptEngine]]:
    free: list[KeptEngine] = []
    yield free
    for engine in free:
        engine.end()


@pytest.fixture
def warm(kept: list[KeptEngine], monkeypatch: pytest.MonkeyPatch) -> None:
    """One worker at a time that has everything, which is there already where a test before needed it too."""
    keep_warm(kept, monkeypatch)


def keep_warm(kept: list[KeptEngine], monkeypatch: pytest.MonkeyPatch) -> None:
    def engine(variables: Mapping[str, str]) -> KeptEngine:
        assert not variables  # one worker alone
        taken = kept.pop() if kept else KeptEngine()
        taken.free = kept
        return taken

    monkeypatch.setattr(cohort_local, "Engine", engine)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, kept: list[KeptEngine]) -> tuple[Path, Path]:
    """A study before and after one worker predicted it; tests get copies."""
    folder = tmp_path_factory.mktemp("first")
    made = networked_study(folder)
    before = folder / "before.study"
    shutil.copytree(made.path, before)
    with pytest.MonkeyPatch.context() as patch:
        keep_warm(kept, patch)
        assert names(done(made)) == set(made.cases.ids())
    return before, made.path


@pytest.fixture
def study(first: tuple[Path, Path], tmp_path: Path) -> Study:
    return Study.open(Path(shutil.copytree(first[0], tmp_path / "cohort.study")))


@pytest.fixture
def predicted(first: tuple[Path, Path], tmp_path: Path) -> Study:
    return Study.open(Path(shutil.copytree(first[1], tmp_path / "predicted.study")))


def done(study: Study, cohort: CohortSettings = ONE, settings: PredictSettings = CPU) -> CohortReport:
    work = predict_cohort(study, study.cases.ids(), settings, cohort)
    while True:
        try:
            next(work)
        except StopIteration as end:
            report: CohortReport = end.value
            return report


def names(report: CohortReport) -> set[str]:
    return {outcome.case_id for outcome in report.done}


def stored(study: Study) -> dict[str, bytes]:
    """Every label map and uncertainty as bytes."""
    found = {c: study.predictions.read(c, MODEL) for c in study.cases.ids()}
    return {c: p.labels.tobytes() + p.uncertainty.tobytes() for c, p in found.items()}


# ------------------------------------------------------------------ the same everywhere


DASK = [sys.executable, "-m", "dask"]


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A scheduler and two workers in processes of their own, on this machine only; its address."""
    folder = tmp_path_factory.mktemp("scheduler")
    workers = [
        *DASK, "worker", "--scheduler-file", str(folder / "scheduler.json"), "--host", "127.0.0.1", "--nworkers", "2",
        "--nthreads", "1", "--no-dashboard",
    ]  # fmt: skip
    started = [_scheduler(folder), _quietly(workers, folder)]
    try:
        yield _address(folder)
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(timeout=30)


def _scheduler(folder: Path) -> "subprocess.Popen[bytes]":
    far = ["--scheduler-file", str(folder / "scheduler.json"), "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    return _quietly([*DASK, "scheduler", *far], folder)


def _quietly(command: list[str], folder: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)


def _address(folder: Path) -> str:
    where = folder / "scheduler.json"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if where.exists() and where.stat().st_size:
            return str(json.loads(where.read_text())["address"])
        time.sleep(0.1)
    raise TimeoutError


@pytest.mark.slow
def test_one_worker_two_workers_and_a_cluster_make_the_same_bytes(predicted: Study, scheduler: str) -> None:
    study, again = predicted, replace(ONE, again=True)
    done(study, again, USUAL)
    first = stored(study)
    assert len(set(first.values())) == len(first)
    assert all(len(set(found)) > 2 for found in first.values())
    for cohort in (replace(again, workers=2), replace(again, scheduler=scheduler)):
        before = {c: study.predictions.record(c, MODEL)["made"]["run"] for c in study.cases.ids()}
        report = done(study, cohort, USUAL)
        assert (names(report), report.failed) == (set(study.cases.ids()), ())
        after = {c: study.predictions.record(c, MODEL)["made"]["run"] for c in study.cases.ids()}
        assert not set(before.values()) & set(after.values())  # they were made anew
        assert stored(study) == first
    assert study.runs.ids() == ()  # nothing is left of a cohort that went well
    time.sleep(0.5)
    engines = [p for p in psutil.process_iter(["cmdline"]) if _serves(p, study)]
    assert engines == []


TOGETHER = replace(USUAL, ensemble="v0002")


@pytest.mark.slow
@pytest.mark.usefixtures("warm")
def test_several_model_versions_predict_a_cohort_together(study: Study) -> None:
    add_version(study, "v0002", study.models.info(MODEL).plan, seed=4)
    assert names(done(study, settings=TOGETHER)) == set(study.cases.ids())
    assert study.predictions.made("c1", MODEL)["models"] == {MODEL: 1.0, "v0002": 1.0}
    assert done(study, settings=TOGETHER).skipped == study.cases.ids()
    assert not is_predicted(study, "c1", MODEL, USUAL, read_recipe(study))


@pytest.mark.slow
@pytest.mark.usefixtures("warm")
def test_on_a_cluster_they_make_the_same_bytes(study: Study, scheduler: str) -> None:
    add_version(study, "v0002", study.models.info(MODEL).plan, seed=4)
    done(study, settings=TOGETHER)
    here = stored(study)
    assert done(study, replace(ONE, again=True, scheduler=scheduler), TOGETHER).failed == ()
    assert stored(study) == here


def _serves(process: psutil.Process, study: Study) -> bool:
    """Whether a process has one of the study's files in hand: an engine that was left."""
    try:
        return any(str(study.path) in f.path for f in process.open_files()) and process.pid != os.getpid()
    except psutil.Error:
        return False


@pytest.mark.slow
def test_a_cluster_stops_when_nobody_wants_it_any_more_and_goes_on_later(study: Study, scheduler: str) -> None:
    work = predict_cohort(study, study.cases.ids(), CPU, CohortSettings(scheduler=scheduler))
    first = next(p for p in work if isinstance(p, CaseDone))
    began = time.monotonic()
    work.close()
    assert time.monotonic() - began < 20
    assert first.outcome is not None
    report = done(study)
    assert first.case_id in report.skipped
    assert names(report) | set(report.skipped) == set(study.cases.ids())


@pytest.mark.slow
def test_a_scheduler_without_workers_is_told_and_one_that_dies_is_too(
    study: Study, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    process = _scheduler(tmp_path)
    try:
        work = predict_cohort(study, study.cases.ids(), CPU, CohortSettings(scheduler=_address(tmp_path)))
        assert next(work).total == 4
        waiting = next(work)
        assert "No worker has joined the scheduler at tcp:" in waiting.text
        assert (waiting.done, waiting.total) == (0, 4)
        process.kill()
        began = time.monotonic()
        with pytest.raises(RunError, match="does not answer any more"):
            next(work)
        assert time.monotonic() - began < 10  # it is not waited for
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
def test_that_no_worker_is_left_is_told(study: Study, tmp_path: Path) -> None:
    """As where a batch system ends their jobs: it waited without a word."""
    started = [_scheduler(tmp_path)]
    try:
        address = _address(tmp_path)
        started.append(
            _quietly([*DASK, "worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard"], tmp_path)
        )
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=60)
        work = predict_cohort(study, study.cases.ids(), CPU, CohortSettings(scheduler=address))
        assert next(work).text.startswith("Starting")
        threading.Timer(1.0, started[1].kill).start()  # its engine loads libraries for longer than that
        assert "or none is left" in next(work).text
        work.close()
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_a_cohort_that_is_done_leaves_the_worker_to_another_one() -> None:
    """Two people share a scheduler: the cases that the second one waits for failed when the first one was through."""
    place = cohort_cluster.EnginePlace(threads=1)
    with place.engine_for("first") as engine:
        pass
    with place.engine_for("second"):
        place.leave("first")
        assert engine.stops == 0
    place.leave("second")
    assert engine.stops == 1


def test_a_case_that_gets_its_turn_when_its_cohort_has_left_keeps_no_engine() -> None:
    """Of a cohort that was stopped: with its GPU's memory the process stayed until the worker ended."""
    place = cohort_cluster.EnginePlace(threads=2)
    with place.engine_for("other") as engine:
        place.leave("stopped")
    with pytest.raises(Cancelled), place.engine_for("stopped"):
        pass
    place.leave("other")
    assert engine.stops == 1


def test_cases_that_a_worker_has_in_hand_take_turns() -> None:
    """All threads of a worker have one engine: else the seconds of a case are those of all before it."""
    place = cohort_cluster.EnginePlace(threads=8)
    begun: list[str] = []

    def work(case_id: str) -> None:
        with place.engine_for("cohort"):
            begun.append(case_id)

    waiting = threading.Thread(target=work, args=("b",))
    with place.engine_for("cohort"):
        waiting.start()
        waiting.join(0.2)
        assert begun == []
    waiting.join(10)
    assert begun == ["b"]


def test_a_scheduler_that_is_not_there_is_said(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cohort_cluster, "ANSWER_SECONDS", 1)
    with pytest.raises(RunError, match="No scheduler answers at tcp:"):
        done(study, CohortSettings(scheduler="tcp://127.0.0.1:1"))
    with pytest.raises(RunError, match="mend the address"):
        done(study, CohortSettings(scheduler="nonsense://"))


@pytest.mark.parametrize("here", [{"workers": 2}, {"devices": "cpu"}])
def test_workers_here_and_on_a_cluster_are_refused_instead_of_passed_over(study: Study, here: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="leave --workers and --devices out"):
        done(study, CohortSettings(scheduler="tcp://127.0.0.1:1", **here))


def test_without_the_package_a_cluster_is_refused(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"napari-apprentice\[cluster\]"):
        done(study, CohortSettings(scheduler="tcp://127.0.0.1:1"))


@pytest.mark.slow
def test_the_parent_never_imports_torch(study: Study) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom napari_apprentice.session import Session\n"
        "import napari_apprentice.loop.cohort_cluster\n"
        "session = Session('ann')\nsession.open_study(Path(sys.argv[1]))\n"
        "assert len(list(session.predict_cohort(['c1']))) > 1\nsession.close()\n"
        "print('torch' in sys.modules, 'distributed' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", script, str(study.path)], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "False"]


# ------------------------------------------------------------------ what is left to do


@pytest.mark.usefixtures("warm")
def test_only_what_would_be_different_is_predicted_again(predicted: Study) -> None:
    study = predicted
    assert done(study).skipped == study.cases.ids()
    elsewhere = replace(CPU, device="auto", memory_mb=500)  # make no difference
    assert done(study, settings=elsewhere).skipped == study.cases.ids()
    assert done(study, settings=replace(CPU, quality="draft")).skipped == ()
    write_recipe(study, PostRecipe({1: steps_of("largest")}), "ann")
    assert done(study, settings=replace(CPU, quality="draft")).skipped == ()
    assert done(study, settings=replace(CPU, quality="draft")).skipped == study.cases.ids()


@pytest.mark.usefixtures("warm")
def test_predictions_from_before_settings_were_recorded_are_made_anew(predicted: Study) -> None:
    study = predicted
    old = study.predictions.read("c2", MODEL)
    study.predictions.write("c2", MODEL, replace(old, made={}))
    assert names(done(study)) == {"c2"}


@pytest.mark.usefixtures("warm")
def test_a_name_that_was_given_anew_is_another_model_version(predicted: Study) -> None:
    study = predicted
    before, plan = stored(study), study.models.info(MODEL).plan
    shutil.rmtree(study.models.root / MODEL)  # by hand
    add_version(study, MODEL, plan, seed=77)
    assert not any(row.predicted for row in case_rows(study))
    assert done(study).skipped == ()
    assert all(row.predicted for row in case_rows(study))
    after = stored(study)
    assert all(after[case_id] != before[case_id] for case_id in before)  # not by what the process had loaded


@pytest.mark.usefixtures("warm")
def test_steps_and_thresholds_reach_the_label_map(predicted: Study) -> None:
    study = predicted
    plain = study.predictions.read("c1", MODEL).labels
    write_recipe(study, PostRecipe({1: steps_of("threshold:0.45,islands:1e6"), 2: steps_of("threshold:1")}), "ann")
    done(study)
    found = study.predictions.read("c1", MODEL)
    assert set(np.unique(found.labels)) <= {0}
    kept = read_unprocessed(study, "c1", MODEL)
    assert (kept == 1).any()  # the threshold came before, the islands after
    assert not (kept == 2).any()
    assert ((plain != kept) <= (kept == 0)).all()  # a threshold gives voxels to background, to nothing else
    assert found.made["postprocess"] == {"1": ["threshold:0.45", "islands:1000000"], "2": ["threshold:1"]}
    assert dict(found.quality) == {}


@pytest.mark.usefixtures("warm")
def test_one_case_that_fails_does_not_stop_the_rest(study: Study) -> None:
    chunk = next(p for p in (study.path / "cases.zarr/c2/image/0/c").rglob("*") if p.is_file())
    chunk.write_bytes(b"")
    report = done(study)
    assert names(report) == {"c1", "c3", "c4"}
    (failed,) = report.failed
    assert failed.case_id == "c2"
    assert "damaged" in failed.error
    assert done(study).skipped == ("c1", "c3", "c4")


@pytest.mark.usefixtures("warm")
def test_which_channel_is_taken_for_which_is_said(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    info = study.cases.info("c1")
    voxels = np.repeat(study.cases.voxels("c1"), 2, axis=0)
    for case_id, channels in (("other", ("CT", "PET")), ("same", ("FLAIR", "T1"))):
        study.cases.add(case_id, case_id, Volume(voxels, info.geometry, channels, "x.nii.gz", "0" * 64))
    plan = study.models.info(MODEL).plan
    two = replace(plan, normalisation=plan.normalisation * 2)
    add_version(study, "two", two, seed=1, channels=("T1", "FLAIR"))
    assert main(["predict", str(study.path), "other", "same", "--model", "two", "--device", "cpu"]) == 0
    said = "two was made for channels T1, FLAIR. It takes CT for T1 and PET for FLAIR in case other;"
    shown = capsys.readouterr()
    assert said in shown.err  # before it begins
    assert said in shown.out


@pytest.mark.usefixtures("warm")
def test_a_damaged_case_is_told_by_name_and_does_not_stop_the_rest(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    (study.cases.folder("c2") / "image" / "zarr.json").write_text("{")
    assert main(arguments(study)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["c1", "c2", "c3", "c4"]
    assert "  c2: The stored group c2/image is damaged: image/zarr.json is damaged: it is not JSON." in lines
    assert f"3 predicted by {MODEL}, 1 failed." in lines


@pytest.mark.usefixtures("warm")
def test_a_case_whose_run_is_asked_to_stop_is_told_and_the_rest_goes_on(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = Runs.create

    def cancelling(self: Runs, kind: str, request: Mapping[str, Any]) -> RunFolder:
        run = create(self, kind, request)
        if request["cases"] == ["c2"]:
            run.cancel()  # as a person may, by a file of that name in the run's folder
        return run

    monkeypatch.setattr(Runs, "create", cancelling)
    reports: list[CohortReport] = []
    follower = threading.Thread(target=lambda: reports.append(done(study)), daemon=True)
    follower.start()
    follower.join(30)
    assert not follower.is_alive()  # it waited for ever
    assert names(reports[0]) == {"c1", "c3", "c4"}
    assert [(o.case_id, o.error) for o in reports[0].failed] == [("c2", "its prediction was cancelled")]


def test_what_is_not_there_is_refused_before_anything_starts(study: Study) -> None:
    with pytest.raises(InputError, match="nowhere"):
        next(predict_cohort(study, ["c1", "nowhere"], CPU, ONE))
    with pytest.raises(ModelError, match="v0009"):
        next(predict_cohort(study, ["c1"], CPU, ONE, "v0009"))
    assert study.runs.ids() == ()


@pytest.mark.slow
def test_closing_keeps_what_is_done_and_leaves_no_process(
    study: Study, kept: list[KeptEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    others = psutil.Process().children(recursive=True)
    work = predict_cohort(study, study.cases.ids(), CPU, CohortSettings(workers=2))
    first = next(p for p in work if isinstance(p, CaseDone))
    children = [c for c in psutil.Process().children(recursive=True) if c not in others]
    assert len(children) >= 2
    began = time.monotonic()
    work.close()
    assert time.monotonic() - began < 10
    assert not any(c.is_running() and c.status() != psutil.STATUS_ZOMBIE for c in children)
    keep_warm(kept, monkeypatch)
    report = done(study)
    assert first.case_id in report.skipped
    assert names(report) | set(report.skipped) == set(study.cases.ids())


# ------------------------------------------------------------------ killed, and interrupted


def arguments(study: Study, *more: str) -> list[str]:
    return ["predict", str(study.path), "--device", "cpu", *more]


def start(study: Study, *more: str) -> "subprocess.Popen[str]":
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-m", "napari_apprentice.cli", *arguments(study, *more)]
    return subprocess.Popen(command, **pipes, text=True, start_new_session=True)


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise there")
@pytest.mark.usefixtures("warm")
def test_a_reader_that_has_seen_enough_ends_it_quietly(
    study: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read, write = os.pipe()
    os.close(read)  # as head does
    with os.fdopen(write, "w") as out, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        assert main(arguments(study)) == 1
    loading = "the libraries and the network are loaded first"  # which takes longer than most cases
    assert capsys.readouterr().err == f"Starting to predict 4 cases; {loading}\n"
    predicted = [c for c in study.cases.ids() if study.predictions.has(c, MODEL)]
    assert "c1" in predicted
    assert len(predicted) < 4


MANY = 7


@pytest.fixture
def many(tmp_path: Path) -> Study:
    """Cases, each long enough to be interrupted in."""
    return networked_study(tmp_path, cases=MANY, shape=(24, 48, 48))


def made(study: Study) -> dict[str, str]:
    """Which run made which prediction."""
    return {c: study.predictions.record(c, MODEL)["made"]["run"] for c in study.cases.ids()
            if study.predictions.has(c, MODEL)}  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no kill -9 there")
@pytest.mark.usefixtures("warm")
def test_killed_in_the_middle_only_what_was_not_finished_is_done_again(
    many: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    process = start(many)
    told = {line_of(process).split()[0] for _ in range(3)}
    process.kill()
    process.communicate()
    assert len(told) == 3
    before = made(many)
    assert told <= set(before)
    assert len(before) < MANY
    assert main(arguments(many)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines[:-1]} == set(many.cases.ids()) - set(before)
    after = made(many)
    assert {c: after[c] for c in before} == before
    assert set(after) == set(many.cases.ids())
    assert lines[-1].startswith(f"{MANY - len(before)} predicted by {MODEL}, {len(before)} were so already")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent otherwise there")
def test_ctrl_c_stops_and_says_how_to_go_on(many: Study) -> None:
    process = start(many, "--workers", "2")
    line_of(process)
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the engines too
    _, told = process.communicate(timeout=30)
    assert time.monotonic() - began < 10
    assert process.returncode == 1
    count = len(made(many))
    assert 0 < count < MANY
    assert "Give the same command again" in told
    assert "Traceback" not in told
    assert sum(is_predicted(many, c, MODEL, USUAL, PostRecipe()) for c in many.cases.ids()) == count


# ------------------------------------------------------------------ who computes where


def test_workers_share_devices_in_turn_and_cores_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("napari_apprentice.loop.cohort_local.cores", lambda: 8)
    assert places(ONE, CPU)[0].environment == {}  # alone it has everything
    two = places(CohortSettings(devices="cuda:0, cuda:1"), CPU)
    assert [(p.device, p.environment["CUDA_VISIBLE_DEVICES"]) for p in two] == [("cuda", "0"), ("cuda", "1")]
    three = places(CohortSettings(devices="cuda:1,cpu", workers=3), CPU)
    assert [p.device for p in three] == ["cuda", "cpu", "cuda"]
    assert {p.environment["OMP_NUM_THREADS"] for p in three} == {"2"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")  # as batch systems do
    (second,) = places(CohortSettings(devices="cuda:1"), CPU)
    assert second.environment["CUDA_VISIBLE_DEVICES"] == "GPU-b"
    with pytest.raises(InputError, match="shows 2 of"):
        places(CohortSettings(devices="cuda:2"), CPU)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # they are somebody else's
    with pytest.raises(InputError, match="shows 0 of"):
        places(CohortSettings(devices="cuda:0"), CPU)


@pytest.mark.parametrize("wrong", ["gpu", "cuda:", "cuda:x", "cpu:0", "cuda:0;cuda:1"])
def test_devices_that_cannot_be_are_refused(wrong: str) -> None:
    with pytest.raises(InputError, match="The devices are"):
        places(CohortSettings(devices=wrong), CPU)
