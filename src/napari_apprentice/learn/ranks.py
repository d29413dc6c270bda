"""Several processes that train one network together, each on a device of its own; by default there is one."""

from collections.abc import Iterable

import torch
from torch import distributed, nn


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
