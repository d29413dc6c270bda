"""Disks that fail on request, and generators run to their end."""

import errno
from collections.abc import Generator
from typing import Any

import pytest


def finish(generator: Generator[Any, None, Any]) -> Any:
    """Run a generator to its end; its return value."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value


def fail_from(monkeypatch: pytest.MonkeyPatch, target: str, allowed: int, code: int = errno.ENOSPC) -> None:
    """Let a function work `allowed` times and then raise an OSError, as a full disk does."""
    module, name = target.rsplit(".", 1)
    owner = __import__(module, fromlist=[name])
    real, calls = getattr(owner, name), iter(range(allowed))

    def maybe(*args: Any, **kwargs: Any) -> Any:
        if next(calls, None) is None:
            raise OSError(code, "injected")
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, maybe)
