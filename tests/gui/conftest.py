"""Windows for the tests of the gui room."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")

from driving import Person
from qtpy.QtCore import QPoint
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDialog

from builders import study as make_study
from napari_apprentice.store.study import Study

SIZE = (1150, 900)  # of a window; every pixel is drawn by the processor


class OneWindow:
    """A napari window that tests use one after the other, as people do with one study after another.

    napari takes longer to open a window than most tests do in it.
    """

    def __init__(self) -> None:
        self._kept: Any = None

    def take(self) -> Any:
        """The window's viewer, with nothing in it."""
        if self._kept is None:
            self._kept = new_viewer()
        return self._kept

    def give_back(self, *, sound: bool) -> None:
        """Take out what a test left in it; after a test that failed, or closed it, the next one gets another."""
        viewer, self._kept = self._kept, None
        if not is_open(viewer):
            return
        for left in QApplication.topLevelWidgets():  # a dialog would keep the mouse from the next test
            if isinstance(left, QDialog) and left.isVisible():
                left.close()
        viewer.window.remove_dock_widget("all")
        viewer.layers.clear()
        viewer.dims.reset()
        viewer.dims.ndisplay = 2
        viewer.reset_view()
        viewer.window._qt_window.resize(*SIZE)
        QApplication.processEvents()
        if sound:
            self._kept = viewer
        else:
            viewer.close()

    def close(self) -> None:
        """The last test is done."""
        if self._kept is not None:
            self._kept.close()


def new_viewer() -> Any:
    """A viewer in a window of its own, on the screen."""
    import napari

    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    viewer.window._qt_window.resize(*SIZE)
    return viewer


def is_open(viewer: Any) -> bool:
    return hasattr(viewer.window, "_qt_window") and viewer.window._qt_window.isVisible()


@pytest.fixture(scope="session")
def one_window(qapp: QApplication) -> Iterator[OneWindow]:  # noqa: ARG001 - there has to be one
    """The window that tests share."""
    with pytest.MonkeyPatch.context() as patch:
        # a thread of napari's that reads values under a mouse nobody moves
        patch.setattr("napari._qt.threads.status_checker.StatusChecker.start", lambda *_: None)
        made = OneWindow()
        yield made
        made.close()


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Two cases, two labels, no model version."""
    return make_study(tmp_path, cases=2)


@pytest.fixture
def viewer(one_window: OneWindow, request: pytest.FixtureRequest) -> Iterator[Any]:
    """napari's viewer in a real window, with nothing in it."""
    yield one_window.take()
    ended = getattr(request.node, "rep_call", None)  # noted by napari's plugin for pytest
    one_window.give_back(sound=ended is not None and ended.passed)


@pytest.fixture
def person(viewer: Any) -> Iterator[Person]:
    """Somebody in front of a real window with the dock open; nothing of it may stay behind."""
    # napari collects garbage for every layer that goes; looking through all that is there by now each time took a
    # fifth of these tests' time.
    gc.collect(1)
    gc.freeze()
    made = Person(viewer)
    # a mouse that is moved to where the test before has left it does not move
    QTest.mouseMove(made.canvas, QPoint(1, 1))
    yield made
    if is_open(viewer):
        viewer.window.remove_dock_widget("all")
        made.rest(0.1)
    assert not made.desk.open


@pytest.fixture
def another_person(one_window: OneWindow) -> Iterator[Callable[[], Person]]:  # noqa: ARG001 - made before it goes
    """Somebody in front of another window, as often as it is called."""
    made: list[Any] = []

    def sit_down() -> Person:
        made.append(new_viewer())
        return Person(made[-1])

    yield sit_down
    for viewer in made:
        if is_open(viewer):
            viewer.close()
    QApplication.processEvents()
