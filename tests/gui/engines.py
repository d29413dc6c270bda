"""Stand-ins for the processes that predict and train: what a window sees of them, in tenths of seconds."""

import json
import subprocess
import sys
from pathlib import Path

SLOW_CHILD = """
import json, os, sys, time, psutil
run = sys.argv[1]
def emit(**event):
    with open(os.path.join(run, "events.jsonl"), "a") as file:
        file.write(json.dumps(event) + "\\n")
emit(event="started", pid=os.getpid(), born=psutil.Process().create_time())
for step in range(1, 2000):
    emit(event="progress", done=step, total=2000, text=f"Step {step} of 2000", loss=1 / step)
    if os.path.exists(os.path.join(run, "cancel")):
        os.makedirs(os.path.join(run, "checkpoint"), exist_ok=True)
        emit(event="cancelled")
        break
    time.sleep(0.05)
"""


def slow_process(run: Path) -> "subprocess.Popen[str]":
    """A process that reports steps until it is asked to stop, like one that trains or predicts."""
    return subprocess.Popen([sys.executable, "-c", SLOW_CHILD, str(run)], text=True, start_new_session=True)


def last_step(run: Path) -> int:
    """The newest step that a run reported."""
    lines = (run / "events.jsonl").read_text().splitlines()
    return max((json.loads(line).get("done", 0) for line in lines), default=0)
