"""How much memory training takes, before any of it is asked for."""

import math
from dataclasses import dataclass

import torch

from napari_apprentice.core.machine import memory
from napari_apprentice.core.plan import OUTPUT_MAPS, Plan
from napari_apprentice.errors import RunError
from napari_apprentice.learn.device import free_bytes, training_autocast
from napari_apprentice.learn.network import Network

COPIES = 5  # of the weights beside the network's own: gradient, two moments, average, and room to work in
GB = 1e9


@dataclass(frozen=True)
class Need:
    """Bytes that training asks for: `fixed`, and as much again as `patch` for each patch computed at once."""

    fixed: float
    patch: float

    def of(self, patches: int) -> float:
        """Bytes with so many patches at once."""
        return self.fixed + self.patch * patches


def need(network: Network, plan: Plan, *, taught: bool) -> Need | None:
    """What a step keeps for its gradient, found out by doing one on a small patch.

    Parameters
    ----------
    taught
        Whether a second network of the same size teaches it.

    Returns
    -------
    None for a network whose patch cannot be made smaller.
    """
    kept = _kept(network, plan)
    if kept is None:
        return None
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    voxels = float(plan.patch[0] * plan.patch[1] * plan.patch[2])
    outputs = OUTPUT_MAPS * 4.0 * (1 + len(plan.labels)) * voxels
    # the gradient passes through the largest maps, of which a few live beside what is kept
    passing = 4 * 4.0 * voxels * max(plan.features[:1], default=1)
    return Need(weights * (COPIES + (1 if taught else 0)), kept + outputs + passing)


def affordable(found: Need | None, batch: int, device: torch.device) -> int:
    """Patches that can be computed at once: the batch, or what memory has room for.

    Raises
    ------
    RunError
        There is not even room for one.
    """
    if found is None:
        return batch
    free = free_memory(device)
    while batch > 1 and found.of(batch) > free:
        batch //= 2
    if found.of(batch) > free:
        here, others = ("the GPU", ", choose cpu as the device") if device.type == "cuda" else ("this computer", "")
        raise RunError(
            f"Training this network takes about {found.of(1) / GB:.1f} GB of memory, and {free / GB:.1f} GB are free "
            f"on {here}. Close other programs{others}, or train a first model with less memory."
        )
    return batch


def fits(size: float) -> bool:
    """Whether there is memory for so many bytes on this computer."""
    return size <= free_memory(torch.device("cpu"))


def refuse_too_many(what: str, size: float) -> None:
    """Make sure that there is memory for what is kept from the first step to the last, before any of it is read.

    Parameters
    ----------
    what, size
        What it is, in the plural, and its bytes.

    Raises
    ------
    RunError
        There is not: the system would end the process without a word.
    """
    if not fits(size):
        free = free_memory(torch.device("cpu"))
        raise RunError(
            f"{what} take about {size / GB:.1f} GB of memory, and {free / GB:.1f} GB are free on this computer. Close "
            "other programs, or train where there is more memory."
        )


def free_memory(device: torch.device) -> float:
    """Bytes that are free where it is computed."""
    found = free_bytes(device)
    return float(memory().free if found is None else found)


def _kept(network: Network, plan: Plan) -> float | None:
    """Bytes kept for the gradient of one patch; measured on a smaller one, since they grow with its voxels."""
    if len(plan.strides) < 2:
        return None
    smallest = [2 * math.prod(s[axis] for s in plan.strides) for axis in range(3)]
    size = [min(n, max(m, 1)) for n, m in zip(plan.patch, smallest, strict=True)]
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    weights = {p.shape for p in network.parameters()}  # half-precision copies of them do not grow with the patch
    kept: dict[int, torch.Tensor] = {}  # the tensors themselves, so that no address is used twice

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    device = next(network.parameters()).device
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), training_autocast(device, plan.patch):
        logits = network.train()(torch.zeros(1, len(plan.normalisation), *size, device=device))
    counted = [t for address, t in kept.items() if address not in own and t.shape not in weights]
    size_of_kept = sum(t.untyped_storage().nbytes() for t in counted)
    del logits
    return size_of_kept * math.prod(plan.patch) / math.prod(size)
