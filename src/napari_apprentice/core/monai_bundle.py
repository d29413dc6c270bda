"""The configuration of a MONAI bundle as a plan of ours. Nothing of it is ever run: no expression, no class by name."""

import ast
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from napari_apprentice.core.architecture import MonaiNetwork
from napari_apprentice.core.foreign import ForeignModel, describing
from napari_apprentice.core.orientation import checked, view
from napari_apprentice.core.plan import Normalisation, Plan
from napari_apprentice.errors import InputError, ModelError

Json = Mapping[str, Any]
_DEPTH = 20
_WHOLE = (
    "Windows are laid over the whole scan, not over its foreground alone; foreground is what is not 0 here, what is "
    "above 0 in MONAI."
)
# Transforms that change neither place nor value of a voxel.
_WITHOUT_EFFECT = {
    "LoadImage", "EnsureChannelFirst", "AddChannel", "AsChannelFirst", "EnsureType", "ToTensor", "CastToType",
    "SelectItems", "Identity",
}  # fmt: skip
_CROP = "CropForeground"
_CROP_AS_USUAL = {"select_fn": None, "channel_indices": None, "margin": 0, "k_divisible": 1}
_INTENSITY = ("ScaleIntensityRange", "NormalizeIntensity", "ScaleIntensity")
_DECIDING = ("Activations", "AsDiscrete")  # what becomes of the network's outputs
_THRESHOLDS = ("threshold", "threshold_values")


def read_bundle(config: Json, metadata: Json, orientation: str = "") -> ForeignModel:
    """Understand a bundle.

    Parameters
    ----------
    config
        configs/inference.json, or train.json.
    metadata
        configs/metadata.json.
    orientation
        Where the axes (i, j, k) of the files it was trained on grow to, where it leaves them as they are.

    Raises
    ------
    ModelError
        Something of it is unknown here; the sentence names it.
    InputError
        The orientation is needed and was not said.
    """
    with describing("The bundle's configuration"):
        reader = _Reader(config)
        network = _network(reader)
        count = int(network.arguments.get("in_channels", 1))
        channels, labels = _channels(metadata, count), _labels(metadata, network)
        _refuse_regions(reader)
        steps = _steps(reader)
        seen, notes = _orientation(steps, orientation)
        patch = _triple([int(v) for v in _roi(reader)], seen)
        plan = Plan(
            spacing=_triple(_spacing(steps), seen),
            patch=(int(patch[0]), int(patch[1]), int(patch[2])),
            strides=((1, 1, 1),),
            kernels=((3, 3, 3),),
            features=(_features(network),),
            batch=2,
            normalisation=_inside(steps, _normalisation(steps, count)),
            labels=tuple(range(1, len(labels) + 1)),
            architecture=network,
            orientation=seen,
        )
        return ForeignModel("MONAI bundle", plan, labels, channels, notes)


class _Reader:
    """Values of a configuration, references followed, expressions refused."""

    def __init__(self, config: Json) -> None:
        self.config = config

    def get(self, name: str) -> Any:
        """The value of a top-level key; None where there is none."""
        return self.value(self.config[name], name) if name in self.config else None

    def value(self, given: Any, name: str, depth: int = 0) -> Any:
        """A value without references."""
        if depth > _DEPTH:
            raise ModelError(f"{name} of the bundle's configuration refers to itself.")
        if isinstance(given, Mapping):
            return {str(k): self.value(v, f"{name}::{k}", depth + 1) for k, v in given.items()}
        if isinstance(given, list):
            return [self.value(v, name, depth + 1) for v in given]
        if isinstance(given, str) and given[:1] in "$@%":
            return self._meant(given, name, depth)
        return given

    def _meant(self, text: str, name: str, depth: int) -> Any:
        reference = text.removeprefix("$").strip()
        if reference.startswith("@") and all(c.isalnum() or c in "_#:" for c in reference[1:]):
            found: Any = self.config
            for key in reference[1:].replace("::", "#").split("#"):
                found = found[int(key)] if isinstance(found, list) else found[key]
            return self.value(found, name, depth + 1)
        try:
            return ast.literal_eval(reference)  # numbers, texts, lists: no names and no calls
        except (ValueError, SyntaxError) as error:
            raise ModelError(
                f"{name} of the bundle's configuration is a piece of program ({text[:60]}), which is never run here. "
                "Write its value there instead."
            ) from error


def _network(reader: _Reader) -> MonaiNetwork:
    given = reader.get("network_def") or reader.get("network")
    if not isinstance(given, Mapping) or "_target_" not in given:
        raise ModelError("The bundle's configuration has no network_def, so its network is unknown.")
    target = str(given["_target_"])
    if "." in target and not target.startswith("monai."):
        raise ModelError(f"The bundle's network {target} is a program of its own, which is never run here.")
    arguments = {k: v for k, v in given.items() if not k.startswith("_")}
    if target.rpartition(".")[2] == "SwinUNETR":
        arguments.pop("img_size", None)  # MONAI before 1.5 wanted it, and checked no more than that it fits
    if int(arguments.get("spatial_dims", 3)) != 3:
        raise ModelError("The bundle's network looks at single pictures; only networks of volumes can be imported.")
    return MonaiNetwork(target.rpartition(".")[2], arguments)


