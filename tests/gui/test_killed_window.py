"""A window is killed while somebody paints in it; whoever starts the program again finds every finished stroke."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from driving import Person
from qtpy.QtCore import Qt

from napari_apprentice.store.arrays import digest
from napari_apprentice.store.study import Study

pytestmark = [
    pytest.mark.window,
    pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is for POSIX"),
]
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def kill_while_painting(study: Path, case_id: str) -> list[dict[str, object]]:
    """What the window said until the third stroke was under its mouse, and it was killed."""
    command = [sys.executable, str(Path(__file__).with_name("killed_window.py")), str(study), case_id]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    said: list[dict[str, object]] = []
    try:
        for line in child.stdout:
            said += [json.loads(line)] if line.startswith("{") else []
            if said and said[-1]["what"] == "holding":
                break
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
    assert child.returncode == -signal.SIGKILL
    return said


@pytest.mark.slow
def test_strokes_and_undo_are_there_after_a_kill(person: Person, study: Study) -> None:
    empty, one, two, _ = kill_while_painting(study.path, "c1")
    assert (empty["unsaved"], one["unsaved"], two["unsaved"]) == (0, 1, 2)
    person.open_study(study.path)
    assert person.desk.facts.now.row("c1").state == "in correction"
    person.open_case("c1")

    def shown() -> str:
        canvas = person.session.case.canvas
        assert person.desk.layers.labels.data is canvas.labels
        return digest(canvas.labels, canvas.status)

    assert shown() == two["digest"]
    assert person.session.case.unsaved == 2
    assert person.session.case_rows()[0].others == (), "nobody has it open any more"
    person.press(Qt.Key.Key_Z, CONTROL)
    assert shown() == one["digest"]
    person.press(Qt.Key.Key_Z, CONTROL)
    assert shown() == empty["digest"]
    person.press(Qt.Key.Key_Z, CONTROL | SHIFT)
    assert shown() == one["digest"]
    person.click(person.dock.correct_panel.redo)
    assert shown() == two["digest"]
    assert person.complaints == []
