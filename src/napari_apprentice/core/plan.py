"""How a network sees scans: spacing, normalisation, patch and depth, derived from the data."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core import architecture as architectures
from napari_apprentice.core import orientation as orientations
from napari_apprentice.core.architecture import Architecture, MonaiNetwork, OwnUNet
from napari_apprentice.core.channels import alike
from napari_apprentice.core.fingerprint import Fingerprint, fingerprint
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.errors import ModelError

__all__ = ["Fingerprint", "Normalisation", "Plan", "Triple", "derive_plan", "fingerprint"]

Triple = tuple[int, int, int]

SMALLEST_MAP = 4  # voxels an axis keeps at the bottom of the network (nnU-Net)
MOST_POOLINGS = 5
SAME_SIDE = 0.03  # of the scan's extent: nearer than this, labels lie beside each other by chance
MOST_FEATURES = 320
ONE_SIDED = ("liver", "spleen", "stomach", "gallbladder", "pancreas", "heart", "aorta", "cava", "duodenum")
# Feature maps of 4 bytes alive per feature and voxel of one stage while training: two convolutions with
# norm on the way down, an up-convolution, a concatenation and two more on the way up.
MAPS = 12
# The same per output row: logits, softmax, truth and what the loss keeps for its gradient. Measured: a step
# with 117 labels takes 4 GB on patches that hold 1.5 GB of features.
OUTPUT_MAPS = 6
# A training target is one byte: labels, then sets of labels of which a voxel may be any, unseen, outside; learn.loss.
MOST_OPEN = 4
MOST_LABELS = 253 - MOST_OPEN

NORMALISATIONS = (
    "ct", "fixed", "zscore", "zscore_inside", "zscore_where", "zscore_nonzero", "range", "range_inside",
)  # fmt: skip


@dataclass(frozen=True)
class Normalisation:
    """What one channel goes through before the network.

    kind "ct": clip to [low, high], subtract mean, divide by std (all from foreground voxels of the
    training scans). kind "zscore": subtract the scan's own mean, divide by its own std.

    Models from elsewhere know more kinds. "fixed": subtract mean, divide by std, without clipping. "range":
    the scan's own smallest and largest value become 0 and 1. Of "zscore" and "range", "_inside" takes those
    of the smallest box around all voxels that are not 0 in every channel. "zscore_where" takes them, and
    normalises, only where not every channel is 0; "zscore_nonzero" where this channel is not 0; the rest is 0.
    """

    kind: str
    low: float = 0.0
    high: float = 0.0
    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in NORMALISATIONS:
            raise ModelError(f"This version of the program knows no normalisation of the kind {self.kind!r}.")


@dataclass(frozen=True)
class Plan:
    """Everything about a network that is not its weights.

    Parameters
    ----------
    spacing
        Millimetres along (z, y, x) that scans are resampled to; 0 leaves an axis as it is in the scan.
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
    architecture
        The kind of network.
    orientation
        Where the axes of what the network sees grow to; "SPL" is the orientation of every case. All else here
        is in the order (z, y, x) of cases.
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
    architecture: Architecture = field(default_factory=OwnUNet)
    orientation: str = orientations.OURS

    @property
    def dimensions(self) -> int:
        """2 or 3."""
        return 2 if self.patch[0] == 1 else 3

    @property
    def labels_can_change(self) -> bool:
        """Whether rows of the network's head can be added and dropped; see `learn.network.Network.heads`."""
        return not isinstance(self.architecture, MonaiNetwork) or self.architecture.name.lower() == "dynunet"

    def only(self, labels: Collection[int]) -> "Plan":
        """The same plan without the labels that are not among `labels`."""
        return replace(self, labels=tuple(label for label in self.labels if label in labels))

    def to_json(self) -> dict[str, Any]:
        """As JSON values; what is the program's own is left out, so that earlier versions read it too."""
        data = asdict(self)
        data["architecture"] = architectures.to_json(self.architecture)
        if self.architecture == OwnUNet():
            del data["architecture"]
        if self.orientation == orientations.OURS:
            del data["orientation"]
        return data

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
            architecture=architectures.from_json(data.get("architecture", {"kind": "own"})),
            orientation=orientations.checked(str(data.get("orientation", orientations.OURS))),
        )


