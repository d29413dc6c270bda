"""How a network sees scans: spacing, normalisation, patch and depth, derived from the data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Normalisation:
    """What one channel goes through before the network.

    kind "ct": clip to [low, high], subtract mean, divide by std (all from foreground voxels of the
    training scans). kind "zscore": subtract the scan's own mean, divide by its own std.
    """

    kind: str
    low: float = 0.0
    high: float = 0.0
    mean: float = 0.0
    std: float = 1.0


@dataclass(frozen=True)
class Plan:
    """Everything about a network that is not its weights.

    Parameters
    ----------
    spacing
        Millimetres along (z, y, x) that scans are resampled to.
    patch
        Voxels (z, y, x) the network sees at once; z = 1 for a 2D plan.
    strides, kernels
        One (z, y, x) per stage; the first stride is (1, 1, 1).
    features
        Feature maps per stage.
    batch
        Patches per step.
    normalisation
        One per channel, in channel order.
    labels
        Label id of output row 1, 2 ...; row 0 is background.
    mirror_axes
        Axes (0 z, 1 y, 2 x) that augmentation may flip; x only when no label has a side.
    """

    spacing: tuple[float, float, float]
    patch: Triple
    strides: tuple[Triple, ...]
    kernels: tuple[Triple, ...]
    features: tuple[int, ...]
    batch: int
    normalisation: tuple[Normalisation, ...]
    labels: tuple[int, ...]
    mirror_axes: tuple[int, ...] = ()

    @property
    def dimensions(self) -> int:
        """2 or 3."""
        return 2 if self.patch[0] == 1 else 3

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Plan":
        """Read what `to_json` wrote."""
        return cls(
            spacing=(float(data["spacing"][0]), float(data["spacing"][1]), float(data["spacing"][2])),
            patch=_triple(data["patch"]),
            strides=tuple(_triple(s) for s in data["strides"]),
            kernels=tuple(_triple(k) for k in data["kernels"]),
            features=tuple(int(f) for f in data["features"]),
            batch=int(data["batch"]),
            normalisation=tuple(Normalisation(**n) for n in data["normalisation"]),
            labels=tuple(int(i) for i in data["labels"]),
            mirror_axes=tuple(int(a) for a in data["mirror_axes"]),
        )


def _triple(values: Any) -> Triple:
    z, y, x = (int(v) for v in values)
    return z, y, x
