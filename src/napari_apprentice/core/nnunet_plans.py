"""nnU-Net v2's plans.json and dataset.json as a plan of ours; no weight is needed for that."""

import math
from collections.abc import Mapping
from typing import Any

from napari_apprentice.core.architecture import NnUNet
from napari_apprentice.core.foreign import ForeignModel, describing
from napari_apprentice.core.orientation import checked, from_file_order, view
from napari_apprentice.core.plan import Normalisation, Plan, Triple
from napari_apprentice.errors import InputError, ModelError

Json = Mapping[str, Any]
_REORIENTING = ("SimpleITKIOWithReorient", "NibabelIOWithReorient")  # both to RAS
_NETWORKS = {"PlainConvUNet": False, "ResidualEncoderUNet": True}
_CUBIC = "nnU-Net resamples with cubic splines, this program linearly: at another voxel size results differ a little."
_HOLES = (
    "Voxels that are 0 in every channel stay 0; nnU-Net takes holes among the others for inside, this program does not."
)
_BY_HAND = (
    "Say with orientation which way its scans were stored (RAS, LPS, LAS ... as nibabel's aff2axcodes says of one)"
)


def read_plans(plans: Json, dataset: Json, configuration: str, orientation: str = "") -> ForeignModel:
    """Understand a configuration of a trained nnU-Net.

    Parameters
    ----------
    plans, dataset
        plans.json and dataset.json.
    configuration
        "3d_fullres", "2d" ...
    orientation
        Where the axes (i, j, k) of the files it was trained on grow to; "" when nnU-Net turned them to RAS itself,
        or when that does not matter because it was trained on mirrored scans too.

    Raises
    ------
    ModelError
        Something of it is unknown here; the sentence names it.
    """
    with describing("plans.json or dataset.json"):
        settings = _configuration(plans, configuration)
        labels, channels = _labels(dataset), _channels(dataset)
        network, shape = _network(settings)
        seen, oriented = _orientation(plans, orientation)
        _refuse_other_slices(network, seen)
        sizes = _Sizes(network.dimensions, seen)
        plan = Plan(
            spacing=sizes.ordered([float(s) for s in settings["spacing"]], 0.0),
            patch=sizes.whole(settings["patch_size"]),
            strides=tuple(sizes.whole(s) for s in shape["strides"]),
            kernels=tuple(sizes.whole(k) for k in shape["kernel_sizes"]),
            features=tuple(int(f) for f in shape["features_per_stage"]),
            batch=int(settings.get("batch_size", 2)),
            normalisation=_normalisation(plans, settings, len(channels)),
            labels=tuple(range(1, len(labels) + 1)),
            architecture=network,
            orientation=seen,
        )
        notes = [_CUBIC, *oriented]
        if any(n.kind == "zscore_where" for n in plan.normalisation):
            notes.append(_HOLES)
        return ForeignModel("nnU-Net v2", plan, labels, channels, tuple(notes))


def mirrored(plan: Plan, axes: Any) -> tuple[int, ...]:
    """nnU-Net's axes of mirroring, counted along what its network sees, as axes of ours (0 z, 1 y, 2 x)."""
    order, _ = view(plan.orientation)
    first = 3 - plan.architecture.dimensions if isinstance(plan.architecture, NnUNet) else 0
    return tuple(sorted(order[first + int(a)] for a in axes or ()))


class _Sizes:
    """Sizes in the order of the network's axes, put into ours."""

    def __init__(self, dimensions: int, seen: str) -> None:
        self._dimensions = dimensions
        self._axes, _ = view(seen)

    def ordered(self, values: list[float], across: float) -> tuple[float, float, float]:
        """`across` is what slices have across their plane, in 2D."""
        if len(values) != self._dimensions:
            raise ValueError(f"{len(values)} numbers for {self._dimensions} axes")
        if not all(math.isfinite(v) and v > 0 for v in values):
            raise ValueError(f"a size of {values}")
        full = [across] * (3 - self._dimensions) + list(values)
        found = [0.0] * 3
        for value, axis in zip(full, self._axes, strict=True):
            found[axis] = value
        return found[0], found[1], found[2]

    def whole(self, values: Any) -> Triple:
        """The same of whole numbers; one number stands for all axes."""
        given = [values] * self._dimensions if isinstance(values, int) else [int(v) for v in values]
        z, y, x = self.ordered([float(v) for v in given], 1.0)
        return int(z), int(y), int(x)


def _configuration(plans: Json, name: str) -> dict[str, Any]:
    known = plans["configurations"]
    if name not in known:
        raise ModelError(f"The plans have no configuration {name!r}; they have {', '.join(map(str, known))}.")
    chain: list[Json] = []
    while name:
        if len(chain) > len(known):
            raise ModelError("The configurations of plans.json inherit from each other in a circle.")
        chain.append(known[name])
        name = str(known[name].get("inherits_from", ""))
    settings: dict[str, Any] = {}
    for part in reversed(chain):
        settings.update(part)
    if settings.get("previous_stage"):
        raise ModelError(
            "This configuration is the second stage of a cascade: it reads the prediction of another model beside "
            "the scan, which is not possible here. Import 3d_fullres or 3d_lowres."
        )
    return settings


