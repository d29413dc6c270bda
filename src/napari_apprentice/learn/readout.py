"""The last layer of a network, applied after windows were averaged where that is less work.

A network's last layer is mostly a matrix product at each voxel, W f + b, of its features f. Windows are averaged
with shares that add up to 1, and so are mirrored views, so that W mean(f) + b is mean(W f + b): the same logits.
Of many labels, adding up features takes less time and memory than adding up logits, and the same for any number
of labels.
"""

from collections.abc import Container

import torch
from torch import nn

from napari_apprentice.core.plan import Plan
from napari_apprentice.learn.network import Network


class Readout:
    """What is asked of a network about a window, and how logits are made of the averages.

    Parameters
    ----------
    plan, network
        The network's weights may change between predictions.
    labels
        Those of the plan's labels that can be proposed; the others are left out before the softmax.

    Attributes
    ----------
    rows
        Rows of the logits: background, and the labels that can be proposed.
    width
        Maps that it is asked for: its features where there are fewer of them than rows, else its logits.
    """

    def __init__(self, plan: Plan, network: Network, labels: Container[int] | None = None) -> None:
        self._last = network.last
        kept = [0, *(row for row, label in enumerate(plan.labels, 1) if labels is None or label in labels)]
        self._kept = torch.tensor(kept)
        self._every = 1 + len(plan.labels)
        self.rows, self.width = len(kept), self._every
        if self._last is not None and self._last.in_channels < self._every:
            self.width = self._last.in_channels
        self.late = self.width < self._every

    def module(self, network: Network) -> nn.Module:
        """What gives the (b, width, z, y, x) maps of (b, c, z, y, x) normalised voxels."""
        return Asked(network, late=self.late)

    @torch.no_grad()
    def logits(self, averages: torch.Tensor) -> torch.Tensor:
        """(rows, ...) float32 logits of (width, ...) averages, which may be given back themselves."""
        if not self.late or self._last is None:
            return self._proposed(averages)
        weight = self._proposed(self._last.weight.detach()).flatten(1).float()
        found = weight @ averages.flatten(1)
        if self._last.bias is not None:
            found += self._proposed(self._last.bias.detach())[:, None].float()
        return found.view(self.rows, *averages.shape[1:])

    def _proposed(self, values: torch.Tensor) -> torch.Tensor:
        """Those rows that can be proposed."""
        if self.rows == self._every:
            return values
        if self._kept.device != values.device:  # once: a GPU would be waited for each time
            self._kept = self._kept.to(values.device)
        return values[self._kept]


class Asked(nn.Module):
    """A network as it is asked about windows, without the smaller maps that only training needs.

    Parameters
    ----------
    late
        Without its last layer, too.
    """

    def __init__(self, network: Network, *, late: bool = False) -> None:
        super().__init__()
        self.network, self._late = network, late

    def forward(self, voxels: torch.Tensor) -> torch.Tensor:
        """(b, 1 + labels, z, y, x) logits, or (b, features, z, y, x)."""
        return self.network.features(voxels) if self._late else self.network.full(voxels)
