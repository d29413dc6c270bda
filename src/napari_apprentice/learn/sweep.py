"""All windows of one scan added up, row by row along z, and the parts of it that are finished."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from napari_apprentice.core.plan import Plan
from napari_apprentice.learn.cells import Cells, Key
from napari_apprentice.learn.device import sent
from napari_apprentice.learn.on_disk import Veil
from napari_apprentice.learn.probabilities import Agreement, largest, likely, mean_probabilities
from napari_apprentice.learn.readout import Readout
from napari_apprentice.learn.scaled import ScaledScan
from napari_apprentice.learn.windows import Axis, Rows, Shares

# Every term of a sum is rounded to a multiple of 2**-13, by adding and taking away a number with just that
# precision. Sums of such terms below 2**11 are exact in float32, so they do not depend on the order.
ROUNDER = 1.5 * 2**10
# Features are weighed up again by the last layer, so they are rounded to 2**-15. They come from a norm: up to 128
# their sums are exact, which is far above what such features reach.
FEATURE_ROUNDER = 1.5 * 2**8
HELD = 2**28  # bytes of cells that are finished on a GPU and wait to be looked at together
AT_ONCE = 2**21  # numbers weighted at once on a CPU; of more maps, cell by cell, which takes less memory
Window = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Models:
    """What a sweep needs to know of the models it adds up."""

    plan: Plan
    readouts: tuple[Readout, ...]
    temperatures: tuple[float, ...]

    @property
    def rows(self) -> int:
        """Output rows of one model."""
        return 1 + len(self.plan.labels)

    def logits(self, averages: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(rows, ...) of each model, from the (maps of all models, ...) averages of windows."""
        each = torch.split(averages, [r.width for r in self.readouts])
        return tuple(r.logits(a) for r, a in zip(self.readouts, each, strict=True))


@dataclass(frozen=True, eq=False)
class Ended:
    """A cell that every window was added to: its averages and probabilities, and the largest of each row of these.

    Averages only where they may be what is kept.
    """

    key: Key
    averages: torch.Tensor | None
    probabilities: torch.Tensor
    most: torch.Tensor

    @property
    def bytes(self) -> int:
        """Of its tensors."""
        return 4 * (self.probabilities.numel() + (self.averages.numel() if self.averages is not None else 0))


