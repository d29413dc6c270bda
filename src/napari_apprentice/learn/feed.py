"""Batches as a training step wants them: drawn, augmented, on its device; the same for the same step."""

from collections.abc import Sequence

import numpy as np
import torch

from napari_apprentice.core.config import TrainSettings
from napari_apprentice.core.plan import Plan
from napari_apprentice.learn.augment import augment
from napari_apprentice.learn.device import sent
from napari_apprentice.learn.patches import Batch, Parts, PatchSampler, Spot, assembled
from napari_apprentice.learn.prepared import Prepared
from napari_apprentice.learn.ranks import Ranks
from napari_apprentice.learn.turning import draw_turn, margin, turned


class Feed:
    """Gives the batch of each step.

    Parameters
    ----------
    cases
        What was prepared, on the device or on the host.
    device
        Where the step is computed.
    ranks
        Who computes together; each gets its share of the batch.

    Raises
    ------
    ModelError
        No new case has a known voxel.
    """

    def __init__(
        self, cases: Sequence[Prepared], plan: Plan, settings: TrainSettings, device: torch.device, ranks: Ranks
    ) -> None:
        self._sampler = PatchSampler(cases, plan.patch, ranks.batch(plan.batch), settings.replay_share)
        self._plan, self._settings, self._device, self._ranks = plan, settings, device, ranks

    def batch(self, step: int) -> Batch:
        """Patches of a step; everything random comes from the run's seed and the step's number."""
        seed, who = self._settings.seed, self._ranks.number
        spots = self._sampler.spots(np.random.default_rng([seed, step]))
        spots = spots[self._ranks.share(len(spots))]
        rng = np.random.default_rng([seed, step, 1 + who])
        if not self._settings.augment:
            return assembled([self._there(spot.patch(self._plan.patch)) for spot in spots])
        noise = torch.Generator(self._device).manual_seed((seed * 1_000_003 + step) * 64 + who)
        return augment(assembled([self._turned(spot, rng) for spot in spots]), self._plan, rng, noise)

    def _turned(self, spot: Spot, rng: np.random.Generator) -> Parts:
        matrix = draw_turn(self._plan, rng)
        if matrix is None:
            return self._there(spot.patch(self._plan.patch))
        around = spot.patch(self._plan.patch, margin(self._plan, matrix))
        if self._device.type == "mps":  # PyTorch turns no labels there before 2.13, and the host's memory is its own
            return self._there(turned(*around, matrix, self._plan.patch))
        return turned(*self._there(around), matrix, self._plan.patch)

    def _there(self, parts: Parts) -> Parts:
        device = self._device
        voxels, target, edited = (t if t.device.type == device.type else sent(t, device) for t in parts)
        return voxels.float(), target, edited
