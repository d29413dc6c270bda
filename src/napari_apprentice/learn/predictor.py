"""From a scan to a proposal: sliding window, back onto the scan's own grid, with uncertainty."""

import math
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from monai.data.utils import compute_importance_map, dense_patch_slices
from numpy.typing import NDArray
from torch.nn import functional as F

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.plan import Plan
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.records import Prediction
from napari_apprentice.errors import Cancelled
from napari_apprentice.learn import weights as weight_files
from napari_apprentice.learn.device import autocast, describe, memory_errors
from napari_apprentice.learn.network import Network, build
from napari_apprentice.learn.normalise import normalise
from napari_apprentice.learn.resample import resample_voxels, slabs, target_shape

Cancel = Callable[[], bool]
Padding = tuple[tuple[int, int], ...]


class Predictor:
    """A model version ready to propose label maps.

    Parameters
    ----------
    plan, weights
        As registered; the weights are a safetensors file.
    device
        Where to compute.

    Raises
    ------
    ModelError
        The weights are missing, damaged or of another network.
    """

    def __init__(self, plan: Plan, weights: Path, device: torch.device) -> None:
        module = build(plan)
        weight_files.load(module, weights)
        self._adopt(plan, module, device)

    @classmethod
    def of(cls, plan: Plan, module: Network, device: torch.device) -> Self:
        """A predictor around a network in memory, which it puts into evaluation mode."""
        predictor = cls.__new__(cls)
        predictor._adopt(plan, module, device)
        return predictor

    def _adopt(self, plan: Plan, module: Network, device: torch.device) -> None:
        self._plan, self._device = plan, device
        self._module = module.to(device).eval()
        middle = compute_importance_map(plan.patch, mode="gaussian", sigma_scale=0.125, device=device)
        self._importance = torch.as_tensor(middle, dtype=torch.float32)

    @property
    def labels(self) -> tuple[int, ...]:
        """The label ids it can propose, background left out."""
        return self._plan.labels

    def predict(
        self,
        voxels: NDArray[Any],
        spacing: tuple[float, float, float],
        settings: PredictSettings,
        cancelled: Cancel,
    ) -> Generator[Progress, None, Prediction]:
        """Propose a label map for one scan.

        Parameters
        ----------
        voxels
            (c, z, y, x), the scan's own number type and grid.
        spacing
            Millimetres along (z, y, x).
        cancelled
            Asked before every window.

        Yields
        ------
        Progress in windows.

        Returns
        -------
        Labels and uncertainty on the scan's own grid.

        Raises
        ------
        ModelError
            The scan has another number of channels than the model.
        Cancelled
            `cancelled` said so.
        RunError
            The device has too little memory.
        """
        began = time.monotonic()
        own = (voxels.shape[1], voxels.shape[2], voxels.shape[3])
        with memory_errors():
            shape = target_shape(own, spacing, self._plan.spacing)
            scaled = resample_voxels(normalise(voxels, self._plan, self._device), shape)
            probabilities = yield from self._windows(scaled, settings.step, cancelled)
            labels, uncertainty, quality = self._finish(probabilities, own)
        seconds = time.monotonic() - began
        return Prediction(labels, uncertainty, quality, seconds, describe(self._device))

    def _windows(self, voxels: torch.Tensor, step: float, cancelled: Cancel) -> Generator[Progress, None, torch.Tensor]:
        """(1 + labels, z, y, x) float32 probabilities, logits averaged with Gaussian weights."""
        padded, padding = pad(voxels, self._plan.patch)
        size = padded.shape[1:]
        interval = [max(1, int(p * step)) for p in self._plan.patch]
        places = dense_patch_slices(size, self._plan.patch, interval)
        total = torch.zeros((1 + len(self._plan.labels), *size), device=self._device)
        share = torch.zeros(size, device=self._device)
        began = time.monotonic()
        for done, place in enumerate(places, 1):
            if cancelled():
                raise Cancelled("The prediction was cancelled; nothing was changed.")
            # not around the yield: a context held across it would leak into the caller's code
            with torch.inference_mode(), autocast(self._device):
                logits = self._module(padded[(None, slice(None), *place)])[0][0]
            total[(slice(None), *place)] += logits.float() * self._importance
            share[place] += self._importance
            left = (time.monotonic() - began) / done * (len(places) - done)
            yield Progress(done, len(places), "Predicting", seconds_left=left)
        total /= share
        inner = tuple(slice(b, n - a) for (b, a), n in zip(padding, size, strict=True))
        return total.softmax(0)[(slice(None), *inner)]

    def _finish(
        self, probabilities: torch.Tensor, own: tuple[int, int, int]
    ) -> tuple[NDArray[Any], NDArray[np.uint8], dict[int, float]]:
        """Labels, uncertainty and quality on the scan's grid, slab by slab."""
        ids = (0, *self._plan.labels)
        table = np.array(ids, dtype=np.uint8 if max(ids) < 256 else np.uint16)
        labels, uncertainty = np.zeros(own, dtype=table.dtype), np.zeros(own, dtype=np.uint8)
        agreed, expected, found = (torch.zeros(len(ids), dtype=torch.float64) for _ in range(3))
        for part, slab in slabs(probabilities, own):
            best, row = slab.max(0)
            entropy = -(slab * slab.clamp_min(1e-12).log()).sum(0) / math.log(len(ids))
            labels[part] = table[row.cpu().numpy()]
            uncertainty[part] = (entropy.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
            expected += slab.flatten(1).sum(1).double().cpu()
            found += torch.bincount(row.flatten(), minlength=len(ids)).double().cpu()
            weighted = torch.bincount(row.flatten(), best.flatten(), minlength=len(ids))
            agreed += weighted.double().cpu()
        # soft-Dice confidence, 2 sum(p y) / (sum(p) + sum(y)), arXiv 2402.10665
        quality = {ids[i]: float(2 * agreed[i] / (expected[i] + found[i])) for i in range(1, len(ids)) if found[i] > 0}
        return labels, uncertainty, quality


def pad(voxels: torch.Tensor, patch: tuple[int, int, int]) -> tuple[torch.Tensor, Padding]:
    """Grow (c, z, y, x) to the patch where it is smaller, the scan in the middle, 0 around as in training."""
    lacking = [max(0, p - n) for n, p in zip(voxels.shape[1:], patch, strict=True)]
    padding = tuple((n // 2, n - n // 2) for n in lacking)
    flat = [amount for pair in reversed(padding) for amount in pair]
    return F.pad(voxels, flat), padding