class Sweep:
    """The sliding windows over one scan.

    Parameters
    ----------
    scan
        The scan on the network's grid.
    step
        Shift between windows as a share of the patch.
    budget
        Bytes for sums that are not finished.
    veil
        As of `Cells`.
    """

    def __init__(
        self, scan: ScaledScan, models: Models, step: float, budget: int, device: torch.device,
        veil: Veil | None = None,
    ) -> None:  # fmt: skip
        self._scan, self._models, self._device = scan, models, device
        patch = models.plan.patch
        size = [max(n, p) for n, p in zip(scan.shape, patch, strict=True)]
        # the scan in the middle of what is added around it, as in training
        self._before = tuple((s - n) // 2 for s, n in zip(size, scan.shape, strict=True))
        self._after = tuple(s - n - b for s, n, b in zip(size, scan.shape, self._before, strict=True))
        self._axes = tuple(Axis.placed(n, p, step) for n, p in zip(size, patch, strict=True))
        self._shares = Shares(self._axes, device)
        self._rows = Rows(self._axes[0])
        self.cells = Cells(budget, device, veil)
        rounder = FEATURE_ROUNDER if any(r.late for r in models.readouts) else ROUNDER
        self._rounder, self._scratch = torch.tensor(rounder, device=device), torch.empty(0, device=device)
        self._over = [[a.windows_over(k) for k in range(len(a.segments))] for a in self._axes]
        self._left: dict[Key, int] = {}
        self._likely: dict[Key, tuple[int, ...]] = {}
        self._averaged: set[Key] = set()  # finished cells that are kept as averages
        self._ended: list[Ended] = []
        self.agreement = Agreement(len(models.temperatures), models.rows, device)

    @property
    def windows(self) -> int:
        """How many there are."""
        return math.prod(len(a.starts) for a in self._axes)

    def next_row(self, focus: float) -> int | None:
        """The row of windows that helps most to finish slice `focus` of the network's grid; None at the end."""
        return self._rows.next(focus + self._before[0])

    def windows_of(self, row: int) -> list[Window]:
        """Windows of one row, always in the same order."""
        return [(row, y, x) for y, x in product(range(len(self._axes[1].starts)), range(len(self._axes[2].starts)))]

    def voxels_of(self, row: int) -> torch.Tensor:
        """(c, patch z, y, x) normalised voxels of one row, 0 around the scan."""
        start = self._axes[0].starts[row] - self._before[0]
        stop = start + self._models.plan.patch[0]
        first, last = max(0, start), min(self._scan.shape[0], stop)
        voxels = self._scan.read(first, last)
        around = (self._before[2], self._after[2], self._before[1], self._after[1], first - start, stop - last)
        return F.pad(voxels, around) if any(around) else voxels

    def cut(self, voxels: torch.Tensor, windows: list[Window]) -> torch.Tensor:
        """(b, c, z, y, x) patches from what `voxels_of` gave."""
        _, tall, long = self._models.plan.patch
        corners = [(self._axes[1].starts[y], self._axes[2].starts[x]) for _, y, x in windows]
        return torch.stack([voxels[:, :, y : y + tall, x : x + long] for y, x in corners])

    def add(self, window: Window, maps: torch.Tensor) -> None:
        """Add the (maps of all models, z, y, x) that a window gave; cells it finishes become probabilities."""
        weight = self._shares.of(window)
        small = self._device.type != "cpu" or maps.numel() <= AT_ONCE
        terms = self._terms(maps, weight) if small else None
        corner = [a.starts[i] for a, i in zip(self._axes, window, strict=True)]
        for key in _keys(*(a.segments_of(i) for a, i in zip(self._axes, window, strict=True))):
            bounds = [a.segments[k] for a, k in zip(self._axes, key, strict=True)]
            part = tuple(slice(b - c, e - c) for (b, e), c in zip(bounds, corner, strict=True))
            every = (slice(None), *part)
            added = self._terms(maps[every], weight[part]) if terms is None else terms[every]
            self._add_to(key, added, self._needed_again(key, window))

    def halve(self) -> bool:
        """Give memory back, for it turned out to be short; False where there is nothing more to give."""
        waiting = bool(self._ended)
        self._look_at_ended()
        return self.cells.halve() or waiting

    def finish_row(self, row: int) -> NDArray[np.bool_]:
        """A row is done: which slices of the network's grid are complete."""
        self._look_at_ended()
        self._rows.finish(row)
        before = self._before[0]
        self._scan.forget(lambda z: self._rows.needed(z + before))
        return self._rows.complete()[before : before + self._scan.shape[0]]

    def release(self, needed: NDArray[np.bool_]) -> None:
        """Forget finished cells of slices that are not needed any more."""
        before = self._before[0]
        for layer, (start, stop) in enumerate(self._axes[0].segments):
            if not needed[max(0, start - before) : max(0, stop - before)].any():
                for key in [k for k in self._likely if k[0] == layer]:
                    self.cells.drop(key)
                    self._averaged.discard(key)
                    del self._likely[key]

    def gather(self, z: tuple[int, int], y: tuple[int, int]) -> tuple[tuple[int, ...], torch.Tensor]:
        """Finished probabilities of a part of the network's grid, x whole; see `own_grid.Probabilities`."""
        inner = [(s + b, e + b) for (s, e), b in zip((z, y, (0, self._scan.shape[2])), self._before, strict=True)]
        keys = _keys(*(_touched(a, *i) for a, i in zip(self._axes, inner, strict=True)))
        found = tuple(sorted({r for k in keys for r in self._likely[k]}))
        place = {r: i for i, r in enumerate(found)}
        whole = torch.zeros((len(found), *(e - s for s, e in inner)), device=self._device)
        for key in keys:
            into, out = _overlap(self._axes, key, inner)
            cell, rows = self._part(key, out), self._likely[key]
            if rows == found:
                whole[(slice(None), *into)] = cell
            else:
                for values, row in zip(cell, rows, strict=True):
                    whole[place[row]][into] = values
        return found, whole

    def close(self) -> None:
        """Give memory and the temporary file back."""
        self.cells.close()
        self._ended.clear()
        self._scratch = torch.empty(0, device=self._device)

    def _terms(self, maps: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """What a window adds to sums, rounded so that these are exact; overwritten by the next call.

        Always in the same memory: to be given fresh pages by the system takes ten times as long as the sums.
        """
        if self._scratch.numel() < maps.numel():
            self._scratch = torch.empty(maps.numel(), device=self._device)
        terms = self._scratch[: maps.numel()].view(maps.shape)
        return torch.addcmul(self._rounder, maps.float(), weight, out=terms).sub_(self._rounder)

    def _needed_again(self, key: Key, window: Window) -> float:
        """When the next window of the same row touches a cell: its place in the row, infinity for never."""
        long = len(self._axes[2].starts)
        now = window[1] * long + window[2]
        over = product(self._over[1][key[1]], self._over[2][key[2]])
        return min((place for y, x in over if (place := y * long + x) > now), default=math.inf)

    def _add_to(self, key: Key, terms: torch.Tensor, needed: float) -> None:
        first = key not in self._left
        if first:
            self._left[key] = math.prod(len(over[k]) for over, k in zip(self._over, key, strict=True))
            cell = terms.clone(memory_format=torch.contiguous_format)
        else:
            cell = self.cells.get(key, needed)
            cell += terms
        self._left[key] -= 1
        if self._left[key] == 0:
            self.cells.drop(key)
            self._finish(key, cell)
        elif first:
            self.cells.put(key, cell, needed)

    def _finish(self, key: Key, averages: torch.Tensor) -> None:
        """Make probabilities of a cell that every window was added to."""
        logits = self._models.logits(averages)
        if self._counts_agreement:
            self.agreement.add([self._inner(key, member) for member in logits])
        probabilities = mean_probabilities(logits, self._models.temperatures)
        late = all(r.late for r in self._models.readouts)
        self._ended.append(Ended(key, averages if late else None, probabilities, largest(probabilities)))
        # To look at numbers of a GPU is to wait for all that it was asked for, and meanwhile it is asked for nothing.
        if self._device.type == "cpu" or sum(e.bytes for e in self._ended) > HELD:
            self._look_at_ended()

    def _look_at_ended(self) -> None:
        """Keep of finished cells what is likely there; a GPU is waited for once for all of them."""
        ended, self._ended = self._ended, []
        if not ended:
            return
        for cell, most in zip(ended, torch.stack([e.most for e in ended]).cpu(), strict=True):
            self._likely[cell.key] = likely(most)
            self.cells.put(cell.key, self._kept(cell))

    def _kept(self, cell: Ended) -> torch.Tensor:
        """What is kept of a finished cell: the likely probabilities, or averages where these are less."""
        rows = self._likely[cell.key]
        if cell.averages is not None and len(rows) > len(cell.averages):
            self._averaged.add(cell.key)
            return cell.averages
        return cell.probabilities if len(rows) == len(cell.probabilities) else cell.probabilities[self._places(rows)]

    def _places(self, rows: Sequence[int]) -> torch.Tensor:
        return sent(np.array(rows), self._device)

    def _part(self, key: Key, part: tuple[slice, ...]) -> torch.Tensor:
        """(likely rows, z, y, x) probabilities of a part of a finished cell."""
        cell = self.cells.look(key)
        if key not in self._averaged:
            return cell[(slice(None), *part)]
        # Slice by slice, each whole: last bits of a matrix product may depend on its size.
        rows, (z, *plane) = self._places(self._likely[key]), part
        slices = (self._models.logits(cell[:, i]) for i in range(z.start, z.stop))
        made = [mean_probabilities(logits, self._models.temperatures)[rows] for logits in slices]
        return torch.stack(made, dim=1)[(slice(None), slice(None), *plane)]

    @property
    def _counts_agreement(self) -> bool:
        return len(self._models.temperatures) > 1

    def _inner(self, key: Key, cell: torch.Tensor) -> torch.Tensor:
        """A cell without what was added around the scan."""
        inside = [(b, b + n) for b, n in zip(self._before, self._scan.shape, strict=True)]
        return cell[(slice(None), *_overlap(self._axes, key, inside)[1])]


def _keys(z: Sequence[int], y: Sequence[int], x: Sequence[int]) -> list[Key]:
    return list(product(z, y, x))


def _touched(axis: Axis, start: int, stop: int) -> list[int]:
    return [i for i, (b, e) in enumerate(axis.segments) if b < stop and e > start]


def _overlap(
    axes: tuple[Axis, ...], key: Key, region: list[tuple[int, int]]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where a cell and a region overlap: slices of the region, slices of the cell."""
    into, out = [], []
    for axis, k, (start, stop) in zip(axes, key, region, strict=True):
        first, last = axis.segments[k]
        low, high = max(first, start), max(max(first, start), min(last, stop))
        into.append(slice(low - start, high - start))
        out.append(slice(low - first, high - first))
    return tuple(into), tuple(out)
