"""Paints in a real window with the mouse until somebody kills it.

`python tests/gui/killed_window.py STUDY CASE [--picture FILE]` draws two strokes, tells about each when the mouse
button is up, begins a third one and holds the button down. It never ends by itself.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import napari
from driving import Person
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_apprentice.store.arrays import digest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("case")
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    person = Person(napari.Viewer(show=True))
    person.open_study(given.study)
    person.open_case(given.case)
    person.press(Qt.Key.Key_1)
    person.desk.layers.labels.brush_size = 8
    tell(person, "open")
    for key, start in ((Qt.Key.Key_1, (0.42, 0.40)), (Qt.Key.Key_2, (0.48, 0.55))):
        person.press(key)
        person.drag(start, (70, 40))
        tell(person, "painted")
    if given.picture is not None:
        person.rest(0.5)
        person.viewer.screenshot(str(given.picture), canvas_only=False, flash=False)
    middle = QPoint(person.canvas.width() // 2, person.canvas.height() // 3)
    QTest.mousePress(person.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, middle)
    person.rest(0.2)
    tell(person, "holding")
    while True:
        person.rest(1.0)


def tell(person: Any, what: str) -> None:
    canvas = person.session.case.canvas
    facts = {"what": what, "unsaved": person.session.case.unsaved, "digest": digest(canvas.labels, canvas.status)}
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
