"""Nothing acknowledged is lost when the program is killed; tests/crash.py says how, benchmarks/kill.py does more."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from builders import study

DRIVER = Path(__file__).resolve().parents[1] / "crash.py"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kill -9 and fork are for POSIX")
def test_nothing_acknowledged_is_lost_in_thirty_kills(tmp_path: Path) -> None:
    made = study(tmp_path, 2)
    command = [sys.executable, str(DRIVER), str(made.path), "--rounds", "30", "--seed", "4"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    facts = json.loads(ended.stdout or "{}")
    assert facts.get("wrong") == [], ended.stderr
    assert facts["rounds"] == 30
    assert facts["changes acknowledged"] > 100, "the rounds were too short to show anything"