def _features(network: MonaiNetwork) -> int:
    """Feature maps of the first stage, for estimates of memory."""
    for name in ("channels", "features", "filters"):
        if isinstance(network.arguments.get(name), list):
            return int(network.arguments[name][0])
    return int(network.arguments.get("feature_size", network.arguments.get("init_filters", 32)))


def _format(metadata: Json, side: str) -> Json:
    found = metadata.get("network_data_format", {}).get(side, {})
    return next(iter(found.values()), {}) if isinstance(found, Mapping) else {}


def _channels(metadata: Json, count: int) -> tuple[str, ...]:
    named = _format(metadata, "inputs").get("channel_def", {})
    names = tuple(str(named[str(i)]) for i in range(count) if str(i) in named)
    return names if len(names) == count else ()


def _labels(metadata: Json, network: MonaiNetwork) -> tuple[str, ...]:
    rows = int(network.arguments.get("out_channels", 2))
    named = _format(metadata, "outputs").get("channel_def", {})
    if rows < 2:
        raise ModelError("The bundle's network has one output for one mask; it needs one for background too.")
    missing = [i for i in range(1, rows) if not str(named.get(str(i), "")).strip()]
    if missing:
        raise ModelError(
            f"metadata.json does not name what output {missing[0]} of the network stands for "
            "(network_data_format, outputs, pred, channel_def). Write it there."
        )
    return tuple(str(named[str(i)]).strip() for i in range(1, rows))


def _refuse_regions(reader: _Reader) -> None:
    steps = _list_of(reader, ("postprocessing", "post_transforms", "validate"), "postprocessing")
    asked = {name for step in steps if _kind(step) in _DECIDING for name, value in step.items() if _said(value)}
    each = "argmax" not in asked and not asked.isdisjoint(_THRESHOLDS)
    if each or "sigmoid" in asked:
        raise ModelError(
            f"The outputs of the bundle's network overlap ({'sigmoid' if 'sigmoid' in asked else 'a threshold each'}), "
            "and here a voxel has one label. Such models cannot be imported."
        )


def _said(value: Any) -> bool:
    """Whether an argument asks for something, of one output or of several."""
    return any(v is not None and str(v).lower() != "false" for v in (value if isinstance(value, list) else [value]))


def _steps(reader: _Reader) -> list[Json]:
    """Transforms of the scan that matter, each understood."""
    found = _list_of(reader, ("preprocessing", "pre_transforms", "validate", "val_transforms"))
    if not found:
        raise ModelError("The bundle's configuration has no preprocessing, so it is unknown how it sees scans.")
    steps = [s for s in found if _kind(s) not in _WITHOUT_EFFECT]
    for step in steps:
        if _kind(step) not in ("Orientation", "Spacing", _CROP, *_INTENSITY):
            raise ModelError(f"The bundle prepares scans with {step.get('_target_')}, which is not known here.")
    for kinds in (("Orientation",), ("Spacing",), _INTENSITY):
        several = [str(s["_target_"]) for s in steps if _kind(s) in kinds]
        if len(several) > 1:
            raise ModelError(f"The bundle prepares scans with {' and then '.join(several)}; one of them is known here.")
    return steps


def _list_of(reader: _Reader, names: tuple[str, ...], part: str = "preprocessing") -> list[Json]:
    """The transforms under the first of these names; `part` says which, where a bundle for training has several."""
    for name in names:
        # Only the transforms: what else stands there may be a piece of program that is of no concern.
        given = reader.config.get(name)
        if isinstance(given, Mapping) and name == "validate":
            given = given.get(part, {})
        if isinstance(given, Mapping):
            given = given.get("transforms")
        if isinstance(given, str):
            given = reader.value(given, name)
        if given:
            return [_step(reader, s, name) for s in given if not _true(s.get("_disabled_"))]
    return []


def _step(reader: _Reader, given: Json, name: str) -> Json:
    kind = _kind(given)
    if kind in _INTENSITY or kind in ("Orientation", "Spacing"):
        wanted = {k: v for k, v in given.items() if k not in ("keys", "mode", "dtype", "padding_mode")}
    elif kind in _DECIDING:
        wanted = {k: v for k, v in given.items() if k in ("_target_", "sigmoid", "argmax", *_THRESHOLDS)}
    else:
        return given
    return {k: reader.value(v, f"{name}, {kind}, {k}") for k, v in wanted.items()}


def _kind(step: Json) -> str:
    """The transform's name without the d, D or Dict of its dictionary form."""
    name = str(step["_target_"]).rpartition(".")[2]
    for end in ("Dict", "d", "D"):
        if name.endswith(end) and name not in ("Load",):
            return name.removesuffix(end)
    return name


def _true(value: Any) -> bool:
    return str(value).lower() == "true"


