"""Weights of other programs: read without running anything, and put into the network they belong to."""

import warnings
import zipfile
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError  # its name alone
from typing import Any

import numpy as np
import torch
from torch import nn

from napari_apprentice.core.architecture import MonaiNetwork
from napari_apprentice.core.nnunet_plans import mirrored
from napari_apprentice.core.plan import Plan
from napari_apprentice.errors import InputError, ModelError
from napari_apprentice.learn.network import around, bare
from napari_apprentice.learn.weights import tensors

Named = Mapping[str, torch.Tensor]
# nnU-Net keeps its learning curves as NumPy numbers. NumPy 1 called the module of `scalar` numpy.core.
_NUMBERS = (
    np.dtype,
    type(np.dtype(np.float64)),
    type(np.dtype(np.float32)),
    type(np.dtype(np.int64)),
    np._core.multiarray.scalar,  # type: ignore[attr-defined]
    (np._core.multiarray.scalar, "numpy.core.multiarray.scalar"),  # type: ignore[attr-defined]
)

_WRAPPERS = ("_orig_mod.", "module.")  # torch.compile, DistributedDataParallel


@dataclass(frozen=True, eq=False)
class Imported:
    """A model from elsewhere as it can be stored: plan, weights by name, and what its checkpoint told."""

    plan: Plan
    weights: Named
    facts: Mapping[str, Any]


def from_nnunet(plan: Plan, checkpoint: Path, configuration: str, doubt: str) -> Imported:
    """Read checkpoint_final.pth or checkpoint_best.pth of a fold.

    Parameters
    ----------
    plan
        What its plans.json asks for.
    configuration
        That it must be of.
    doubt
        Why its orientation must be known; refused with it unless it was taught on scans mirrored along every axis.

    Raises
    ------
    ModelError
        No checkpoint of nnU-Net, one that could run code, or the weights of another network.
    InputError
        Its orientation must be known.
    """
    told = read_checkpoint(checkpoint)
    weights = told.get("network_weights")
    if not isinstance(weights, Mapping):
        raise ModelError(f"{checkpoint.name} is no checkpoint of nnU-Net: it has no network_weights.")
    arguments = told.get("init_args")
    trained = str(arguments.get("configuration", "")) if isinstance(arguments, Mapping) else ""
    if trained and trained != configuration:
        raise ModelError(f"{checkpoint.name} was trained as {trained}, not as {configuration}. Choose that one.")
    axes = mirrored(plan, told.get("inference_allowed_mirroring_axes"))
    dimensions = 2 if plan.patch[0] == 1 else 3
    if doubt and len(axes) < dimensions:
        raise InputError(doubt)
    plan = replace(plan, mirror_axes=axes)
    # Every convolution stands under several names in nnU-Net's networks.
    named = {_plain(str(k)): v for k, v in weights.items()}
    once = {k: v for k, v in named.items() if ".all_modules." not in k and not k.startswith("decoder.encoder.")}
    facts = {"trainer": str(told.get("trainer_name", "")), "epoch": str(told.get("current_epoch", ""))}
    return Imported(plan, _fitted(plan, once, checkpoint.name), facts)


def from_bundle(plan: Plan, checkpoint: Path) -> Imported:
    """Read models/model.pt of a MONAI bundle.

    Raises
    ------
    ModelError
        No weights, a file that could run code, or the weights of another network.
    """
    told: Any = read_checkpoint(checkpoint)
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(told, Mapping) and isinstance(told.get(key), Mapping):
            told = told[key]
    return Imported(plan, _fitted(plan, told, checkpoint.name), {})


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A file of torch.save, of which nothing is ever run.

    Raises
    ------
    ModelError
        It is none, is damaged, holds no dictionary, or would have to run code to be read.
    """
    if _is_program(path):
        raise ModelError(
            f"{path.name} is a program (TorchScript), which is never run here. Import the model from its weights "
            "(model.pt) instead."
        )
    try:
        with torch.serialization.safe_globals(list(_NUMBERS)), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of files that torch did not write; they are refused anyway
            told = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ModelError(
            f"{path.name} could run code of its own while it is read, so it was not read, and nothing of it was run. "
            f"Save it again with nothing but its weights. ({_reason(error)})"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise ModelError(f"{path.name} cannot be read as a file of weights; it may be damaged: {error}") from error
    if not isinstance(told, dict):
        raise ModelError(f"{path.name} holds no weights by name.")
    return told


def _is_program(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as file:
            return any("/code/" in name or name.endswith("constants.pkl") for name in file.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _reason(error: UnpicklingError) -> str:
    """The one line of torch's long text that names what was asked for."""
    lines = [line.strip() for line in str(error).splitlines() if "GLOBAL" in line or "Unsupported" in line]
    return lines[0][:200] if lines else "it is no plain file of weights"


def _fitted(plan: Plan, named: Mapping[Any, Any], source: str) -> Named:
    """Weights as this program names them, after the network they belong to has taken them."""
    weights = {_plain(str(k)): v for k, v in named.items() if isinstance(v, torch.Tensor)}
    # Sizes that stand in a plan are compared before any memory is asked for; not every network of MONAI can be
    # built without memory.
    net = bare(plan) if isinstance(plan.architecture, MonaiNetwork) else _without_memory(plan)
    _compare(net.state_dict(), weights, source)
    net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in weights.items()}, assign=True)
    network = around(plan, net)
    _refuse_other_shapes(network, plan)
    return tensors(network)


def _plain(name: str) -> str:
    while name.startswith(_WRAPPERS):
        name = name.partition(".")[2]
    return name


def _without_memory(plan: Plan) -> nn.Module:
    with torch.device("meta"):
        return bare(plan)


def _compare(own: Named, given: Named, source: str) -> None:
    lacking, strange = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
    if lacking or strange:
        what = f"it lacks {lacking[0]}" if lacking else f"it has {strange[0]}"
        raise ModelError(f"{source} does not fit the network that is described beside it: {what}.")
    for name, tensor in own.items():
        if tensor.shape != given[name].shape:
            raise ModelError(
                f"{source} does not fit the network that is described beside it: {name} has shape "
                f"{tuple(given[name].shape)}, not {tuple(tensor.shape)}."
            )


def _refuse_other_shapes(network: nn.Module, plan: Plan) -> None:
    """Ask for the shape of its logits, without computing them."""
    wanted = (1, 1 + len(plan.labels), *plan.patch)
    try:
        with torch.no_grad():
            patch = torch.zeros(1, len(plan.normalisation), *plan.patch, device="meta")
            found = tuple(deepcopy(network).to("meta").eval()(patch)[0].shape)
    except (RuntimeError, ValueError, IndexError) as error:
        raise ModelError(f"The network cannot take patches of {plan.patch} voxels (z, y, x): {error}") from error
    if found != wanted:
        raise ModelError(f"The network gives {found} for a patch where {wanted} is needed.")