def derive_plan(
    fingerprints: Sequence[Fingerprint], schema: LabelSchema, memory_mb: float = 1500, features: int = 16
) -> Plan:
    """Derive a network from the data, in the manner of nnU-Net (Isensee et al., Nat Methods 18, 2021).

    Parameters
    ----------
    fingerprints
        One per training example.
    schema
        The labels; its ids become output rows in ascending order.
    memory_mb
        What one training step may hold in feature maps, in MB of float32.
    features
        Feature maps of the first stage; doubled per stage up to 320.

    Returns
    -------
    The plan: target spacing is the median (the 10th percentile along an axis whose spacing is over
    three times the others'), patch and depth follow from the median shape at that spacing and from
    memory.

    Raises
    ------
    ModelError
        No example, examples with differing channels, or more than 249 labels.
    """
    _refuse_unlearnable(fingerprints, schema)
    spacing = _target_spacing(np.array([f.spacing for f in fingerprints]))
    shapes = np.array([np.array(f.shape) * f.spacing / spacing for f in fingerprints])
    flat = np.median([f.shape[0] for f in fingerprints]) == 1
    median = np.maximum(np.round(np.median(shapes, axis=0)), 1)
    patch, strides, kernels = _fit(median, spacing, memory_mb, (features, len(schema.ids)), bool(flat))
    room = memory_mb / _memory_mb(patch, strides, features, len(schema.ids))
    return Plan(
        spacing=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        patch=patch,
        strides=strides,
        kernels=kernels,
        features=_features(features, len(strides)),
        # More than four patches make a step on a CPU long without making it better.
        batch=int(np.clip(room, 2, 12 if flat else 4)),
        normalisation=_normalisation(fingerprints),
        labels=schema.ids,
        mirror_axes=_mirror_axes(fingerprints, schema, bool(flat)),
    )


def _refuse_unlearnable(fingerprints: Sequence[Fingerprint], schema: LabelSchema) -> None:
    if not fingerprints:
        raise ModelError("There is nothing to plan a model from: correct at least one case first.")
    if not all(alike(f.channels, fingerprints[0].channels) for f in fingerprints):
        raise ModelError("The cases have differing channels, or in differing order, so one model cannot read them all.")
    if len(schema.ids) > MOST_LABELS:
        raise ModelError(
            f"One model learns up to {MOST_LABELS} labels, this study has {len(schema.ids)}: "
            "split it, or teach fewer labels."
        )


def _target_spacing(spacings: NDArray[np.float64]) -> NDArray[np.float64]:
    target = np.median(spacings, axis=0)
    worst = int(np.argmax(target))
    if target[worst] > 3 * max(np.delete(target, worst)):
        target[worst] = np.percentile(spacings[:, worst], 10)
    return np.asarray(target, dtype=np.float64)


def _fit(
    median: NDArray[np.float64], spacing: NDArray[np.float64], memory_mb: float, maps: tuple[int, int], flat: bool
) -> tuple[Triple, tuple[Triple, ...], tuple[Triple, ...]]:
    """The largest patch, up to the median shape, of which two fit into memory; `maps` is (features, labels)."""
    features, labels = maps
    cube = 1 / spacing * (256**3 * np.prod(spacing)) ** (1 / 3)  # 256^3 voxels, as wide in mm along all axes
    size = np.ones(3) if flat else np.minimum(median, np.ceil(cube))
    if flat:
        size[1:] = np.minimum(median[1:], 1024)
    while True:
        patch, strides, kernels = _topology(size, spacing)
        multiple = np.prod(strides, axis=0)
        shrinkable = np.where(np.array(patch) > np.maximum(multiple, SMALLEST_MAP), patch / median, 0.0)
        if 2 * _memory_mb(patch, strides, features, labels) <= memory_mb or not shrinkable.any():
            return patch, strides, kernels
        axis = int(np.argmax(shrinkable))
        size = np.array(patch, dtype=np.float64)
        size[axis] -= max(int(multiple[axis]), 1)


