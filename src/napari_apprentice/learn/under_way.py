"""A prediction under way: rows of windows, and the slabs they finish, the ones somebody looks at first."""

import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from napari_apprentice.core.config import USUAL_MEMORY_MB, PredictSettings
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.slabs import Focus, PredictedSlab, unseen
from napari_apprentice.errors import Cancelled
from napari_apprentice.learn.device import free_bytes, is_out_of_memory, memory_errors
from napari_apprentice.learn.on_disk import Veil
from napari_apprentice.learn.own_grid import OwnGrid
from napari_apprentice.learn.scaled import ScaledScan
from napari_apprentice.learn.sweep import Models, Sweep, Window
from napari_apprentice.learn.voting import Voters

Cancel = Callable[[], bool]
Report = Progress | PredictedSlab
KEPT = 2  # batches of patches: one that is asked about, and the next
SLAB = 2**21  # voxels of the scan given at once


@dataclass
class Row:
    """A row of windows that is being predicted: its voxels, the windows that are left, and patches cut out of it."""

    number: int
    voxels: torch.Tensor
    left: list[Window]
    cut: OrderedDict[tuple[Window, ...], torch.Tensor] = field(default_factory=OrderedDict)


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
    voters
        Their networks stay as they are until it is done.
    scan
        The scan; it may have been read in part.
    veil
        As of `Cells`.
    """

    def __init__(
        self, models: Models, voters: Voters, scan: ScaledScan, settings: PredictSettings, device: torch.device,
        veil: Veil | None = None,
    ) -> None:  # fmt: skip
        self._models, self._voters, self._scan, self._device = models, voters, scan, device
        self._ask, self._focus = Asker(lambda: False), unseen
        self._sweep = Sweep(scan, models, settings.shift, _budget(settings, device), device, veil)
        self._grid = self._own_grid(None)
        self._given = np.zeros(scan.own[0], dtype=bool)
        self._thick = max(1, SLAB // (scan.own[1] * scan.own[2]))
        self._row: Row | None = None
        self._done = 0
        self._complete = np.zeros(scan.shape[0], dtype=bool)

    @property
    def name(self) -> str:
        """What computes, as it is recorded."""
        return self._voters.name

    def ahead(self, cancelled: Cancel, focus: Focus) -> None:
        """Do what the slab that is looked at waits for, before anybody has asked for it; `run` goes on from there.

        Raises
        ------
        Cancelled
            `cancelled` said so; what was done until then stays.
        RunError
            There is too little memory.
        """
        self._follow(cancelled, focus)
        while not self._grid.ready(self._complete)[self._slice()]:
            for _ in self._next_row():
                pass

    def run(
        self, cancelled: Cancel, focus: Focus, least: NDArray[np.float32] | None = None
    ) -> Generator[Report, None, None]:
        """Progress in windows, and every slab once; see `Predictor.predict`."""
        self._follow(cancelled, focus)
        self._grid = self._own_grid(least)
        total, before, began = self._sweep.windows, self._done, time.monotonic()
        yield from self._slabs()
        while self._done < total:
            for _ in self._next_row():
                left = (time.monotonic() - began) / (self._done - before) * (total - self._done)
                yield Progress(self._done, total, "Predicting", seconds_left=left)
            yield from self._slabs()

    def quality(self) -> dict[int, float]:
        """Label id to predicted Dice, of labels that were found."""
        confidence = self._grid.confidence.dice()
        several = len(self._models.temperatures) > 1
        agreed = self._sweep.agreement.dice() if several else confidence
        return {self._models.plan.labels[row - 1]: agreed.get(row, 0.0) for row in confidence}

    def close(self) -> int:
        """Give memory and the temporary file back; how many bytes went through that file."""
        self._voters.stop()
        self._row = None
        self._scan.forget(lambda _: False)
        self._sweep.close()
        return self._sweep.cells.spilled

    def _follow(self, cancelled: Cancel, focus: Focus) -> None:
        self._ask, self._focus = Asker(cancelled), focus
        self._scan.cancelled = cancelled

    def _own_grid(self, least: NDArray[np.float32] | None) -> OwnGrid:
        return OwnGrid(self._scan.own, self._scan.shape, (0, *self._models.plan.labels), self._device, least)

    def _next_row(self) -> Iterator[None]:
        """The windows of one row, some at a time; first those of a row that was begun and not finished."""
        if self._row is None:
            number = self._sweep.next_row(self._place())
            if number is None:
                return
            self._ask()
            with memory_errors():
                self._row = Row(number, self._sweep.voxels_of(number), self._sweep.windows_of(number))
        while self._row.left:
            self._ask()
            self._some_windows(self._row)
            yield
        with memory_errors():
            self._complete = self._sweep.finish_row(self._row.number)
        self._row = None

    def _some_windows(self, row: Row) -> None:
        with memory_errors():
            self._begin_ahead(row)
            maps = self._voters.retrying(lambda count: self._cut(row, row.left[:count]), self._sweep.halve)
            for window, found in zip(row.left, maps, strict=False):
                self._sweep.add(window, found)
        del row.left[: len(maps)]
        self._done += len(maps)

    def _begin_ahead(self, row: Row) -> None:
        """Two batches are under way at any time, so that nothing waits while sums are made."""
        try:
            begun = self._voters.ahead(self._cut(row, row.left[: self._voters.batch]))
            if len(row.left) > begun:
                self._voters.ahead(self._cut(row, row.left[begun : begun + self._voters.batch]))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):  # else whoever asks for them tries with fewer
                raise

    def _cut(self, row: Row, windows: list[Window]) -> torch.Tensor:
        """Patches; the same ones where they were asked for lately."""
        key = tuple(windows)
        if key not in row.cut:
            if len(row.cut) == KEPT:
                row.cut.popitem(last=False)
            row.cut[key] = self._sweep.cut(row.voxels, windows)
        return row.cut[key]

    def _slabs(self) -> Generator[PredictedSlab, None, None]:
        """Every slab that can be made by now, the nearest to the focus first.

        None while the slice that is looked at waits for another row of windows: the others would hold it up by
        half a second on a large scan. Unless sums do not find room any more.
        """
        here, ready = self._slice(), self._grid.ready(self._complete)
        if not self._given[here] and not ready[here] and not self._sweep.cells.spilled:
            return
        while (part := self._nearest(ready & ~self._given)) is not None:
            with memory_errors():
                slab = self._grid.slab(*part, self._sweep, self._ask)
            self._given[slice(*part)] = True
            yield slab
        needed = np.zeros(self._scan.shape[0], dtype=bool)
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
        asked, depth = self._focus(), self._scan.own[0]
        return depth // 2 if asked is None else min(max(0, asked), depth - 1)

    def _place(self) -> float:
        """Where that is on the network's grid."""
        at = self._slice()
        return float(self._grid.deep.low[at] + self._grid.deep.share[at])


def _budget(settings: PredictSettings, device: torch.device) -> int:
    """Bytes for sums that are not finished; a GPU may use a quarter of what it has free, less with smaller settings."""
    quarter = (free_bytes(device) or 0) // 4
    return max(settings.memory_mb * 2**20, quarter * min(settings.memory_mb, USUAL_MEMORY_MB) // USUAL_MEMORY_MB)
