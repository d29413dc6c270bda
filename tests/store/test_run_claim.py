"""Of two processes, one at a time works on a run, wherever they are."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from napari_apprentice.errors import StudyError
from napari_apprentice.store import run_claim
from napari_apprentice.store.run_claim import CLAIM, ClaimedError
from napari_apprentice.store.runs import RunFolder, Runs

HOLD = """
import sys
from pathlib import Path
from napari_apprentice.store.runs import RunFolder
from napari_apprentice.store.vault import PLAIN
with RunFolder.at(Path(sys.argv[1]), PLAIN).claimed():
    print("claimed", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return Runs(tmp_path).create("train", {})


def test_a_second_process_is_kept_out_until_the_first_is_gone(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_claim, "_PATIENCE_SECONDS", 0.1)
    command = [sys.executable, "-c", HOLD, str(run.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "claimed\n"
        assert run.is_claimed()
        with pytest.raises(ClaimedError, match=run.run_id), run.claimed():
            pass
        assert run.is_claimed(), "looking takes nothing away"
        first.kill()
        first.wait()
    assert not run.is_claimed()
    with run.claimed():
        run.emit({"step": 1})
        assert run.is_claimed()
    assert not run.is_claimed()
    assert run.events()[0] == [{"step": 1}]


def test_one_that_slept_while_another_took_over_writes_nothing_more(run: RunFolder) -> None:
    with run.claimed():
        run.emit({"step": 1})
        (run.path / CLAIM).write_bytes(b"0" * 32)  # as on a share whose locks do not outlast a sleep
        with pytest.raises(ClaimedError, match="taken over"):
            run.emit({"step": 2})
        with pytest.raises(ClaimedError, match="taken over"):
            run.note({})
    assert run.events()[0] == [{"step": 1}]
    assert "made" not in run.record()


def test_it_gives_signs_of_life_while_it_says_nothing(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_claim, "BEAT_SECONDS", 0.01)
    run.emit({"step": 1})
    with run.claimed():
        for name in (CLAIM, "events.jsonl"):
            os.utime(run.path / name, (1.0, 1.0))
        deadline = time.monotonic() + 10
        while run.silent_seconds() > 60:
            assert time.monotonic() < deadline
            time.sleep(0.005)
    for name in (CLAIM, "events.jsonl"):
        os.utime(run.path / name, (1.0, 1.0))
    assert run.silent_seconds() > 60


def test_a_link_in_its_place_is_not_followed(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    (run.path / CLAIM).symlink_to(tmp_path / "letter")
    assert not run.is_claimed()
    with pytest.raises(StudyError, match="is a link"), run.claimed():
        pass
    assert (tmp_path / "letter").read_text() == "dear"
