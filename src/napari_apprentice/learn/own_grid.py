"""Probabilities on the network's grid become labels and uncertainty on the scan's own, slab by slab.

Each label's probability is interpolated on its own, with the largest so far and the entropy so far kept:
never more than one label at full size.
"""

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from napari_apprentice.core.slabs import PredictedSlab
from napari_apprentice.core.volume import LabelArray
from napari_apprentice.learn.probabilities import Confidence
from napari_apprentice.learn.resample import Linear, Shape

GATHERED = 2**23  # numbers of the network's grid at once
TILE = 2**18  # voxels of the scan at once: what a core's cache holds


class Probabilities(Protocol):
    """Where finished probabilities come from."""

    def gather(self, z: tuple[int, int], y: tuple[int, int]) -> tuple[tuple[int, ...], torch.Tensor]:
        """Rows that are likely there, and their (rows, z, y, x) probabilities; x is the whole axis."""


class OwnGrid:
    """The way back to the scan's grid.

    Parameters
    ----------
    own, scaled
        Shapes (z, y, x) of the scan and of the network's grid.
    labels
        Label id of each row; row 0 is background.
    least
        (1 + labels,) probability below which a row that wins gives its voxel to background; None for 0.
    """

    def __init__(
        self, own: Shape, scaled: Shape, labels: tuple[int, ...], device: torch.device,
        least: NDArray[np.float32] | None = None,
    ) -> None:  # fmt: skip
        self._own, self._scaled, self._device = own, scaled, device
        self._least = None if least is None else torch.from_numpy(least).to(device)
        self.deep, self._wide, self._long = (Linear.between(a, b) for a, b in zip(scaled, own, strict=True))
        self._table = np.array(labels, dtype=np.uint8 if max(labels) < 256 else np.uint16)
        self._row_type = torch.uint8 if len(labels) <= 256 else torch.int16  # the narrow one is quicker
        self.confidence = Confidence(len(labels))

    def ready(self, complete: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which slices can be made when those along z of the network's grid are complete."""
        return complete[self.deep.low] & complete[self.deep.high]

    def slab(self, start: int, stop: int, source: Probabilities, ask: Callable[[], None]) -> PredictedSlab:
        """Slices `start` to `stop` - 1; `ask` is called now and then and may raise."""
        _, wide, long = self._own
        labels: LabelArray = np.zeros((stop - start, wide, long), dtype=self._table.dtype)
        uncertainty = np.zeros((stop - start, wide, long), dtype=np.uint8)
        deep = self.deep.part(start, stop)
        z = (int(deep.low[0]), int(deep.high[-1]) + 1)
        tall = self._tile(z, stop - start)
        for first in range(0, wide, tall):
            ask()
            last = min(first + tall, wide)
            across = self._wide.part(first, last)
            y = (int(across.low[0]), int(across.high[-1]) + 1)
            rows, values = source.gather(z, y)
            if rows == (0,):
                continue  # nothing but background, and certain of it
            places = (deep.moved(z[0]), across.moved(y[0]), self._long)
            best, unsure = self._decide(rows, values, places)
            labels[:, first:last] = self._table.take(best.cpu().numpy())
            uncertainty[:, first:last] = unsure.cpu().numpy()
        return PredictedSlab(start, stop, labels, uncertainty)

    def _tile(self, z: tuple[int, int], thick: int) -> int:
        """How many lines of the scan to do at once."""
        ratio = self._own[1] / self._scaled[1]
        lines = GATHERED // (len(self._table) * (z[1] - z[0]) * self._scaled[2])
        most = TILE // (thick * self._own[2]) if self._device.type == "cpu" else self._own[1]
        return max(1, min(int((lines - 2) * ratio), most))

    def _decide(
        self, rows: tuple[int, ...], values: torch.Tensor, places: tuple[Linear, Linear, Linear]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The likeliest row (whole numbers), and the entropy from 0 to 255 (uint8).

        Rows and masks are float32, in memory that is used again: compares that give another type, and fresh pages
        from the system, take several times as long on a CPU as all the rest.
        """
        best = _onto(values[0], places).clone()  # it is written to
        winner, entropy = torch.full_like(best, rows[0]), torch.zeros_like(best)
        mask, scratch = torch.empty_like(best), torch.empty_like(best)
        _add_entropy(entropy, best, scratch)
        # In one tensor: a scalar of its own per label, kept among maps that are freed, would pin all of these.
        sums = torch.empty((len(rows), 3), dtype=_exact(best), device=best.device)
        sums[0, 0] = _total(best)
        for i, (row, value) in enumerate(zip(rows[1:], values[1:], strict=True), 1):
            share = _onto(value, places)
            sums[i, 0] = _total(share)
            _add_entropy(entropy, share, scratch)
            torch.gt(share, best, out=mask)
            torch.maximum(winner, mask.mul_(row), out=winner)  # rows ascend, and the last that is likelier wins
            torch.maximum(best, share, out=best)
        if self._least is not None:
            winner.masked_fill_(best < self._least[winner.long()], 0)
        for i, row in enumerate(rows):
            torch.eq(winner, row, out=mask)
            sums[i, 1], sums[i, 2] = _total(mask), _total(torch.mul(best, mask, out=scratch))
        # one wait for the device, not three per label
        for row, (total, found, agreed) in zip(rows, sums.tolist(), strict=True):
            self.confidence.add(row, total, found, agreed)
        unsure = entropy.mul_(255 / math.log(max(2, len(self._table)))).clamp_(0, 255).round_().to(torch.uint8)
        return winner.to(self._row_type), unsure


def _onto(values: torch.Tensor, places: tuple[Linear, Linear, Linear]) -> torch.Tensor:
    """(z, y, x) trilinear; x first, where there is least of it, and z last, where memory is read in order."""
    for axis in (2, 1, 0):
        values = places[axis].apply(values, axis)
    return values


def _add_entropy(entropy: torch.Tensor, share: torch.Tensor, scratch: torch.Tensor) -> None:
    entropy.sub_(torch.clamp_min(share, 1e-12, out=scratch).log_().mul_(share))


def _exact(values: torch.Tensor) -> torch.dtype:
    """Exact enough that six digits do not show in which parts the scan was summed up; MPS has no float64."""
    return torch.float32 if values.device.type == "mps" else torch.float64


def _total(values: torch.Tensor) -> torch.Tensor:
    """The sum, line by line along x first: a line is always whole, whatever the part."""
    return values.sum(-1).sum(dtype=_exact(values))
