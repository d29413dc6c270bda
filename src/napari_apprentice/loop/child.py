"""How a process of this program is started beside the window: politely."""

import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from napari_apprentice.core.machine import cores, seen_cores
from napari_apprentice.store.process import place

NICE = 10  # the window, the person and the mouse go first
GPU_LOST = 69  # sysexits.h EX_UNAVAILABLE: the GPU fails this process; another one may get on with it
DISK_FAILED = 74  # sysexits.h EX_IOERR: the child could not even write why it failed
CLAIMED = 75  # sysexits.h EX_TEMPFAIL: another process works on the run
NOT_LOADED = 78  # sysexits.h EX_CONFIG: PyTorch or MONAI is missing or broken


# Each is read by another library when the child starts.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def thread_limit(threads: int) -> dict[str, str]:
    """The environment of a child that is to compute with so many threads."""
    return dict.fromkeys(_THREADS, str(threads))


def environment(*, large_pages: bool = False, processes: int = 1) -> dict[str, str]:
    """The environment for a child, with OpenMP threads that sleep while they wait.

    Threads that spin for work starve whatever shares the cores with them: the window, or a prediction
    beside a training run. Where a container has the time of fewer cores than it sees, there are no more threads than
    that: each of the others would take its turn from them, many times slower altogether.

    Parameters
    ----------
    large_pages
        Memory in pages of 2 MB, where Linux gives them on request. In training, maps come and go by the hundred,
        and to hand them out in pages of 4 KB takes a tenth of a step. The tunable is glibc's, from 2.35; older ones
        and other systems ignore it.
    processes
        How many share it.
    """
    pages = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"} if large_pages else {}
    # what an older PyTorch or macOS cannot do on an Apple GPU is done on the CPU, and ends no run
    apple = {"PYTORCH_ENABLE_MPS_FALLBACK": "1"}
    most = cores()
    threads = thread_limit(max(1, most // processes)) if most < seen_cores() else {}
    return {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0", **apple, **pages, **threads, **os.environ}


def step_back(pid: int) -> None:
    """Let the window go first: what computes in the background gets the cores that are left.

    A process that leads a session of its own has its group's niceness lowered too: where Linux shares the cores
    between sessions first (autogroups, the default of most desktops), its own counts within the session alone.
    """
    with suppress(psutil.Error):  # it may have ended already; then nothing is in the way
        psutil.Process(pid).nice(psutil.BELOW_NORMAL_PRIORITY_CLASS if os.name == "nt" else NICE)
    with suppress(OSError, AttributeError):  # no such thing here, or the system does not want it now
        if os.getsid(pid) == pid:
            Path(f"/proc/{pid}/autogroup").write_text(str(NICE), encoding="ascii")


def started(pid: int) -> dict[str, Any]:
    """The event that says which process works on a run, and where."""
    born = psutil.Process(pid).create_time()
    return {"event": "started", "pid": pid, "born": born, "host": platform.node(), "place": place()}
