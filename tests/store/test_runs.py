import json
import os
import re
import sys
import threading
import time

import pytest

from builders import study
from napari_apprentice.errors import InputError, RunError, StorageError, StudyError
from napari_apprentice.store.runs import RunFolder, Runs
from napari_apprentice.store.runs import _age as age_of


def test_a_run_is_opened_again_elsewhere(tmp_path):
    made = study(tmp_path, 0)
    run = made.runs.create("train", {"steps": 3})
    assert re.fullmatch(r"\d{8}-\d{6}-\d{3}-train-[0-9a-f]{4}", run.run_id)
    again = RunFolder.at(run.path)
    assert (again.run_id, again.kind, again.request) == (run.run_id, "train", {"steps": 3})
    assert made.runs.ids() == (run.run_id,)
    assert made.runs.open(run.run_id).path == run.path


def test_runs_of_one_second_are_in_the_order_in_which_they_were_made(tmp_path):
    runs, made = Runs(tmp_path), []
    for kind in ("train", "fine-tune", "predict", "fine-tune"):
        made.append(runs.create(kind, {}).run_id)
        time.sleep(0.002)
    assert runs.ids() == tuple(made)


def test_events_are_followed_from_an_offset(tmp_path):
    run = Runs(tmp_path).create("train", {})
    assert run.events(0) == ([], 0)
    run.emit({"step": 1})
    events, offset = run.events(0)
    assert events == [{"step": 1}]
    run.emit({"step": 2})
    assert run.events(offset)[0] == [{"step": 2}]


def test_an_unfinished_line_waits_and_a_torn_one_is_passed_over(tmp_path):
    run = Runs(tmp_path).create("train", {})
    run.emit({"step": 1})
    with (run.path / "events.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    events, offset = run.events(0)
    assert events == [{"step": 1}]
    assert run.events(offset) == ([], offset)
    RunFolder.at(run.path).emit({"step": 3})
    assert run.events(offset)[0] == [{"step": 3}]


@pytest.mark.skipif(sys.platform == "win32", reason="limits on files are for POSIX")
def test_how_a_run_ended_is_told_after_a_disk_was_full_for_a_moment(tmp_path):
    import resource

    run = study(tmp_path).runs.create("train", {})
    run.emit({"event": "started"})
    none = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((run.path / "events.jsonl").stat().st_size + 20, none[1]))
    try:
        with pytest.raises(StorageError, match="disk is full"):
            run.emit({"event": "progress", "text": "a line of which the disk takes a part"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, none)
    run.emit({"event": "failed"})
    assert [event["event"] for event in run.events()[0]] == ["started", "failed"]


def test_cancelling_reaches_the_other_process(tmp_path):
    run = Runs(tmp_path).create("predict", {})
    other = RunFolder.at(run.path)
    assert not other.cancelled()
    run.cancel()
    assert other.cancelled()


def test_what_is_no_run_is_told(tmp_path):
    runs = Runs(tmp_path)
    for run_id in ("nope", "..", ""):
        with pytest.raises(InputError):
            runs.open(run_id)
    run = runs.create("train", {})
    (run.path / "run.json").write_text("{}")
    with pytest.raises(StudyError):
        runs.open(run.run_id)


def test_of_two_that_find_the_gate_of_a_killed_process_one_goes_in_at_a_time(tmp_path, monkeypatch):
    (tmp_path / ".alone").mkdir()
    os.utime(tmp_path / ".alone", (1, 1))
    looked, may_go_on, inside, at_once = threading.Event(), threading.Event(), [], []

    def slowly(gate):
        found = age_of(gate)
        if threading.current_thread() is first:
            looked.set()
            may_go_on.wait(0.5)
        return found

    def decide():
        with Runs(tmp_path).alone():
            inside.append(1)
            at_once.append(len(inside))
            may_go_on.set()
            time.sleep(0.2)
            inside.pop()

    monkeypatch.setattr("napari_apprentice.store.runs._age", slowly)
    first, second = (threading.Thread(target=decide) for _ in range(2))
    first.start()
    looked.wait()
    second.start()
    first.join()
    second.join()
    assert at_once == [1, 1]


def test_who_cannot_go_in_for_long_is_told_and_has_begun_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_apprentice.store.file_lock._PATIENCE_SECONDS", 0.1)
    with (
        Runs(tmp_path).alone(),
        pytest.raises(RunError, match="Another process is busy with the start of a run in this study; try again"),
        Runs(tmp_path).alone(),
    ):
        pass


def test_the_newest_event_is_found_without_reading_all_of_them(tmp_path, monkeypatch):
    run = Runs(tmp_path).create("train", {})
    assert run.newest() is None
    events = run.path / "events.jsonl"
    lines = [json.dumps({"step": step}) + "\n" for step in range(20000)]
    events.write_text("".join(lines) + '{"step": 2, "lo')
    parsed, loads = [], json.loads
    monkeypatch.setattr("napari_apprentice.store.runs.json.loads", lambda line: parsed.append(line) or loads(line))
    assert run.newest() == {"step": 19999}
    assert len(parsed) == 1
    events.write_text("".join(lines) + json.dumps({"step": "9" * 300000}) + "\n")
    assert len(run.newest()["step"]) == 300000
    events.write_text('{"step": 1, "lo')
    assert run.newest() is None
