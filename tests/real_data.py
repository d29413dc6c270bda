"""Where the real scans are; tests that need them skip where they are absent."""

from pathlib import Path

import pytest


def real_data(*parts: str) -> Path:
    """Path inside the folder of real scans beside the repository; skips the test when it is absent."""
    path = Path(__file__).resolve().parents[2].joinpath("shared", "data", *parts)
    if not path.exists():
        pytest.skip(f"the real scans are not here ({'/'.join(parts)})")
    return path
