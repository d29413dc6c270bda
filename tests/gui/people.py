"""Other people at the same study: real processes with a session of their own."""

import subprocess
import sys
from pathlib import Path
from types import TracebackType

VISITOR = """
import sys
from pathlib import Path
import numpy as np
from napari_apprentice.session import Session

session = Session(sys.argv[2])
session.open_study(Path(sys.argv[1]))
for line in sys.stdin:
    verb, *rest = line.split()
    if verb == "open":
        session.show_case(session.load_case(rest[0]))
        folder = session.study.journal.root / rest[0]
        while not list(folder.glob("open-*.json")):
            pass
    elif verb == "paint":
        label, *edges = map(int, rest)
        box = tuple(slice(a, b) for a, b in zip(edges[::2], edges[1::2]))
        before = session.case.canvas.labels[box].copy()
        session.record(box, before, np.full_like(before, label))
    elif verb == "save":
        session.save()
    elif verb == "close":
        break
    print("done", flush=True)
session.close()
"""


class Visitor:
    """Somebody else's session on a study, in a process of its own, driven line by line."""

    def __init__(self, study: Path, author: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", VISITOR, str(study), author],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def do(self, line: str) -> None:
        """Let them do one thing, and wait until it is done."""
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n", f"{line}: the process ended"

    def __enter__(self) -> "Visitor":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()
