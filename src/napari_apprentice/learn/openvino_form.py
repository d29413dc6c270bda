"""A network in operations that OpenVINO computes faster in bf16; what they compute stays the same.

OpenVINO keeps features last in memory there, and its instance norm takes the features of one voxel at a time: of
eight, half of what the processor could take. Voxel after voxel it takes a third of the time, the way there and back
included. And a convolution pads what it is given to 32 channels for the processor's tiles: of one channel, three
neighbours along z side by side are three, and leave a third of the products.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional as F

AT_ONCE = 16  # numbers a processor with bf16 takes at once


class FlatNorm(nn.Module):
    """An instance norm over voxels in a line."""

    def __init__(self, norm: nn.InstanceNorm3d) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(1, features, z, y, x) of the same."""
        norm = self.norm
        line = F.instance_norm(maps.flatten(2), weight=norm.weight, bias=norm.bias, eps=norm.eps)
        return line.view(maps.shape)


class StackedConvolution(nn.Module):
    """A convolution of one channel with a kernel of three voxels along z, as one of three channels."""

    def __init__(self, convolution: nn.Conv3d) -> None:
        super().__init__()
        self._weight = convolution.weight.detach().transpose(1, 2)  # (features, 3, 1, y, x)
        self._bias, self._stride = convolution.bias, (1, *convolution.stride[1:])
        self._padding, self._dilation = (0, *convolution.padding[1:]), (1, *convolution.dilation[1:])

    def forward(self, voxels: torch.Tensor) -> torch.Tensor:
        """(1, features, z, y, x) of (1, 1, z, y, x)."""
        depth, *plane = voxels.shape[2:]
        padded = F.pad(voxels, (0, 0, 0, 0, 1, 1))
        # in lines, which OpenVINO puts behind each other as they are
        neighbours = torch.cat([padded.narrow(2, shift, depth).reshape(1, 1, -1) for shift in range(3)], dim=1)
        stacked = neighbours.view(1, 3, depth, *plane)
        return F.conv3d(stacked, self._weight, self._bias, self._stride, self._padding, self._dilation)


@contextmanager
def fast_in_bf16(asked: nn.Module) -> Iterator[None]:
    """A module's layers are in those operations inside; afterwards it is as it was.

    Parameters
    ----------
    asked
        In evaluation mode.
    """
    made: dict[nn.Module, nn.Module] = {}
    replaced: list[tuple[nn.Module, str, nn.Module]] = []
    for parent in list(asked.modules()):
        for name, child in parent.named_children():  # MONAI's networks hold a layer under several names
            faster = made.get(child) or _faster(child)
            if faster is not None:
                made[child] = faster
                replaced.append((parent, name, child))
    try:
        for parent, name, child in replaced:
            setattr(parent, name, made[child])
        yield
    finally:
        for parent, name, child in replaced:
            setattr(parent, name, child)


def _faster(module: nn.Module) -> nn.Module | None:
    if isinstance(module, nn.InstanceNorm3d):
        few = module.num_features < AT_ONCE and not module.track_running_stats
        return FlatNorm(module) if few else None
    if not isinstance(module, nn.Conv3d) or module.in_channels > 1 or module.padding_mode != "zeros":
        return None
    along_z = (module.kernel_size[0], module.stride[0], module.dilation[0], module.padding[0])
    return StackedConvolution(module) if along_z == (3, 1, 1, 1) else None
