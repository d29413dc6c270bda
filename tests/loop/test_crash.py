"""Nothing acknowledged is lost when the program is killed; tests/crash.py says how, benchmarks/kill.py does more."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders import study
from faults import disk_in_memory

DRIVER = Path(__file__).resolve().parents[1] / "crash.py"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kill -9 and fork are for POSIX")
def test_nothing_acknowledged_is_lost_in_twelve_kills(tmp_path: Path) -> None:
    made = study(tmp_path, 2)
    command = [sys.executable, str(DRIVER), str(made.path), "--rounds", "12", "--seed", "4"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    facts = json.loads(ended.stdout or "{}")
    assert facts.get("wrong") == [], ended.stderr
    assert facts["rounds"] == 12
    assert facts["changes acknowledged"] > 40, "the rounds were too short to show anything"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk in memory of 6 MB; only some accounts may make one."""
    with disk_in_memory(tmp_path / "disk", 6) as place:
        yield place


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [20, 300])
def test_nothing_acknowledged_is_lost_in_kills_on_a_disk_that_is_full_at_times(small_disk: Path, rounds: int) -> None:
    made = study(small_disk, 2)
    filler = ["--filler", str(small_disk / "filler")]
    command = [sys.executable, str(DRIVER), str(made.path), "--rounds", str(rounds), "--seed", "5", *filler]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    facts = json.loads(ended.stdout or "{}")
    print(facts)  # noqa: T201 - shown by pytest -s
    assert facts.get("wrong") == [], ended.stderr
    assert facts["rounds on a full disk"] > rounds / 3
    assert facts["changes acknowledged"] > 3 * rounds, "the rounds were too short to show anything"
