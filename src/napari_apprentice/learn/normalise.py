"""Intensities as the network wants them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_apprentice.core.plan import Normalisation, Plan
from napari_apprentice.core.slabs import ArraySource, Moments
from napari_apprentice.errors import ModelError
from napari_apprentice.learn.statistics import statistics

# float16 ends at 65,504; a metal artefact after a z-score must not become infinite.
LARGEST = 1e4
LARGEST_FIXED = 6e4  # what is only shifted and divided by numbers of the plan may be raw intensities
_WITHOUT_STATISTICS = ("ct", "fixed")
_WHERE = ("zscore_where", "zscore_nonzero")


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
    _refuse_other_channels(len(voxels), plan)
    if any(how.kind not in ("ct", "zscore") for how in plan.normalisation):
        source = ArraySource(voxels, (1.0, 1.0, 1.0))
        return torch.from_numpy(
            Normaliser(plan, len(voxels), voxels.dtype, lambda: statistics(source, plan))(voxels)
        ).to(device)
    return torch.stack([_channel(v, n, device) for v, n in zip(voxels, plan.normalisation, strict=True)])


class Normaliser:
    """A plan's normalisation for one scan, part by part; put together the parts equal `normalise`.

    Parameters
    ----------
    channels, dtype
        Of the scan.
    moments
        Called at most once, and only where the plan asks for the scan's own; see `statistics.statistics`.

    Raises
    ------
    ModelError
        The scan has another number of channels than the plan.
    """

    def __init__(
        self, plan: Plan, channels: int, dtype: np.dtype[Any], moments: Callable[[], Sequence[Moments]]
    ) -> None:
        _refuse_other_channels(channels, plan)
        measured = any(how.kind not in _WITHOUT_STATISTICS for how in plan.normalisation)
        own = moments() if measured else [Moments(0, 1)] * channels
        self._how = [(how, m.mean, _usable(m.mean, m.std)) for how, m in zip(plan.normalisation, own, strict=True)]
        # 8 and 16 bits have so few values that a table of them all is quicker than arithmetic, and as exact
        small = dtype.kind in "iu" and dtype.itemsize < 3 and dtype.isnative
        self._tables = [_table(dtype, *how) for how in self._how] if small else []

    def __call__(self, voxels: NDArray[Any]) -> NDArray[np.float32]:
        """(c, z, y, x) float32."""
        if self._tables:
            bits = voxels.view(f"u{voxels.dtype.itemsize}")
            values = np.stack([table.take(v) for v, table in zip(bits, self._tables, strict=True)])
        else:
            values = np.stack([_scaled(v, *how) for v, how in zip(voxels, self._how, strict=True)])
        for c, (how, _, _) in enumerate(self._how):
            if how.kind in _WHERE:
                values[c][~(voxels != 0).any(0) if how.kind == "zscore_where" else voxels[c] == 0] = 0
        return values


def _table(dtype: np.dtype[Any], how: Normalisation, mean: float, std: float) -> NDArray[np.float32]:
    bits = np.arange(2 ** (8 * dtype.itemsize), dtype=f"u{dtype.itemsize}")
    return _scaled(bits.view(dtype), how, mean, std)


def _channel(voxels: NDArray[Any], how: Normalisation, device: torch.device) -> torch.Tensor:
    values = voxels.astype(np.float64)
    mean, std = (how.mean, how.std) if how.kind == "ct" else _moments(values[np.isfinite(values)])
    return torch.from_numpy(_scaled(values, how, mean, std)).to(device)


def _scaled(voxels: NDArray[Any], how: Normalisation, mean: float, std: float) -> NDArray[np.float32]:
    # float64 and on the host: the mean of large numbers far apart is lost in float32
    values = voxels.astype(np.float64)
    finite = np.isfinite(values)
    if how.kind in _WITHOUT_STATISTICS:
        mean, std = how.mean, how.std
    if how.kind == "ct":
        values = np.clip(values, how.low, how.high)
    scaled = np.where(finite, (values - mean) / max(std, 1e-8), 0.0)
    largest = LARGEST_FIXED if how.kind == "fixed" else LARGEST
    return np.clip(scaled, -largest, largest).astype(np.float32)


def _refuse_other_channels(channels: int, plan: Plan) -> None:
    if channels != len(plan.normalisation):
        raise ModelError(f"The scan has {channels} channels, the model was trained on {len(plan.normalisation)}.")


def _moments(values: NDArray[np.float64]) -> Sequence[float]:
    """Mean and standard deviation; a constant scan has std 1, so that it becomes 0 everywhere."""
    if values.size == 0:
        return 0.0, 1.0
    mean, std = float(values.mean()), float(values.std())
    return mean, _usable(mean, std)


def _usable(mean: float, std: float) -> float:
    """A deviation to divide by; that of a constant scan is nothing but rounding."""
    return std if std > 1e-6 * max(abs(mean), 1e-6) else 1.0
