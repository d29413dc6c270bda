"""Which patches a step sees: corrections first, earlier scans replayed, always around a known voxel."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from napari_apprentice.core.plan import Triple
from napari_apprentice.errors import ModelError
from napari_apprentice.learn.loss import IGNORE
from napari_apprentice.learn.prepared import Prepared, first_voxel

LEAST_REPLAY = 0.25
Parts = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

EDITS, FOREGROUND = 0.5, 0.3  # the rest: any known voxel


@dataclass(frozen=True, eq=False)
class Batch:
    """Patches of one step: voxels (b, c, z, y, x) float32, target (b, z, y, x) uint8, edited bool."""

    voxels: torch.Tensor
    target: torch.Tensor
    edited: torch.Tensor

    def part(self, which: slice) -> "Batch":
        """Some of its patches."""
        return Batch(self.voxels[which], self.target[which], self.edited[which])

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        return Batch(self.voxels.to(device), self.target.to(device), self.edited.to(device))


@dataclass(frozen=True, eq=False)
class Spot:
    """Where a patch is: its case, and its first voxel (z, y, x) on the grid of the whole scan."""

    case: Prepared
    start: Triple

    def patch(self, size: Triple, beyond: Triple = (0, 0, 0)) -> Parts:
        """Voxels (c, z, y, x) float16, target uint8 and edited bool (z, y, x), with as much more on each side."""
        z, y, x = (s - o - m for s, o, m in zip(self.start, self.case.origin, beyond, strict=True))
        a, b, c = (n + 2 * m for n, m in zip(size, beyond, strict=True))
        fills: tuple[tuple[torch.Tensor, float], ...] = (
            (self.case.voxels, 0), (self.case.target, IGNORE), (self.case.edited, False),
        )  # fmt: skip
        voxels, target, edited = (cut(values, (z, y, x), (a, b, c), fill) for values, fill in fills)
        return voxels, target, edited


class PatchSampler:
    """Draws batches from prepared examples.

    Parameters
    ----------
    cases
        Examples without a known voxel are left out; one at least is no replay.
    patch
        (z, y, x) voxels.
    size
        Patches per batch.
    replay_share
        Share of replayed scans where there are any; raised to 25 % unless it is 0.

    Raises
    ------
    ModelError
        No new example has a known voxel.
    """

    def __init__(self, cases: Sequence[Prepared], patch: Triple, size: int, replay_share: float) -> None:
        usable = [c for c in cases if c.any_known.size]
        self._fresh = [c for c in usable if not c.replay]
        if not self._fresh:
            raise ModelError(
                "There is nothing to learn from: no new correction says what any voxel of the model's grid is. "
                "Accept or correct more of a scan and save it first."
            )
        self._replay = [c for c in usable if c.replay] if replay_share > 0 else []
        self._share = max(replay_share, LEAST_REPLAY) if self._replay else 0.0
        self._patch, self._size = patch, size

    def draw(self, rng: np.random.Generator) -> Batch:
        """One batch of plain patches; the same generator state gives the same batch."""
        return assembled([spot.patch(self._patch) for spot in self.spots(rng)])

    def spots(self, rng: np.random.Generator) -> list[Spot]:
        """Where the patches of a batch are; the same generator state gives the same places."""
        count = self._replayed(rng)
        pools = [self._replay if i < count else self._fresh for i in range(self._size)]
        return [self._one(pool[rng.integers(len(pool))], rng) for pool in pools]

    def _replayed(self, rng: np.random.Generator) -> int:
        """Share of the batch, the fraction of a patch settled by chance: right on average."""
        exact = self._share * self._size
        return int(exact) + int(rng.random() < exact - int(exact))

    def _one(self, case: Prepared, rng: np.random.Generator) -> Spot:
        z, y, x = (m + o for m, o in zip(centre(case, rng), case.origin, strict=True))
        return Spot(case, first_voxel((z, y, x), case.whole, self._patch))


def assembled(parts: Sequence[Parts]) -> Batch:
    """Patches put together."""
    voxels, target, edited = (torch.stack(p) for p in zip(*parts, strict=True))
    return Batch(voxels.float(), target, edited)


def centre(case: Prepared, rng: np.random.Generator) -> tuple[int, int, int]:
    """A known voxel (z, y, x): 50 % edited, 30 % accepted foreground by label, 20 % any."""
    dice = rng.random()
    if dice < EDITS and case.edits.size:
        pool = case.edits
    elif dice < EDITS + FOREGROUND and case.foreground:
        rows = sorted(case.foreground)
        pool = case.foreground[rows[rng.integers(len(rows))]]
    else:
        pool = case.any_known
    z, y, x = np.unravel_index(int(pool[rng.integers(pool.size)]), case.shape)
    return int(z), int(y), int(x)


def cut(values: torch.Tensor, start: Triple, patch: Triple, fill: float) -> torch.Tensor:
    """A patch of the last three axes; what lies outside of what is there is `fill`."""
    out = values.new_full((*values.shape[:-3], *patch), fill)
    source: list[slice] = []
    target: list[slice] = []
    for begin, size, whole in zip(start, patch, values.shape[-3:], strict=True):
        low = min(max(begin, 0), whole)
        high = max(min(begin + size, whole), low)
        source.append(slice(low, high))
        target.append(slice(low - begin, high - begin) if high > low else slice(0, 0))
    out[..., target[0], target[1], target[2]] = values[..., source[0], source[1], source[2]]
    return out
