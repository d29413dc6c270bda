"""Several processes that train one network together, each on a device of its own; by default there is one."""

import os
from collections.abc import Iterable
from datetime import timedelta

import torch
from torch import distributed, nn

from napari_apprentice.errors import Cancelled, InputError
from napari_apprentice.learn.device import choose_device


class Ranks:
    """Who of how many this process is, and what they tell each other.

    Every process draws the same batches and computes on its share of the patches. Loss and gradient are made of
    sums over voxels (`learn.loss`), which are added up over all: the step is that of the whole batch.

    Parameters
    ----------
    number, count
        This process's number, from 0, and how many there are.
    """

    def __init__(self, number: int = 0, count: int = 1) -> None:
        self.number, self.count = number, count

    @property
    def many(self) -> bool:
        """Whether there are others."""
        return self.count > 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and reports."""
        return self.number == 0

    def batch(self, size: int) -> int:
        """Patches per step: as many as asked for, and the same number, at least one, for each process."""
        return -(-size // self.count) * self.count

    def share(self, size: int) -> slice:
        """The patches of a batch that are computed here."""
        each = size // self.count
        return slice(self.number * each, (self.number + 1) * each)

    def total(self, part: torch.Tensor) -> torch.Tensor:
        """A tensor added up over all processes; the same on each."""
        whole = part.detach().clone()
        if self.many:
            distributed.all_reduce(whole)
        return whole

    def wait(self) -> None:
        """Until all have come so far."""
        if self.many:
            distributed.barrier()

    def leave(self) -> None:
        """Go on alone, as all do at once: NCCL warns of a process that ends without, and one may wait for another."""
        if self.many:
            distributed.barrier()
            distributed.destroy_process_group()

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Put the sum over all processes in place of each gradient."""
        found = [p.grad for p in parameters if p.grad is not None] if self.many else []
        if not found:
            return
        flat = torch.cat([g.flatten() for g in found])
        distributed.all_reduce(flat)
        for gradient, part in zip(found, torch.split(flat, [g.numel() for g in found]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def any(self, said: bool, device: torch.device) -> bool:
        """Whether one of them says so."""
        if not self.many:
            return said
        return bool(self.total(torch.tensor(float(said), device=device)) > 0)

    def same(self, numbers: list[float], device: torch.device) -> list[float]:
        """The first process's numbers, for all."""
        if not self.many:
            return numbers
        told = torch.tensor(numbers, dtype=torch.float64, device=device)
        distributed.broadcast(told, 0)
        return [float(n) for n in told]


def joined(device: str) -> Ranks:
    """Who this process is among those that `torchrun` started; alone when it was started otherwise.

    Parameters
    ----------
    device
        "auto", "cpu" or "cuda"; of several GPUs each process takes its own.

    Raises
    ------
    InputError
        There are fewer GPUs here than processes.
    """
    if not several():
        return Ranks()
    on_gpu = device != "cpu" and choose_device(device).type == "cuda"
    if on_gpu:
        _refuse_too_many(torch.cuda.device_count())
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if not distributed.is_initialized():
        # Patient: the first one may have to wait for its turn on the device.
        nccl = on_gpu and distributed.is_nccl_available()  # which PyTorch for Windows has not
        distributed.init_process_group("nccl" if nccl else "gloo", timeout=timedelta(days=7))
    return Ranks(distributed.get_rank(), distributed.get_world_size())


def _refuse_too_many(gpus: int) -> None:
    asked = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if asked <= gpus:
        return
    text = f"{asked} devices were asked for, and {gpus} GPU{'s are' if gpus != 1 else ' is'} here: ask for fewer."
    if first_here() or os.environ.get("GROUP_RANK", "0") != "0":
        raise InputError(text)
    raise Cancelled(text)  # the first one, which finds the same, says so; a fault of another would end it before


def several() -> bool:
    """Whether this process was started as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def first_here() -> bool:
    """Whether this process writes and reports, as far as its environment says."""
    return os.environ.get("RANK", "0") == "0"
