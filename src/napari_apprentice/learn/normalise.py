"""Intensities as the network wants them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_apprentice.core.plan import Normalisation, Plan
from napari_apprentice.errors import ModelError

# float16 ends at 65,504; a metal artefact after a z-score must not become infinite.
LARGEST = 1e4


def normalise(voxels: NDArray[Any], plan: Plan, device: torch.device) -> torch.Tensor:
    """Apply a plan's normalisation.

    Parameters
    ----------
    voxels
        (c, z, y, x), any number type; NaN and infinity are read as the channel's mean.

    Returns
    -------
    (c, z, y, x) float32 on `device`.

    Raises
    ------
    ModelError
        The scan has another number of channels than the plan.
    """
    if len(voxels) != len(plan.normalisation):
        raise ModelError(f"The scan has {len(voxels)} channels, the model was trained on {len(plan.normalisation)}.")
    return torch.stack([_channel(v, n, device) for v, n in zip(voxels, plan.normalisation, strict=True)])


def _channel(voxels: NDArray[Any], how: Normalisation, device: torch.device) -> torch.Tensor:
    # float64 and on the host: the mean of large numbers far apart is lost in float32
    values = voxels.astype(np.float64)
    finite = np.isfinite(values)
    if how.kind == "ct":
        mean, std = how.mean, how.std
        values = np.clip(values, how.low, how.high)
    else:
        mean, std = _moments(values[finite])
    scaled = np.where(finite, (values - mean) / max(std, 1e-8), 0.0)
    return torch.from_numpy(np.clip(scaled, -LARGEST, LARGEST).astype(np.float32)).to(device)


def _moments(values: NDArray[np.float64]) -> Sequence[float]:
    """Mean and standard deviation; a constant scan has std 1, so that it becomes 0 everywhere."""
    if values.size == 0:
        return 0.0, 1.0
    mean, std = float(values.mean()), float(values.std())
    return mean, std if std > 1e-6 * max(abs(mean), 1e-6) else 1.0