def _labels(dataset: Json) -> tuple[str, ...]:
    found = {str(k): v for k, v in dataset["labels"].items() if k != "ignore"}
    if any(isinstance(v, list) and len(v) > 1 for v in found.values()):
        raise ModelError(
            "This model was trained on regions that overlap (whole tumour, tumour core ...), and here a voxel has "
            "one label. Models of regions cannot be imported."
        )
    rows = {int(v[0] if isinstance(v, list) else v): k for k, v in found.items()}
    if sorted(rows) != list(range(len(rows))) or len(rows) < 2:
        raise ModelError(f"The labels of dataset.json are numbered {sorted(rows)}, not 0, 1, 2 ...")
    return tuple(rows[i] for i in range(1, len(rows)))


def _channels(dataset: Json) -> tuple[str, ...]:
    names = dataset["channel_names"] if "channel_names" in dataset else dataset["modality"]
    return tuple(str(names[k]) for k in sorted(names, key=int))


def _network(settings: Json) -> tuple[NnUNet, Json]:
    name, given = _described(settings)
    short = name.rpartition(".")[2]
    if short not in _NETWORKS:
        raise ModelError(f"The network {short} of nnU-Net cannot be built here; {' and '.join(_NETWORKS)} can.")
    residual, stages = _NETWORKS[short], int(given["n_stages"])
    _refuse_variants(given)
    blocks = given["n_blocks_per_stage" if residual else "n_conv_per_stage"]
    dropout = float((given.get("dropout_op_kwargs") or {}).get("p", 0.0)) if given.get("dropout_op") else 0.0
    norm = given.get("norm_op_kwargs") or {}
    network = NnUNet(
        dimensions=_dimensions(given["conv_op"]), residual=residual,
        blocks=_counts(blocks, stages), decoder=_counts(given["n_conv_per_stage_decoder"], stages - 1),
        bias=bool(given.get("conv_bias", False)), norm=_norm(given.get("norm_op")),
        affine=bool(norm.get("affine", "InstanceNorm" not in str(given.get("norm_op")))),
        eps=float(norm.get("eps", 1e-5)), slope=_slope(given), dropout=dropout,
        activation_first=bool(given.get("nonlin_first", False)), stem=int(given.get("stem_channels") or 0),
    )  # fmt: skip
    shape = {
        "features_per_stage": _counts(given["features_per_stage"], stages),
        "kernel_sizes": _per_stage(given["kernel_sizes"], stages),
        "strides": _per_stage(given["strides"], stages),
    }
    if any(len(v) != stages for v in (network.blocks, *shape.values())) or len(network.decoder) != stages - 1:
        raise ModelError(f"The network of plans.json has {stages} stages, but not as many sizes.")
    return network, shape


def _described(settings: Json) -> tuple[str, Json]:
    """Class and arguments, also of plans made before nnU-Net 2.5, which counted features instead."""
    if "architecture" in settings:
        return str(settings["architecture"]["network_class_name"]), settings["architecture"]["arch_kwargs"]
    name = str(settings["UNet_class_name"])
    stages = len(settings["n_conv_per_stage_encoder"])
    first, most = int(settings["UNet_base_num_features"]), int(settings["unet_max_num_features"])
    dimensions = len(settings["patch_size"])
    return name, {
        "n_stages": stages,
        "features_per_stage": [min(first * 2**i, most) for i in range(stages)],
        "conv_op": f"Conv{dimensions}d",
        "kernel_sizes": settings["conv_kernel_sizes"],
        "strides": settings["pool_op_kernel_sizes"],
        "n_blocks_per_stage": settings["n_conv_per_stage_encoder"],
        "n_conv_per_stage": settings["n_conv_per_stage_encoder"],
        "n_conv_per_stage_decoder": settings["n_conv_per_stage_decoder"],
        "conv_bias": True, "norm_op": f"InstanceNorm{dimensions}d", "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": "LeakyReLU",
    }  # fmt: skip


def _refuse_variants(given: Json) -> None:
    block = str(given.get("block") or "BasicBlockD").rpartition(".")[2]
    if block != "BasicBlockD" or given.get("bottleneck_channels"):
        raise ModelError(f"Residual blocks of the kind {block} cannot be built here, only BasicBlockD.")
    known = {
        "n_stages", "features_per_stage", "conv_op", "kernel_sizes", "strides", "n_blocks_per_stage",
        "n_conv_per_stage", "n_conv_per_stage_decoder", "conv_bias", "norm_op", "norm_op_kwargs", "dropout_op",
        "dropout_op_kwargs", "nonlin", "nonlin_kwargs", "nonlin_first", "deep_supervision", "block",
        "bottleneck_channels", "stem_channels",
    }  # fmt: skip
    strange = sorted(k for k, v in given.items() if k not in known and v is not None)
    if strange:
        raise ModelError(f"The network of plans.json has settings that are not known here: {', '.join(strange)}.")


