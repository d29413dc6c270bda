"""Whether the window stays alive while it predicts, and how soon the first slab is on the screen.

A real window with a made 512x512x300 scan (a sample scan, enlarged, with noise) and the starter model version.
A 10 ms timer notes how late it is; what counts is the 99th percentile. "First slab" is from the press of
Predict until the frame with labels in the slice on the screen was drawn, with a process that is warm and a case that
was never predicted and has been looked at for 6 seconds, the last of them with the mouse near the buttons; "cancel"
from the press until the process has stopped. Needs a display.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from common import Result, options
from qtpy.QtCore import QElapsedTimer, QObject, QPointF, QTimer
from qtpy.QtGui import QEnterEvent
from qtpy.QtWidgets import QApplication
from scipy.ndimage import zoom

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.loop.sample import make_sample_study, sample_list, sample_scan

FULL, QUICK = (300, 512, 512), (150, 256, 256)
LIMIT_MS, LIMIT_SECONDS = 50.0, 1.0


class Beats(QObject):
    """How late each beat of a 10 ms timer was, in ms."""

    def __init__(self) -> None:
        super().__init__()
        self.late: list[float] = []
        self._since = QElapsedTimer()
        self._timer = QTimer(self)
        self._timer.setTimerType(self._timer.timerType().PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._since.start()
        self._timer.start(10)

    def taken(self) -> list[float]:
        """The beats since the last time."""
        taken, self.late = self.late, []
        return taken

    def _beat(self) -> None:
        self.late.append(max(0.0, self._since.nsecsElapsed() / 1e6 - 10))
        self._since.restart()


class Person:
    """In front of a window with the large case open."""

    def __init__(self, study: Path) -> None:
        import napari  # noqa: PLC0415 - not for --help

        self.viewer = napari.Viewer()
        self.viewer.window._qt_window.resize(1400, 950)
        _, dock = self.viewer.window.add_plugin_dock_widget("napari-apprentice", "Apprentice")
        self.dock, self.desk = dock, dock.desk
        dock.session.open_study(study)
        self.until(lambda: self.desk.facts.now.rows and not self.desk.runner.busy)

    def until(self, condition: Callable[[], Any], seconds: float = 600) -> None:
        """Let the window live until something is so."""
        end = time.monotonic() + seconds
        while not condition():
            QApplication.processEvents()
            time.sleep(0.001)
            if time.monotonic() > end:
                raise TimeoutError(f"the window did not get there; it says {self.desk.runner.shown}")

    def rest(self, seconds: float) -> None:
        """Let the window live for so long."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end)

    def open(self, case_id: str) -> None:
        """Open a case, and look at it for some seconds: its last details are read and drawn by then."""
        self.desk.cases.open_case(case_id)
        self.until(lambda: self.dock.session.case is not None and self.dock.session.case.info.case_id == case_id)
        self.until(lambda: self.desk.layers.labels is not None and not self.desk.runner.busy)
        self.rest(5.0)

    def near(self) -> None:
        """Move the mouse to the buttons, as before a press; what is done ahead of it has a second."""
        panel, here = self.dock.predict_panel, QPointF(5, 5)
        QApplication.sendEvent(panel, QEnterEvent(here, here, here))
        self.rest(1.0)

    def press(self) -> float:
        """Press Predict this case; the moment."""
        began = time.perf_counter()
        self.dock.predict_panel.this_case.click()
        return began

    def first_slab(self) -> float:
        """Seconds until labels are in the frame on the screen."""
        frames: list[float] = []
        canvas = self.viewer.window._qt_viewer.canvas.native
        began = self.press()
        shown = self.desk.layers.z_shown()
        labels = self.dock.session.case.canvas.labels
        self.until(lambda: labels[shown].any() and not self.desk.arriving._waiting_to_be_drawn)
        canvas.frameSwapped.connect(lambda: frames.append(time.perf_counter()))
        self.until(lambda: frames)
        return frames[0] - began

    def done(self) -> None:
        """Until no prediction is under way."""
        self.until(lambda: self.desk.models.prediction is None)
        self.until(lambda: not self.desk.runner.busy)

    def cancelled(self) -> float:
        """Seconds from Cancel until the prediction process is at rest."""
        self.press()
        self.until(lambda: self.desk.arriving._active)
        request = self.desk.arriving._active[-1]
        self.until(lambda: request.run is not None and any(e.get("slab") for e in request.run.events()[0]))
        began = time.perf_counter()
        self.desk.models.prediction.cancel()
        self.until(lambda: request.run.events()[0][-1]["event"] == "cancelled")
        seconds = time.perf_counter() - began
        self.done()
        return seconds


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="heartbeat-") as folder:
        run(Path(folder), QUICK if given.quick else FULL, given.repeats, given.seed).show(given.json)


def run(folder: Path, shape: tuple[int, int, int], repeats: int, seed: int) -> Result:
    """Measure everything on a made scan of this shape (z, y, x)."""
    study = make_sample_study(folder / "bench.study")
    cases = [f"large-{number}" for number in range(repeats + 1)]  # each predicted for the first time
    for number, case_id in enumerate(cases):
        study.cases.add(case_id, case_id, made_scan(shape, seed + number))
    person, beats = Person(study.path), Beats()
    person.open(cases[0])
    result = Result(("while", "beats", "median ms late", "p99", "latest", "seconds"))
    beats.taken()
    person.rest(5)
    _row(result, "nothing happens", beats.taken(), 5.0)
    person.press()
    person.done()  # the process starts, the network is loaded
    beats.taken()
    first, cancelled = [], []
    late: list[float] = []
    for case_id in cases[1:]:
        person.open(case_id)
        person.near()
        beats.taken()
        began = time.perf_counter()
        first.append(person.first_slab())
        person.done()
        late += (taken := beats.taken())
        _row(result, "predicting", taken, time.perf_counter() - began)
        cancelled.append(person.cancelled())
    result.claims["first slab on the screen, seconds"] = median(first)
    result.claims["first slab, slowest"] = max(first)
    result.claims["cancelled after, seconds"] = max(cancelled)
    result.claims["late at the 99th percentile while predicting, ms"] = float(np.percentile(late, 99))
    result.claims["holds: first slab under 1 s"] = str(median(first) < LIMIT_SECONDS)
    result.claims["holds: late at most 50 ms"] = str(float(np.percentile(late, 99)) <= LIMIT_MS)
    result.extra = {"shape": shape, "settings": PredictSettings().to_json()}
    person.viewer.close()
    return result


def _row(result: Result, what: str, late: list[float], seconds: float) -> None:
    result.rows.append((what, len(late), float(np.median(late)), float(np.percentile(late, 99)), max(late), seconds))


def made_scan(shape: tuple[int, int, int], seed: int) -> Any:
    """A sample scan that fills more voxels of the same field; not scanner data."""
    scan = sample_scan(sample_list().first_site[0])
    factors = [n / old for n, old in zip(shape, scan.voxels.shape[1:], strict=True)]
    large = zoom(scan.voxels[0].astype(np.float32), factors, order=1, grid_mode=True, mode="nearest")
    random = np.random.default_rng(seed)
    for part in large:
        part += np.roll(random.normal(0, 10, part.shape).astype(np.float32), 1)
    z, y, x = shape
    spacing = [s / f for s, f in zip(scan.geometry.spacing, factors, strict=True)]
    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    geometry = Geometry.from_source((x, y, z), affine)
    return replace(scan, voxels=np.round(large).astype(np.int16)[None], geometry=geometry)


if __name__ == "__main__":
    main()
