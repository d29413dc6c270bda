"""Make the tutorial's screenshots by driving the real program once around the loop on the sample study.

Needs a display: on a machine without one, run it under a virtual one, for example
`xvfb-run -a -s "-screen 0 1600x1000x24 +extension GLX" python docs/make_pictures.py`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HOME = tempfile.mkdtemp(prefix="apprentice-pictures-")
os.environ["APPRENTICE_HOME"] = HOME
os.environ["NAPARI_CONFIG"] = str(Path(HOME) / "napari.yaml")

import napari  # noqa: E402 - after the settings above
from qtpy.QtCore import QPoint  # noqa: E402 - after the settings above
from qtpy.QtTest import QTest  # noqa: E402 - after the settings above
from qtpy.QtWidgets import QApplication  # noqa: E402 - after the settings above

from napari_apprentice.core.correction import whole  # noqa: E402 - after the settings above
from napari_apprentice.loop.sample import make_sample_study, sample_reference  # noqa: E402 - after the settings above

PICTURES = Path(__file__).parent / "pictures"
PAINTER = Path(__file__).parents[1] / "tests" / "gui" / "killed_window.py"
PATIENCE_SECONDS = 900


class Photographer:
    """Clicks through the dock and takes pictures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.viewer = napari.Viewer(show=True)
        self.viewer.window.resize(1500, 980)
        _, self.dock = self.viewer.window.add_plugin_dock_widget("napari-apprentice", "Apprentice")
        self.desk = self.dock.desk
        self.rest(3)  # the dock finds its width

    def rest(self, seconds: float = 0.5) -> None:
        """Let the window live."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.005)

    def settle(self, until: Callable[[], Any] = lambda: True) -> None:
        """Wait for something, and until nothing is under way."""
        end = time.monotonic() + PATIENCE_SECONDS
        self.rest(0.2)
        while not until() or self.desk.runner.busy:
            self.rest(0.05)
            if time.monotonic() > end:
                raise SystemExit("The program did not come to rest.")
        self.rest()

    def take(self, name: str) -> None:
        """One picture of the whole window."""
        self.rest()
        self.viewer.screenshot(str(self.folder / f"{name}.png"), canvas_only=False, flash=False)

    def show(self, widget: Any) -> None:
        """Scroll the dock to a widget."""
        self.dock.area.ensureWidgetVisible(widget)
        self.rest(0.2)


def correct(dock: Any) -> None:
    """Put the reference in place as one stroke: what an annotator would have painted."""
    case = dock.session.case
    reference = sample_reference(case.info.case_id).voxels.astype(case.canvas.labels.dtype)
    dock.session.record(whole(reference.shape), case.canvas.labels.copy(), reference)


def geometry(p: Photographer) -> None:
    """The sides of the patient, the place under the mouse, and a window preset."""
    panel, canvas = p.dock.correct_panel, p.viewer.window._qt_viewer.canvas.native
    p.show(panel.counts)
    p.desk.windowing.choose(next(x for x in p.desk.windowing.offered if x.name == "Soft tissue"))
    QTest.mouseMove(canvas, QPoint(canvas.width() // 3, canvas.height() // 2))
    p.take("9-geometry")
    p.desk.windowing.choose(p.desk.windowing.offered[0])
    p.dock.area.verticalScrollBar().setValue(0)


def around(p: Photographer, steps: int) -> None:
    """Once around the loop."""
    dock = p.dock
    p.take("1-no-study")
    dock.study_panel.sample.click()
    p.settle(lambda: p.desk.facts.now.rows)
    p.take("2-study")
    dock.predict_panel.all_open.click()
    p.settle()
    dock.queue_panel.next.click()
    p.settle(lambda: p.desk.layers.labels is not None)
    p.take("3-prediction")
    geometry(p)
    dock.correct_panel.uncertainty.setChecked(True)
    p.take("4-uncertainty")
    dock.correct_panel.uncertainty.setChecked(False)
    for number in range(3):
        correct(dock)
        dock.correct_panel.accept_scan.click()
        if number == 0:
            p.show(dock.correct_panel.counts)
            p.take("5-corrected")
        dock.correct_panel.save.click()
        p.settle()
        if number < 2:
            dock.queue_panel.next.click()
            p.settle()
    dock.tune_panel.form.set("steps", steps)
    dock.tune_panel.form.set("validate_every", max(1, steps // 10))
    dock.tune_panel.fine_tune.click()
    training = p.desk.models.training
    while p.desk.models.training is not None and (training.last is None or training.last.done < steps // 2):
        p.rest(0.1)
    p.show(dock.tune_panel.models)
    p.take("6-training")
    p.settle(lambda: p.desk.models.training is None)
    p.show(dock.tune_panel.models)
    p.take("7-verdict")
    details(p)
    dock.predict_panel.all_open.click()
    p.settle()
    dock.queue_panel.next.click()
    p.settle()
    dock.area.verticalScrollBar().setValue(0)
    p.take("8-next-case")


def details(p: Photographer) -> None:
    """What the gate found out about the newest model version."""
    viewing = p.dock.tune_panel.viewing
    p.dock.tune_panel.details.click()
    p.settle(lambda: viewing.dialog is not None)
    viewing.dialog.grab().save(str(p.folder / "13-details.png"))
    viewing.dialog.close()


def killed(p: Photographer) -> None:
    """A window that is killed while somebody paints in it, and what is found afterwards."""
    study = make_sample_study(Path(HOME) / "killed.study")
    case_id = study.cases.ids()[0]
    before = p.folder / "10-before-the-kill.png"
    command = [sys.executable, str(PAINTER), str(study.path), case_id, "--picture", str(before)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout or ():
            if '"holding"' in line:  # the picture is taken, and a third stroke is under the mouse
                break
        child.kill()
    p.dock.session.open_study(study.path)
    p.settle(lambda: p.desk.facts.now.rows)
    p.desk.cases.open_case(case_id)
    p.settle(lambda: p.desk.layers.labels is not None)
    p.take("11-opened-again")
    p.dock.correct_panel.undo.click()
    p.take("12-undone")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PICTURES)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--only-killed", action="store_true", help="only the pictures of a window that is killed")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    photographer = Photographer(arguments.out)
    if not arguments.only_killed:
        around(photographer, arguments.steps)
    killed(photographer)
    photographer.viewer.close()
    photographer.rest()  # the dock takes its leave in the event loop


if __name__ == "__main__":
    main()
