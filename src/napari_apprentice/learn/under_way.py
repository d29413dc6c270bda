"""A prediction under way: rows of windows, and the slabs they finish, the ones somebody looks at first."""

import time
from collections.abc import Callable, Generator

import numpy as np
import torch
from numpy.typing import NDArray

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.slabs import Focus, PredictedSlab
from napari_apprentice.errors import Cancelled
from napari_apprentice.learn.device import free_bytes, memory_errors
from napari_apprentice.learn.own_grid import OwnGrid
from napari_apprentice.learn.scaled import ScaledScan
from napari_apprentice.learn.sweep import Models, Sweep
from napari_apprentice.learn.voting import Voters

Cancel = Callable[[], bool]
Report = Progress | PredictedSlab
SLAB = 2**21  # voxels of the scan given at once
ROWS_AHEAD = 2  # with windows half a patch apart, so many lie over a slice


class Asker:
    """Ends the work when somebody said so."""

    def __init__(self, cancelled: Cancel) -> None:
        self.cancelled = cancelled

    def __call__(self) -> None:
        """Go on, or raise Cancelled."""
        if self.cancelled():
            raise Cancelled("The prediction was cancelled; nothing was changed.")


class PredictionUnderWay:
    """One prediction, from the first row of windows to the last slab.

    Parameters
    ----------
    scan
        The scan; it may have been read in part.
    ask
        Called now and then; it raises to end the work.
    focus, least
        See `Predictor.predict`.
    """

    def __init__(
        self, models: Models, voters: Voters, scan: ScaledScan, settings: PredictSettings, device: torch.device,
        ask: Asker, focus: Focus, least: NDArray[np.float32] | None = None,
    ) -> None:  # fmt: skip
        self._models, self._voters, self._ask, self._focus = models, voters, ask, focus
        scan.cancelled = ask.cancelled
        own = self._own = scan.own
        self._scaled = scan.shape
        self._sweep = Sweep(scan, models, settings.shift, _budget(settings, device), device)
        self._grid = OwnGrid(own, scan.shape, (0, *models.plan.labels), device, least)
        self._given = np.zeros(own[0], dtype=bool)
        self._thick = max(1, SLAB // (own[1] * own[2]))

    def run(self) -> Generator[Report, None, None]:
        """Progress in windows, and every slab once."""
        done, total, began = 0, self._sweep.windows, time.monotonic()
        while (row := self._sweep.next_row(self._place())) is not None:
            self._ask()
            with memory_errors():
                voxels = self._sweep.voxels_of(row)
            windows = self._sweep.windows_of(row)
            while windows:
                self._ask()
                windows, count = self._batch(voxels, windows)
                done += count
                left = (time.monotonic() - began) / done * (total - done)
                yield Progress(done, total, "Predicting", seconds_left=left)
            yield from self._slabs(self._sweep.finish_row(row))

    def read_ahead(self) -> None:
        """Read what the first slab needs, and do no more."""
        for _ in range(ROWS_AHEAD):
            row = self._sweep.next_row(self._place())
            if row is None:
                return
            self._ask()
            self._sweep.voxels_of(row)
            self._sweep.pass_over(row)

    def quality(self) -> dict[int, float]:
        """Label id to predicted Dice, of labels that were found."""
        confidence = self._grid.confidence.dice()
        several = len(self._models.temperatures) > 1
        agreed = self._sweep.agreement.dice() if several else confidence
        return {self._models.plan.labels[row - 1]: agreed.get(row, 0.0) for row in confidence}

    def close(self) -> int:
        """Give memory and the temporary file back; how many bytes went through that file."""
        self._sweep.cells.close()
        return self._sweep.cells.spilled

    def _batch(
        self, voxels: torch.Tensor, windows: list[tuple[int, int, int]]
    ) -> tuple[list[tuple[int, int, int]], int]:
        """Predict some windows; those that are left, and how many were done."""
        with memory_errors():
            now = windows[: self._voters.batch]
            maps = self._voters.retrying(lambda count: self._sweep.cut(voxels, now[:count]), self._sweep.cells.halve)
            for window, found in zip(now, maps, strict=False):
                self._sweep.add(window, found)
        return windows[len(maps) :], len(maps)

    def _slabs(self, complete: NDArray[np.bool_]) -> Generator[PredictedSlab, None, None]:
        """Every slab that can be made by now, the nearest to the focus first.

        None while the slice that is looked at waits for another row of windows: the others would hold it up by
        half a second on a large scan. Unless sums do not find room any more.
        """
        here = self._slice()
        if not self._given[here] and not self._grid.ready(complete)[here] and not self._sweep.cells.spilled:
            return
        while (part := self._nearest(self._grid.ready(complete) & ~self._given)) is not None:
            with memory_errors():
                slab = self._grid.slab(*part, self._sweep, self._ask)
            self._given[slice(*part)] = True
            yield slab
        needed = np.zeros(self._scaled[0], dtype=bool)
        needed[self._grid.deep.low[~self._given]] = needed[self._grid.deep.high[~self._given]] = True
        self._sweep.release(needed)

    def _nearest(self, ready: NDArray[np.bool_]) -> tuple[int, int] | None:
        places = np.flatnonzero(ready)
        if not len(places):
            return None
        focus = self._slice()
        start = stop = int(places[np.argmin(np.abs(places - focus))])
        while stop - start + 1 < self._thick:
            below, above = start > 0 and ready[start - 1], stop + 1 < len(ready) and ready[stop + 1]
            if not below and not above:
                break
            if below and (not above or focus - start <= stop - focus):
                start -= 1
            else:
                stop += 1
        return start, stop + 1

    def _slice(self) -> int:
        """The slice of the scan that is looked at, or its middle."""
        asked = self._focus()
        return self._own[0] // 2 if asked is None else min(max(0, asked), self._own[0] - 1)

    def _place(self) -> float:
        """Where that is on the network's grid."""
        at = self._slice()
        return float(self._grid.deep.low[at] + self._grid.deep.share[at])


def _budget(settings: PredictSettings, device: torch.device) -> int:
    """Bytes for sums that are not finished; a GPU may use a quarter of what it has free."""
    return max(settings.memory_mb * 2**20, (free_bytes(device) or 0) // 4)
