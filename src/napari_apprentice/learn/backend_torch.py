"""Windows by PyTorch, on any device."""

from contextlib import nullcontext

import torch

from napari_apprentice.core.plan import Plan
from napari_apprentice.learn.backend import free_batch
from napari_apprentice.learn.device import autocast, free_bytes
from napari_apprentice.learn.network import Network
from napari_apprentice.learn.readout import Readout


class TorchBackend:
    """A network on a device, in evaluation mode.

    Parameters
    ----------
    half
        Compute in the half precision that pays on the device, where there is one.
    """

    def __init__(self, network: Network, plan: Plan, device: torch.device, *, half: bool) -> None:
        readout = Readout(plan, network)
        self._asked = readout.module(network.to(device)).eval()
        self._plan, self._width = plan, readout.width
        self._device, self._half = device, half

    @property
    def name(self) -> str:
        """As it is recorded."""
        with self._context():
            kind = torch.get_autocast_dtype(self._device.type) if self._is_half() else torch.float32
        return f"torch {({torch.bfloat16: 'bf16', torch.float16: 'fp16'}).get(kind, 'fp32')}"

    @property
    def batch(self) -> int:
        """Windows at once; on a GPU as many as there is room for now, which others may fill and leave."""
        free = free_bytes(self._device)
        if free is not None:
            return free_batch(self._plan, self._width, free)
        # One float32 window on a CPU takes another way through torch, four times slower per window than four.
        return 1 if self._is_half() else 4

    def run(self, patches: torch.Tensor) -> torch.Tensor:
        """(b, maps, z, y, x); see `Readout`."""
        with torch.inference_mode(), self._context():
            maps: torch.Tensor = self._asked(patches)
        return maps

    def ahead(self, patches: torch.Tensor) -> None:
        """Nothing: a GPU is asked without waiting for it as it is, and on a CPU torch has every core already."""

    def stop(self) -> None:
        """Nothing was begun."""

    def _is_half(self) -> bool:
        return self._half and not isinstance(autocast(self._device), nullcontext)

    def _context(self) -> "torch.autocast | nullcontext[None]":
        return autocast(self._device) if self._half else nullcontext()  # type: ignore[return-value]
