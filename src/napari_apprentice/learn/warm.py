"""Networks that stay in memory from one prediction to the next."""

from collections import OrderedDict
from collections.abc import Callable, Container, Hashable, Mapping

import torch

from napari_apprentice.core.machine import memory
from napari_apprentice.learn.device import free_share, release_memory
from napari_apprentice.learn.predictor import Predictor

LEAST_FREE = 0.25  # of all memory; where less is free, networks that are not needed now go
MOST = 16


def has_room(device: torch.device) -> bool:
    """Whether a quarter of a device's memory is free, or of the computer's for one that has none of its own."""
    share = free_share(device)
    if share is None:
        here = memory()
        share = here.free / here.total
    return share >= LEAST_FREE


class WarmNetworks:
    """Predictors of single model versions, those used last kept as long as there is room.

    Parameters
    ----------
    room
        Whether there is, on a device.
    """

    def __init__(self, room: Callable[[torch.device], bool] = has_room) -> None:
        self._room = room
        self._kept: OrderedDict[Hashable, Predictor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, wanted: Mapping[Hashable, Callable[[], Predictor]], device: torch.device) -> list[Predictor]:
        """Predictors by key, those that are not there loaded by what stands with them; the rest may have to go."""
        found = []
        for key, load in wanted.items():
            if key not in self._kept:
                self._make_room(wanted, device)
                self._kept[key] = load()
            self._kept.move_to_end(key)
            found.append(self._kept[key])
        self._make_room(wanted, device)
        return found

    def _make_room(self, needed: Container[Hashable], device: torch.device) -> None:
        others = [key for key in self._kept if key not in needed]  # the one used longest ago first
        while others and (len(self._kept) > MOST or not self._room(device)):
            del self._kept[others.pop(0)]
            release_memory()
