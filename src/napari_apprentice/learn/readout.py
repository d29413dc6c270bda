"""The last layer of a network, applied after windows were averaged where that is less work.

A network's last layer is mostly a matrix product at each voxel, W f + b, of its features f. Windows are averaged
with shares that add up to 1, and so are mirrored views, so that W mean(f) + b is mean(W f + b): the same logits.
Of many labels, adding up features takes less time and memory than adding up logits, and the same for any number
of labels.
"""

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

    Attributes
    ----------
    rows
        Output rows of the network: 1 + labels.
    width
        Maps that it is asked for: its features where there are fewer of them than rows, else its logits.
    """

    def __init__(self, plan: Plan, network: Network) -> None:
        self._network, self._last = network, network.last
        self.rows = self.width = 1 + len(plan.labels)
        if self._last is not None and self._last.in_channels < self.rows:
            self.width = self._last.in_channels
        self.late = self.width < self.rows

    def module(self, network: Network) -> nn.Module:
        """What gives the (b, width, z, y, x) maps of (b, c, z, y, x) normalised voxels."""
        return Features(network) if self.late else FullMap(network)

    @torch.no_grad()
    def logits(self, averages: torch.Tensor) -> torch.Tensor:
        """(rows, ...) float32 logits of (width, ...) averages, which may be given back themselves."""
        if not self.late or self._last is None:
            return averages
        weight = self._last.weight.detach().flatten(1).float()
        bias = torch.zeros(self.rows, device=weight.device) if self._last.bias is None else self._last.bias.float()
        found = torch.addmm(bias[:, None], weight, averages.flatten(1))
        return found.view(self.rows, *averages.shape[1:])


class FullMap(nn.Module):
    """A network without the smaller maps that only training needs."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, voxels: torch.Tensor) -> torch.Tensor:
        """(b, 1 + labels, z, y, x) logits."""
        return self.network.full(voxels)


class Features(nn.Module):
    """A network without its last layer."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, voxels: torch.Tensor) -> torch.Tensor:
        """(b, features, z, y, x)."""
        return self.network.features(voxels)
