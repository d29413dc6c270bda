"""What computes a network, and which of them there is here."""

from importlib.util import find_spec
from typing import Protocol

import torch

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.plan import Plan
from napari_apprentice.errors import InputError


class Backend(Protocol):
    """A network that is ready to be asked."""

    @property
    def name(self) -> str:
        """Library and number type, as it is recorded: "openvino bf16"."""

    @property
    def batch(self) -> int:
        """Windows that are best asked together."""

    def run(self, patches: torch.Tensor) -> torch.Tensor:
        """(b, maps, z, y, x) of (b, c, z, y, x) normalised float32: logits, or what they are made of; see `Readout`.

        Valid until the next call.
        """

    def ahead(self, patches: torch.Tensor) -> None:
        """`run` is going to be asked about just these: begin them, where they can be computed beside other work.

        Two calls in a row may begin two batches, in the order in which `run` must be asked about them.
        """

    def stop(self) -> None:
        """What was begun is not wanted any more."""


def library(settings: PredictSettings, device: torch.device, *, changing: bool) -> str:
    """Which library computes: "openvino" or "torch".

    Parameters
    ----------
    changing
        The weights are still being trained; converting them for every look would take longer than torch.

    Raises
    ------
    InputError
        OpenVINO was asked for, and is not installed or cannot use this device.
    """
    installed = find_spec("openvino") is not None
    if settings.backend == "openvino" and (not installed or device.type != "cpu"):
        why = "computes on the CPU only" if installed else 'is not installed (pip install "napari-apprentice[cpu]")'
        raise InputError(f"OpenVINO {why}. Choose auto or torch as the backend.")
    if settings.backend != "auto":
        return settings.backend
    return "openvino" if installed and device.type == "cpu" and not changing else "torch"


def free_batch(plan: Plan, maps: int, free: int) -> int:
    """Windows at once for a device with `free` bytes: half of them, and never more than 16.

    A window holds the `maps` it gives (in two types while they are weighted) and about three maps of the first
    stage's features, in four bytes at most.
    """
    z, y, x = plan.patch
    each = 4 * z * y * x * (2 * maps + 3 * plan.features[0])
    return max(1, min(16, free // 2 // each))
