"""Windows for the tests of the gui room."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")

from driving import Person

from builders import study as make_study
from napari_apprentice.store.study import Study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Two cases, two labels, no model version."""
    return make_study(tmp_path, cases=2)


@pytest.fixture
def person(make_napari_viewer: Callable[..., object]) -> Iterator[Person]:
    """Somebody in front of a real window with the dock open; nothing of it may stay behind."""
    # napari collects garbage for every layer that goes. What is there by now was looked through by its
    # fixture and never is any; looking through it again took a fifth of these tests' time.
    gc.freeze()
    made = Person(make_napari_viewer(show=True))
    yield made
    made.viewer.close()
    made.rest(0.1)
    assert not made.desk.open
