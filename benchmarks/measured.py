"""What a measured process knows of itself; for environments that have another library in this program's stead."""

import resource
import sys
import time
from pathlib import Path
from typing import Any

import psutil

WARM = 5  # steps that do not count


class Clock:
    """Steps, seconds, and processor seconds of this process and its workers, after the warm-up."""

    def __init__(self, seconds: float) -> None:
        self._limit, self._began, self._cpu = seconds, 0.0, 0.0
        self._step, self._first, self._rate, self._used = 0, 0, 0.0, 0.0
        self._process = psutil.Process()

    def counts(self, step: int) -> bool:
        """Whether a step is behind the warm-up."""
        return step > WARM

    def over(self, step: int) -> bool:
        """Told after each step; whether the time is up."""
        now = time.perf_counter()
        if step < WARM:
            return False
        if not self._began:
            self._began, self._cpu, self._first = now, self._processor(), step
            return False
        if now - self._began < self._limit:
            return False
        steps = step - self._first
        self._rate, self._used = steps / (now - self._began), (self._processor() - self._cpu) / steps
        return True

    def found(self, waiting: float, kind: str) -> dict[str, Any]:
        """What was measured, with the share of the time that went into data."""
        return {"rate": self._rate, "cpu": self._used, "waiting": 100 * waiting, "kind": kind}

    def _processor(self) -> float:
        everyone = [self._process, *self._process.children(recursive=True)]
        return sum(t.user + t.system for t in (p.cpu_times() for p in everyone))


def peak_mb() -> float:
    """Largest resident memory of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would count what the parent held when it started this process
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 2**10
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)
