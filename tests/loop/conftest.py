"""What tests of the loop room share."""

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

FOUND_BY = "napari_apprentice.learn.backend.find_spec"


@pytest.fixture(autouse=True, scope="module")
def _no_openvino() -> Iterator[None]:
    """Predict in this process as where OpenVINO is not installed.

    To convert a network for it takes a hundred times as long as to predict one of the small scans here with PyTorch,
    and every training run measures several. Processes that tests start have it.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FOUND_BY, lambda _: None)
        yield


@pytest.fixture
def openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    """Predict in this process as most people's computers do, after all."""
    monkeypatch.setattr(FOUND_BY, find_spec)
