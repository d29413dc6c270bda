"""Weights on disk: safetensors, never pickle."""

import errno
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from napari_apprentice.errors import ModelError, StorageError
from napari_apprentice.learn.syncing import sync

RESUME = "resume the run: it goes on from its last checkpoint"
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FULL_ON_WINDOWS = {39, 112, 1295}  # ERROR_HANDLE_DISK_FULL, ERROR_DISK_FULL, ERROR_DISK_QUOTA_EXCEEDED


def tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters by name, each once; DynUNet lists its blocks under two names."""
    return {name: p.detach() for name, p in module.named_parameters()}


def save(module: nn.Module, path: Path, *, half: bool = False) -> None:
    """Write a module's weights; `half` stores float16, half the size."""
    write(tensors(module), path, half=half)


def write(named: Mapping[str, torch.Tensor], path: Path, *, half: bool = False, then: str = "try again") -> None:
    """Write named tensors beside `path` and then, once they are on the disk, move them into place.

    Parameters
    ----------
    half
        As in `save`.
    then
        What a person does once there is room: `RESUME` in a run that has a checkpoint.

    Raises
    ------
    StorageError
        The disk is full, gone or read-only; what was at `path` is unchanged.
    """
    kind = torch.float16 if half else torch.float32
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".part")
    try:
        save_file({n: t.to("cpu", kind).contiguous() for n, t in named.items()}, aside)
        sync(aside)
        aside.replace(path)
    except (SafetensorError, OSError) as error:
        with suppress(OSError):  # a disk that is gone or read-only: the sentence below is what counts
            aside.unlink(missing_ok=True)
        why, mend = _told(error)
        raise StorageError(
            f"{why}; {path.name} could not be written. What was stored before is unchanged. {mend}, then {then}."
        ) from error


def _told(error: Exception) -> tuple[str, str]:
    """What the operating system says, and what to do."""
    if isinstance(error, OSError):
        full, why = error.errno in _FULL, error.strerror or str(error)
    else:  # safetensors has the system's own number, on Windows none of errno's, among its words
        told, why = re.search(r"os error (\d+)", str(error)), str(error)
        full = told is not None and int(told[1]) in (_FULL_ON_WINDOWS if os.name == "nt" else _FULL)
    return ("The disk is full", "Make room") if full else (why, "Mend this")


def load(module: nn.Module, path: Path) -> None:
    """Read weights into a module; names and shapes must agree exactly.

    Raises
    ------
    ModelError
        The file is missing, damaged, or belongs to another network, or not all of it is numbers.
    """
    named = read(path)
    if not all(bool(torch.isfinite(tensor).all()) for tensor in named.values()):
        raise ModelError(f"The weights {path} are not all numbers: they are damaged; choose another model version.")
    assign(module, named, path.name)


def read(path: Path) -> dict[str, torch.Tensor]:
    """Named tensors of a safetensors file, on the CPU."""
    if not path.is_file():
        raise ModelError(f"The weights {path} are missing; choose another model version.")
    try:
        return dict(load_file(path, device="cpu"))
    except (SafetensorError, OSError) as error:
        raise ModelError(f"The weights {path} cannot be read, the file seems damaged: {error}") from error


def assign(module: nn.Module, named: Mapping[str, torch.Tensor], source: str) -> None:
    """Copy named tensors into a module, all or nothing."""
    own = tensors(module)
    if own.keys() != named.keys():
        raise ModelError(f"{source} holds the weights of another network: its layers have other names.")
    for name, tensor in own.items():
        if tensor.shape != named[name].shape:
            raise ModelError(
                f"{source} holds the weights of another network: {name} has shape "
                f"{tuple(named[name].shape)}, the plan asks for {tuple(tensor.shape)}. "
                "Were labels or channels added since it was trained?"
            )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(named[name])
