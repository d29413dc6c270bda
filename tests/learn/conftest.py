"""What tests of the learn room share."""

import pytest


@pytest.fixture
def float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute as a processor without bf16 does: for tests of what half precision would round away."""
    from napari_apprentice.learn import device

    monkeypatch.setattr(device, "_cpu_has_bf16", lambda: False)