def _dimensions(operation: Any) -> int:
    short = str(operation).rpartition(".")[2]
    if short not in ("Conv2d", "Conv3d"):
        raise ModelError(f"The network of plans.json is made of {short}, which cannot be built here.")
    return int(short[4])


def _norm(operation: Any) -> str:
    short = "" if operation is None else str(operation).rpartition(".")[2]
    kinds = {"": "none", "InstanceNorm": "instance", "BatchNorm": "batch"}
    if short.rstrip("23d") not in kinds:
        raise ModelError(f"The network of plans.json has norms of the kind {short}, which cannot be built here.")
    return kinds[short.rstrip("23d")]


def _slope(given: Json) -> float:
    short = str(given.get("nonlin")).rpartition(".")[2]
    if short not in ("LeakyReLU", "ReLU"):
        raise ModelError(f"The network of plans.json has the activation {short}, which cannot be built here.")
    return 0.0 if short == "ReLU" else float((given.get("nonlin_kwargs") or {}).get("negative_slope", 0.01))


def _counts(values: Any, stages: int) -> tuple[int, ...]:
    return (values,) * stages if isinstance(values, int) else tuple(int(v) for v in values)


def _per_stage(values: Any, stages: int) -> list[Any]:
    return [values] * stages if isinstance(values, int) else list(values)


def _orientation(plans: Json, files: str) -> tuple[str, tuple[str, ...]]:
    """Where the axes of what the network sees grow to, and what to tell of it."""
    reader = str(plans.get("image_reader_writer", ""))
    order = [int(a) for a in plans.get("transpose_forward", (0, 1, 2))]
    told: tuple[str, ...] = ()
    if reader in _REORIENTING:
        if files and checked(files) != "RAS":
            raise InputError(f"{reader} turns every scan to RAS, so the orientation cannot be {files}.")
        files = "RAS"
    elif not files:
        files = "LPS"
        told = (f"{reader or 'nnU-Net'} leaves scans as they are stored, and they were taken to be stored as LPS.",)
    stored = from_file_order(files)  # nnU-Net indexes (k, j, i)
    return "".join(stored[a] for a in order), told


def doubt_of_orientation(plans: Json, orientation: str) -> str:
    """Why the orientation must be said by a person, as a sentence; "" when it is known.

    It is of no consequence to a network that was taught on scans mirrored along all axes, which only its
    checkpoint tells.
    """
    reader = str(plans.get("image_reader_writer", ""))
    if orientation or reader in _REORIENTING:
        return ""
    return (
        f"This model was trained on scans in the orientation of their files ({reader or 'unknown reader'}) and not "
        f"mirrored along every axis, so it matters which that was. {_BY_HAND}."
    )


def _refuse_other_slices(network: NnUNet, seen: str) -> None:
    if network.dimensions == 2 and seen[0] not in "SI":
        raise ModelError(
            "This 2D model looks at slices that are not axial (its plans put another axis first), which is not "
            "possible here. Import the 3d_fullres configuration."
        )


def _normalisation(plans: Json, settings: Json, channels: int) -> tuple[Normalisation, ...]:
    schemes, masked = settings["normalization_schemes"], settings.get("use_mask_for_norm") or [False] * channels
    if len(schemes) != channels or len(masked) != channels:
        raise ModelError(f"plans.json normalises {len(schemes)} channels, dataset.json has {channels}.")
    known = plans.get("foreground_intensity_properties_per_channel")
    if known is None:
        known = plans.get("foreground_intensity_properties_by_modality", {})
    return tuple(_scheme(str(s), bool(m), known, str(c)) for c, (s, m) in enumerate(zip(schemes, masked, strict=True)))


def _scheme(name: str, masked: bool, properties: Json, channel: str) -> Normalisation:
    if name == "ZScoreNormalization":
        return Normalisation("zscore_where" if masked else "zscore_inside")
    if name == "CTNormalization":
        of = properties[channel]
        low, high = float(of["percentile_00_5"]), float(of["percentile_99_5"])
        return Normalisation("ct", low, high, float(of["mean"]), max(float(of["std"]), 1e-8))
    if name == "RescaleTo01Normalization":
        return Normalisation("range_inside")
    if name in ("NoNormalization", "RGBTo01Normalization"):
        return Normalisation("fixed", std=255.0 if name == "RGBTo01Normalization" else 1.0)
    raise ModelError(f"The normalisation {name} of plans.json is not known here.")