def _topology(
    size: NDArray[np.float64], spacing: NDArray[np.float64]
) -> tuple[Triple, tuple[Triple, ...], tuple[Triple, ...]]:
    """Halve axes while at least 8 voxels long; an axis over 2x coarser than the finest waits, kernel 1."""
    left, spacing = np.ceil(size), np.array(spacing, dtype=np.float64)
    wide, long = np.zeros(3, dtype=bool), left > 1
    strides: list[Triple] = [(1, 1, 1)]
    kernels: list[Triple] = []
    while True:
        halve = left >= 2 * SMALLEST_MAP
        finest = spacing[halve].min() if halve.any() else spacing[long].min(initial=np.inf)
        fine = spacing <= 2 * finest
        wide = (wide | fine) & long  # once 3 along an axis, always 3
        kernels.append(_triple(np.where(wide, 3, 1)))
        halve &= fine
        if (not halve.any() and len(strides) >= 3) or len(strides) > MOST_POOLINGS:
            break
        strides.append(_triple(np.where(halve, 2, 1)))
        left, spacing = np.where(halve, left // 2, left), np.where(halve, spacing * 2, spacing)
    multiple = np.prod(strides, axis=0)
    return _triple(np.ceil(np.ceil(size) / multiple) * multiple), tuple(strides), tuple(kernels)


def _memory_mb(patch: Triple, strides: tuple[Triple, ...], features: int, labels: int) -> float:
    """Feature and output maps of one patch while training; an estimate, in MB."""
    shrunk = np.cumprod([np.prod(s) for s in strides])
    per_voxel = np.sum(np.array(_features(features, len(strides))) / shrunk)
    outputs = OUTPUT_MAPS * max(0, 1 + labels - features)  # fewer are lost in the estimate
    return float(np.prod(patch) * (per_voxel * MAPS + outputs) * 4 / 1e6)


def _features(first: int, stages: int) -> tuple[int, ...]:
    return tuple(min(first * 2**i, MOST_FEATURES) for i in range(stages))


def _normalisation(fingerprints: Sequence[Fingerprint]) -> tuple[Normalisation, ...]:
    return tuple(
        _of_channel(name, np.concatenate([f.intensities[i] for f in fingerprints]))
        for i, name in enumerate(fingerprints[0].channels)
    )


def _of_channel(name: str, values: NDArray[np.float64]) -> Normalisation:
    # "CT" at the start of a word: CT, ct_venous, low-dose CT; not ACT or contrast.
    if values.size == 0 or not re.search(r"(?<![a-z])ct", name, re.IGNORECASE):
        return Normalisation("zscore")
    low, high = np.percentile(values, (0.5, 99.5))
    return Normalisation("ct", float(low), float(high), float(values.mean()), max(float(values.std()), 1e-3))


def _mirror_axes(fingerprints: Sequence[Fingerprint], schema: LabelSchema, flat: bool) -> tuple[int, ...]:
    """Axes along which a mirrored scan is still a possible scan.

    Not those along which labels keep to their sides: a liver on the left is no liver. Short runs pay
    for it at once: the starter model version's held-out Dice after 600 steps is 0.79 with all axes
    mirrored and 0.89 with none.
    """
    sided = any(_has_side(label.name) for label in schema.labels)
    return tuple(
        a for a in (0, 1, 2)
        if not (a == 0 and flat) and not (a == 2 and sided) and not _keeps_sides(fingerprints, a)
    )  # fmt: skip


def _keeps_sides(fingerprints: Sequence[Fingerprint], axis: int) -> bool:
    """Whether a label lies to the same side of the others in nearly every scan (two standard deviations)."""
    for label in {i for f in fingerprints for i in f.places}:
        away = np.array([f.places[label][axis] for f in fingerprints if label in f.places])
        if abs(away.mean()) > max(2 * away.std(), SAME_SIDE):
            return True
    return False


def _has_side(name: str) -> bool:
    """Named after a side, or an organ that lies on one: mirrored, its place would teach the wrong thing."""
    by_name = re.search(r"left|right|(?:^|[_\-. ])[lr](?:$|[_\-. ])", name, re.IGNORECASE)
    return bool(by_name) or any(organ in name.lower() for organ in ONE_SIDED)


def _triple(values: Any) -> Triple:
    z, y, x = (int(v) for v in values)
    return z, y, x
