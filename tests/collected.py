"""The corrections that a training run would go by, at once."""

from typing import Any

from napari_apprentice.loop.worker_collect import Sides, collecting
from napari_apprentice.store.study import Study


def collect(study: Study, learned: frozenset[str], *more: Any, **named: Any) -> Sides:
    """What `collecting` returns."""
    work = collecting(study, learned, *more, **named)
    while True:
        try:
            next(work)
        except StopIteration as end:
            sides: Sides = end.value
            return sides
