"""The base model version as a teacher of what nobody looked at, where none of its scans are there to replay."""

from collections.abc import Sequence

import torch

from napari_apprentice.learn.device import autocast
from napari_apprentice.learn.loss import UNSEEN
from napari_apprentice.learn.network import Network


class Teacher:
    """Compares what is learned with what the base would say.

    Parameters
    ----------
    base
        The base's network on its device, with the rows of what is tuned; it is frozen here.
    added
        Rows of labels that the base never learned: for it they are part of the background.
    temperature
        Both are divided by it before the softmax.
    """

    def __init__(self, base: Network, added: Sequence[int], temperature: float) -> None:
        self._base = base.eval().requires_grad_(requires_grad=False)
        device = next(base.parameters()).device  # where the numbers of rows lie too: to send them takes a wait
        background = [0, *added]
        self._background = torch.tensor(background, device=device)
        self._others = torch.tensor([r for r in range(1 + base.labels) if r not in background], device=device).long()
        self._temperature = temperature

    def sums(self, logits: torch.Tensor, voxels: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Divergence from the base, and the voxels it was added up over.

        Kullback-Leibler, times the temperature squared so that its gradient keeps its size (Hinton et al., 2015);
        background and added labels count as one (Cermelli et al., CVPR 2020). Only unseen voxels are looked at,
        so that all others get a gradient of exactly 0.

        Parameters
        ----------
        logits
            (b, 1 + labels, z, y, x) of what is tuned.
        voxels, target
            (b, c, z, y, x) as the network saw them, and (b, z, y, x) rows; 254 is unseen.

        Returns
        -------
        (2,) float32.
        """
        unseen = (target == UNSEEN).nonzero(as_tuple=True)
        count = len(unseen[0])
        if not count:
            return logits.new_zeros(2, dtype=torch.float32)
        with torch.no_grad(), autocast(voxels.device):
            taught = self._base.full(voxels)
        wanted, found = (self._log_share(all_of.movedim(1, -1)[unseen]) for all_of in (taught, logits))
        away = (wanted.exp() * (wanted - found)).sum() * self._temperature**2
        return torch.stack([away, away.new_full((), count)])

    def _log_share(self, logits: torch.Tensor) -> torch.Tensor:
        each = (logits.float() / self._temperature).log_softmax(1)
        return torch.cat([each[:, self._background].logsumexp(1, keepdim=True), each[:, self._others]], 1)
