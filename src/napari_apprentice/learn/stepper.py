"""The gradient of one step, in as many parts as memory and devices ask for; the step stays that of the whole batch."""

from collections.abc import Sequence

import torch

from napari_apprentice.core.config import TrainSettings
from napari_apprentice.learn import loss as masked
from napari_apprentice.learn.device import is_out_of_memory, release_memory, training_autocast
from napari_apprentice.learn.network import Network
from napari_apprentice.learn.optimiser import Optimiser
from napari_apprentice.learn.patches import Batch
from napari_apprentice.learn.ranks import Ranks
from napari_apprentice.learn.teacher import Teacher


class Stepper:
    """Computes loss and gradient of a batch.

    Batch Dice cannot be averaged over parts of a batch, so parts are not losses: each gives its sums over voxels,
    the loss is computed from all of them, and its slope along the sums is what each part is differentiated with
    (the chain rule, so nothing is approximated). More than one part per device costs a second forward pass.

    Parameters
    ----------
    module, optimiser, settings
        What is tuned, and how.
    open_rows
        See `learn.loss.loss`; none where no voxel is left open.
    teacher
        None where nothing is distilled.
    ranks
        Who computes together.
    micro
        Patches computed at once; halved when memory runs out.
    """

    def __init__(
        self, module: Network, optimiser: Optimiser, settings: TrainSettings, open_rows: Sequence[torch.Tensor],
        teacher: Teacher | None, ranks: Ranks, micro: int,
    ) -> None:  # fmt: skip
        self.optimiser = optimiser
        self._module, self._settings = module, settings
        self._open, self._teacher, self._ranks = open_rows, teacher, ranks
        self.micro = micro
        self.notes: list[str] = []

    def gradient(self, batch: Batch, number: int) -> torch.Tensor:
        """Leave the gradient of a batch's loss in the optimiser, and return the loss, which nobody has looked at yet.

        Parameters
        ----------
        batch
            This process's share of it.
        number
            Of the step, from 0.
        """
        while True:
            try:
                return self._gradient(batch, number)
            except (MemoryError, RuntimeError) as error:
                # Other processes of the run wait for this one's sums, so here it cannot begin again by itself.
                if not is_out_of_memory(error) or self.micro == 1 or self._ranks.many:
                    raise
            self._halve(number)  # out here, where the error holds on to nothing of the step any more

    def _halve(self, number: int) -> None:
        self.optimiser.clear()
        release_memory()
        self.micro = max(1, self.micro // 2)
        self.notes.append(
            f"Memory ran out at step {number + 1}: each batch is now computed in parts of {self.micro} "
            f"patch{'es' if self.micro > 1 else ''}. That takes longer and changes nothing else."
        )

    def _gradient(self, batch: Batch, number: int) -> torch.Tensor:
        self.optimiser.clear()
        parts = [batch.part(slice(i, i + self.micro)) for i in range(0, len(batch.voxels), self.micro)]
        whole = self._sums(parts[0], 0, number) if len(parts) == 1 else None
        with torch.no_grad():
            summed = whole if whole is not None else sum(self._sums(p, i, number) for i, p in enumerate(parts))
            assert isinstance(summed, torch.Tensor)  # of at least one part; for the type checker
        total = self._ranks.total(summed).requires_grad_()
        value = self._value(total)
        (slope,) = torch.autograd.grad(value, total)
        for i, part in enumerate(parts):
            own = whole if whole is not None else self._sums(part, i, number)
            self.optimiser.add((own * slope).sum())
        return value.detach()

    def _sums(self, part: Batch, which: int, number: int) -> torch.Tensor:
        # Networks from elsewhere may drop features at random: the same ones in both passes, and when resumed.
        seed = (self._settings.seed * 1_000_003 + number) * 1_009 + which + 131 * self._ranks.number
        torch.manual_seed(seed)
        self._module.train()
        with training_autocast(part.voxels.device, part.voxels.shape[2:]):
            logits = self._module(part.voxels)
        weight = torch.where(part.edited, self._settings.edited_weight, 1.0)
        found = masked.sums(logits, part.target, weight, self._open).flatten()
        if self._teacher is None:
            return found
        return torch.cat([found, self._teacher.sums(logits[0], part.voxels, part.target)])

    def _value(self, summed: torch.Tensor) -> torch.Tensor:
        if self._teacher is None:
            return masked.value(summed.view(-1, self._width))
        away, count = summed[-2], summed[-1]
        return masked.value(summed[:-2].view(-1, self._width)) + self._settings.distil * away / count.clamp_min(1)

    @property
    def _width(self) -> int:
        return masked.width(self._module.labels)
