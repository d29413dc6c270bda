"""What a scan looks like to whoever plans a network: size, spacing, intensities."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_apprentice.core.correction import UNSEEN
from napari_apprentice.core.volume import LabelArray

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
    places
        Label id to where its centroid lies from the mean of all labels' centroids, as a share of the
        scan's extent along (z, y, x). Empty with fewer than two labels.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    channels: tuple[str, ...]
    intensities: NDArray[np.float64]
    foreground: float
    places: Mapping[int, tuple[float, float, float]] = field(default_factory=dict)


def fingerprint(example: "Example") -> Fingerprint:
    """Measure one example; its unknown voxels are not looked at for foreground."""
    known = example.status != UNSEEN
    foreground = known & (example.labels > 0)
    source = example.source
    names = example.channels or tuple(f"channel {i}" for i in range(source.shape[0]))
    z, y, x = example.labels.shape
    share = float(foreground.sum() / max(int(known.sum()), 1))
    return Fingerprint(
        (z, y, x), example.spacing, names, _sample(source.read(0, z), foreground), share,
        _places(np.where(known, example.labels, 0)),
    )  # fmt: skip


def _places(labels: LabelArray) -> dict[int, tuple[float, float, float]]:
    ids = [int(i) for i in np.unique(labels) if i]
    if len(ids) < 2:
        return {}
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, ids)) / labels.shape
    away = centres - centres.mean(axis=0)
    return {i: (float(z), float(y), float(x)) for i, (z, y, x) in zip(ids, away, strict=True)}


def _sample(voxels: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    usable = mask & np.isfinite(voxels).all(axis=0)
    if not usable.any():
        usable = np.isfinite(voxels).all(axis=0)
    where = np.flatnonzero(usable)
    if where.size == 0:
        return np.zeros((len(voxels), 0))
    picked = where[np.linspace(0, where.size - 1, min(SAMPLE, where.size)).astype(np.int64)]
    return np.stack([channel.reshape(-1)[picked].astype(np.float64) for channel in voxels])