def _orientation(steps: list[Json], files: str) -> tuple[str, tuple[str, ...]]:
    notes = [_WHOLE] if _has(steps, _CROP) else []
    turned = _has(steps, "Orientation")
    if turned is not None:
        if "axcodes" not in turned or _true(turned.get("as_closest_canonical")):
            return "RAS", tuple(notes)
        return checked(str(turned["axcodes"])), tuple(notes)
    if not files:
        raise InputError(
            "The bundle leaves scans as they are stored, so it matters how that was. Say with orientation which way "
            "the scans it was trained on were stored (RAS, LPS, LAS ... as nibabel's aff2axcodes says of one of them)."
        )
    return checked(files), tuple(notes)


def _has(steps: list[Json], kind: str) -> Json | None:
    return next((s for s in steps if _kind(s) == kind), None)


def _spacing(steps: list[Json]) -> list[float]:
    step = _has(steps, "Spacing")
    if step is None:
        return [0.0, 0.0, 0.0]
    given = step["pixdim"]
    values = [float(v) for v in given] if isinstance(given, list | tuple) else [float(given)] * 3
    # MONAI keeps the scan's own where a number is not positive
    return [max(0.0, v) for v in values]


def _roi(reader: _Reader) -> list[int]:
    given = reader.config.get("inferer")
    if not isinstance(given, Mapping) and isinstance(reader.config.get("validate"), Mapping):
        given = reader.config["validate"].get("inferer")
    if not isinstance(given, Mapping) or "roi_size" not in given:
        raise ModelError(
            "The bundle has no sliding windows (inferer, roi_size), so the size of its patches is unknown."
        )
    size = reader.value(given["roi_size"], "inferer, roi_size")
    sizes = [size] * 3 if isinstance(size, int) else list(size)
    if any(s is None or s < 1 for s in sizes):
        raise ModelError(
            f"The bundle's windows (inferer, roi_size {sizes}) are as large as each scan along an axis; write there "
            "how many voxels a window has."
        )
    return sizes


def _triple(values: list[float] | list[int], seen: str) -> tuple[float, float, float]:
    axes, _ = view(seen)
    found = [0.0] * 3
    for value, axis in zip(values, axes, strict=True):
        found[axis] = value
    return found[0], found[1], found[2]


def _normalisation(steps: list[Json], channels: int) -> tuple[Normalisation, ...]:
    step = next((s for s in steps if _kind(s) in _INTENSITY), None)
    if step is None:
        return (Normalisation("fixed"),) * channels
    if _kind(step) == "ScaleIntensityRange":
        return (_scaled_range(step),) * channels
    if _kind(step) == "ScaleIntensity":
        return (_scaled(step, channels),) * channels
    return _normalised(step, channels)


def _inside(steps: list[Json], how: tuple[Normalisation, ...]) -> tuple[Normalisation, ...]:
    """The same, measured in the foreground alone where scans are cropped to it before."""
    crop = _has(steps[: next((i for i, s in enumerate(steps) if _kind(s) in _INTENSITY), 0)], _CROP)
    if crop is None or how[0].kind not in ("zscore", "range"):
        return how
    own = [name for name, usual in _CROP_AS_USUAL.items() if crop.get(name, usual) != usual]
    if own:
        raise ModelError(
            f"The bundle measures intensities inside a foreground of its own (CropForegroundd with {', '.join(own)}), "
            "which is not known here."
        )
    return tuple(replace(channel, kind=f"{channel.kind}_inside") for channel in how)


def _scaled_range(step: Json) -> Normalisation:
    low, high = float(step["a_min"]), float(step["a_max"])
    if step.get("b_min") is None or step.get("b_max") is None:
        to_low, to_high = 0.0, 1.0
    else:
        to_low, to_high = float(step["b_min"]), float(step["b_max"])
    std = (high - low) / (to_high - to_low)
    return Normalisation("ct" if _true(step.get("clip")) else "fixed", low, high, low - to_low * std, std)


def _scaled(step: Json, channels: int) -> Normalisation:
    ends = (float(step.get("minv", 0.0)), float(step.get("maxv", 1.0)))
    if ends != (0.0, 1.0) or step.get("factor") is not None or (channels > 1 and not _true(step.get("channel_wise"))):
        raise ModelError("The bundle's ScaleIntensityd is known here from 0 to 1 and channel by channel alone.")
    return Normalisation("range")


def _normalised(step: Json, channels: int) -> tuple[Normalisation, ...]:
    if step.get("subtrahend") is not None or step.get("divisor") is not None:
        if _true(step.get("nonzero")):
            raise ModelError(
                "The bundle's NormalizeIntensityd with fixed numbers where a voxel is not 0 is not known here."
            )
        means, stds = (_each(step.get(k), channels, d) for k, d in (("subtrahend", 0.0), ("divisor", 1.0)))
        return tuple(Normalisation("fixed", mean=m, std=s) for m, s in zip(means, stds, strict=True))
    if channels > 1 and not _true(step.get("channel_wise")):
        raise ModelError("The bundle's NormalizeIntensityd takes all channels together, which is not known here.")
    return (Normalisation("zscore_nonzero" if _true(step.get("nonzero")) else "zscore"),) * channels


def _each(value: Any, channels: int, default: float) -> list[float]:
    if value is None:
        return [default] * channels
    return [float(v) for v in value] if isinstance(value, list) else [float(value)] * channels
