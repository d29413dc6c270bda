"""What a scan looks like to whoever plans a network: size, spacing, intensities."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.correction import UNSEEN

if TYPE_CHECKING:  # records imports the plan, which imports this
    from napari_apprentice.core.records import Example

# Enough for a percentile of 0.5 %, small enough to keep for hundreds of scans.
SAMPLE = 10_000


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """One scan's share in the planning.

    Parameters
    ----------
    shape
        Voxels along (z, y, x).
    spacing
        Millimetres along (z, y, x).
    channels
        Channel names, in array order.
    intensities
        (c, n) float64, n <= 10,000 finite foreground voxels per channel, evenly spaced; voxels of the
        whole scan where nothing is known to be foreground.
    foreground
        Share of the known voxels that have a label.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    channels: tuple[str, ...]
    intensities: NDArray[np.float64]
    foreground: float


def fingerprint(example: "Example") -> Fingerprint:
    """Measure one example; its unknown voxels are not looked at for foreground."""
    known = example.status != UNSEEN
    foreground = known & (example.labels > 0)
    names = example.channels or tuple(f"channel {i}" for i in range(len(example.voxels)))
    z, y, x = example.labels.shape
    share = float(foreground.sum() / max(int(known.sum()), 1))
    return Fingerprint((z, y, x), example.spacing, names, _sample(example.voxels, foreground), share)


def _sample(voxels: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    usable = mask & np.isfinite(voxels).all(axis=0)
    if not usable.any():
        usable = np.isfinite(voxels).all(axis=0)
    where = np.flatnonzero(usable)
    if where.size == 0:
        return np.zeros((len(voxels), 0))
    picked = where[np.linspace(0, where.size - 1, min(SAMPLE, where.size)).astype(np.int64)]
    return np.stack([channel.reshape(-1)[picked].astype(np.float64) for channel in voxels])
