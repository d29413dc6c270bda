"""Sums of logits, and later probabilities, in cells of the network's grid; memory for them is bounded.

A cell is a box over every voxel of which the same windows lie. What does not fit into the budget goes to
an unlinked temporary file and comes back when it is touched: plain reads and writes, because pages of a
memory map would count as the process's own.
"""

import math
from typing import BinaryIO

import numpy as np
import torch

from napari_apprentice.errors import RunError
from napari_apprentice.learn.on_disk import Veil, temporary_file

Key = tuple[int, int, int]
SMALLEST = 2**20  # bytes; below, nothing is kept in memory


class Cells:
    """Tensors by (z, y, x) number of the cell; the one that is needed last leaves memory first (Belady 1966).

    Parameters
    ----------
    budget
        Bytes to hold in memory. The cell touched last is always in memory.
    device
        Where the cells in memory lie.
    veil
        What hides those in the file; None where they may lie there as they are.
    """

    def __init__(self, budget: int, device: torch.device, veil: Veil | None = None) -> None:
        self._budget, self._device, self._veil = budget, device, veil
        self._here: dict[Key, torch.Tensor] = {}
        self._next: dict[Key, float] = {}
        self._bytes = 0
        self._file: BinaryIO | None = None
        self._away: dict[Key, tuple[int, torch.Size, int]] = {}  # where, and its number under the veil
        self._free: dict[int, list[int]] = {}
        self._end = 0
        self.spilled = 0  # bytes ever written

    def __contains__(self, key: Key) -> bool:
        return key in self._here or key in self._away

    def put(self, key: Key, cell: torch.Tensor, needed: float = math.inf) -> None:
        """Keep a float32 tensor in place of what was there; `needed` says when, on any scale, infinity for late."""
        self.drop(key)
        self._here[key], self._next[key] = cell, needed
        self._bytes += _size(cell)
        self._shrink(key)

    def get(self, key: Key, needed: float = math.inf) -> torch.Tensor:
        """A cell, back in memory; changes to it in place are kept if they are made before the next call."""
        cell = self.look(key)
        self._next[key] = needed
        self._release(key)  # what is on disk will not be true any more
        return cell

    def look(self, key: Key) -> torch.Tensor:
        """A cell that is not going to be changed; its copy on disk stays, so that it need not be written again."""
        if key not in self._here:
            self._here[key] = cell = self._load(key)
            self._next[key] = math.inf
            self._bytes += _size(cell)
            self._shrink(key)
        return self._here[key]

    def drop(self, key: Key) -> None:
        """Forget a cell."""
        cell = self._here.pop(key, None)
        if cell is not None:
            self._bytes -= _size(cell)
        self._release(key)

    def halve(self) -> bool:
        """Half the budget from now on, for memory turned out to be short; False where that gives nothing more."""
        if not self._budget:
            return False
        self._budget = self._budget // 2 if self._budget > SMALLEST else 0
        self._shrink(None)
        return True

    def close(self) -> None:
        """Give everything back."""
        self._here.clear()
        if self._file is not None:
            self._file.close()

    def _shrink(self, stays: Key | None) -> None:
        while self._bytes > self._budget and (others := [k for k in self._here if k != stays]):
            key = max(others, key=self._next.__getitem__)
            cell = self._here.pop(key)
            self._bytes -= _size(cell)
            if key not in self._away:
                self._store(key, cell)

    def _release(self, key: Key) -> None:
        if key in self._away:
            offset, shape, _ = self._away.pop(key)
            self._free.setdefault(4 * shape.numel(), []).append(offset)

    def _store(self, key: Key, cell: torch.Tensor) -> None:
        size = _size(cell)
        spare = self._free.get(size)
        offset = spare.pop() if spare else self._end
        self._end = max(self._end, offset + size)
        view, number = _bytes_of(cell.detach().cpu().contiguous()), 0
        if self._veil is not None:
            covered, number = self._veil.cover(view)
            view = memoryview(covered)
        try:
            file = self._open()
            file.seek(offset)
            while view:
                view = view[file.write(view) :]
        except OSError as error:
            raise RunError(
                f"The prediction does not fit into memory, and its temporary file could not be written "
                f"({error.strerror or error}). Make room on the disk, or allow it more memory."
            ) from error
        self.spilled += size
        self._away[key] = (offset, cell.shape, number)

    def _load(self, key: Key) -> torch.Tensor:
        offset, shape, number = self._away[key]
        cell = torch.empty(shape, dtype=torch.float32)
        whole = view = _bytes_of(cell)
        file = self._open()
        file.seek(offset)
        while view:
            got = file.readinto(view)  # type: ignore[attr-defined]
            if not got:
                raise RunError("The temporary file of the prediction ended too early; start the prediction again.")
            view = view[got:]
        if self._veil is not None:
            self._veil.uncover(whole, number)
        return cell.to(self._device)

    def _open(self) -> BinaryIO:
        if self._file is None:
            self._file = temporary_file()
        return self._file


def _size(cell: torch.Tensor) -> int:
    return cell.numel() * 4


def _bytes_of(cell: torch.Tensor) -> memoryview:
    return cell.numpy().reshape(-1).view(np.uint8).data
