"""What tests do to disks leaves nothing behind."""

import subprocess
import sys
import time
from pathlib import Path

from faults import disk_in_memory

_HOLD = """
import sys, time
from pathlib import Path
from faults import disk_in_memory
with disk_in_memory(Path(sys.argv[1]), 1):
    print("there", flush=True)
    time.sleep(60)
"""


def test_a_disk_in_memory_goes_with_tests_that_are_killed(tmp_path: Path) -> None:
    with disk_in_memory(tmp_path / "disk", 1) as place:
        assert place.is_mount()
    assert not place.is_mount()
    held = tmp_path / "held"
    here = str(Path(__file__).parent)
    with subprocess.Popen([sys.executable, "-c", _HOLD, str(held)], stdout=subprocess.PIPE, cwd=here) as other:
        assert other.stdout
        assert other.stdout.readline() == b"there\n"
        assert held.is_mount()
        other.kill()
    end = time.monotonic() + 20
    while held.is_mount() and time.monotonic() < end:
        time.sleep(0.02)
    assert not held.is_mount()
