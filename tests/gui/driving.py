"""A person at the window: waits, clicks, presses keys and draws with the mouse."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from qtpy.QtCore import QElapsedTimer, QObject, QPoint, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_apprentice.gui.main_widget import ApprenticeWidget


class Person:
    """Drives one napari window with the Apprentice dock in it."""

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        _, self.dock = viewer.window.add_plugin_dock_widget("napari-apprentice", "Apprentice")
        assert isinstance(self.dock, ApprenticeWidget)
        self.complaints: list[str] = []
        self.desk.runner.went_wrong.connect(self.complaints.append)
        self.notices: list[str] = []
        self.desk.bridge.noticed.connect(self.notices.append)
        self.said: list[str] = []
        self.desk.runner.said.connect(self.said.append)

    @property
    def desk(self) -> Any:
        return self.dock.desk

    @property
    def session(self) -> Any:
        return self.dock.session

    @property
    def canvas(self) -> Any:
        return self.viewer.window._qt_viewer.canvas.native

    def wait(self, until: Callable[[], Any], seconds: float = 60.0) -> None:
        start = time.monotonic()
        while not until():
            self.rest(0.01)
            assert time.monotonic() - start < seconds, f"waited {seconds} s; complaints: {self.complaints}"

    def rest(self, seconds: float = 0.1) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.002)

    def settle(self) -> None:
        """Until nothing is under way and the facts were read."""
        self.rest(0.1)
        self.wait(lambda: not self.desk.runner.busy and not self.desk.cases.opening.under_way)
        self.rest(0.05)

    def click(self, button: Any) -> None:
        assert button.isEnabled(), f"{button.text()} cannot be clicked"
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        self.rest(0.02)

    def open_study(self, path: Any) -> None:
        self.session.open_study(path)
        self.wait(lambda: self.desk.facts.now.rows)
        self.settle()

    def open_case(self, case_id: str) -> None:
        self.desk.cases.open_case(case_id)
        self.wait(lambda: self.session.case is not None and self.session.case.info.case_id == case_id)
        self.wait(lambda: self.desk.layers.labels is not None)
        self.settle()

    def press(self, key: Any, modifiers: Any = Qt.KeyboardModifier.NoModifier) -> None:
        QTest.keyClick(self.canvas, key, modifiers)
        self.rest(0.05)

    def click_at(self, x: float, y: float, button: Any = Qt.MouseButton.LeftButton) -> None:
        """Click on the canvas, at a point given as shares of its width and height."""
        point = QPoint(int(x * self.canvas.width()), int(y * self.canvas.height()))
        QTest.mouseMove(self.canvas, point)
        self.rest(0.02)
        QTest.mouseClick(self.canvas, button, Qt.KeyboardModifier.NoModifier, point)
        self.rest(0.02)

    def drag(self, start: tuple[float, float] = (0.5, 0.5), shift: tuple[int, int] = (60, 30)) -> None:
        """Draw on the canvas, from a point given as shares of its width and height, with real mouse events."""
        a = QPoint(int(start[0] * self.canvas.width()), int(start[1] * self.canvas.height()))
        b = a + QPoint(*shift)
        QTest.mouseMove(self.canvas, a)
        QTest.mousePress(self.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, a)
        self.rest(0.03)
        for step in range(1, 6):
            QTest.mouseMove(self.canvas, a + (b - a) * step / 5)
            self.rest(0.02)
        QTest.mouseRelease(self.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, b)
        self.rest(0.05)


class Heartbeat(QObject):
    """A 10 ms Qt timer that notes how late each beat was, and how long this thread computed for it.

    A late beat in which the thread hardly computed is not the program's: the machine gave it no core.
    """

    def __init__(self) -> None:
        super().__init__()
        self._since = QElapsedTimer()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self.reset()
        self._timer.start(10)

    def reset(self) -> None:
        """Forget what was noted."""
        self.late_ms: list[float] = []
        self.computed_ms: list[float] = []
        self._computed = time.thread_time()
        self._since.restart()

    def stop(self) -> None:
        """Note no more."""
        self._timer.stop()

    def late(self, percent: float) -> float:
        """How many milliseconds beats are late at most, for so many per cent of them."""
        return float(np.percentile(self.late_ms, percent))

    def __str__(self) -> str:
        return (
            f"{len(self.late_ms)} beats, 95 % of them at most {self.late(95):.0f} ms late, 99 % {self.late(99):.0f}, "
            f"the latest {self.late(100):.0f}, the longest computing {max(self.computed_ms):.0f} ms"
        )

    def _beat(self) -> None:
        computed = time.thread_time()
        self.late_ms.append(self._since.nsecsElapsed() / 1e6 - 10)
        self.computed_ms.append(1000 * (computed - self._computed))
        self._computed = computed
        self._since.restart()
