"""nnU-Net's two U-Nets, written anew with the names of their parameters, so that its checkpoints load as they are.

After dynamic-network-architectures 0.4 (PlainConvUNet, ResidualEncoderUNet), which holds every convolution under
several names; here each has one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from napari_apprentice.core.architecture import NnUNet

Sizes = tuple[int, ...]
Makers = Mapping[int, Callable[..., nn.Module]]
_CONVOLUTIONS: Makers = {2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: Makers = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_POOLS: Makers = {2: nn.AvgPool2d, 3: nn.AvgPool3d}
_DROPOUTS: Makers = {2: nn.Dropout2d, 3: nn.Dropout3d}
_INSTANCE_NORMS: Makers = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
_BATCH_NORMS: Makers = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


@dataclass(frozen=True)
class Shape:
    """What the plan says of the network, in the order of the network's own axes (two of them in 2D)."""

    inputs: int
    rows: int
    features: Sizes
    kernels: tuple[Sizes, ...]
    strides: tuple[Sizes, ...]


class ConvBlock(nn.Module):
    """Convolution, dropout, norm, activation."""

    def __init__(
        self, how: NnUNet, inputs: int, outputs: int, kernel: Sizes, stride: Sizes,
        *, bias: bool, active: bool = True, dropout: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        padding = tuple((k - 1) // 2 for k in kernel)
        self.conv = _CONVOLUTIONS[how.dimensions](inputs, outputs, kernel, stride, padding, bias=bias)
        self.dropout = _DROPOUTS[how.dimensions](how.dropout) if dropout and how.dropout else nn.Identity()
        self.norm = _norm(how, outputs)
        self.nonlin = _activation(how) if active else nn.Identity()
        self._activation_first = how.activation_first

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Features of one stage."""
        values = self.dropout(self.conv(values))
        found: torch.Tensor = (
            self.norm(self.nonlin(values)) if self._activation_first else self.nonlin(self.norm(values))
        )
        return found


class Stack(nn.Module):
    """Several convolutions; only the first has a stride."""

    def __init__(self, how: NnUNet, count: int, inputs: int, outputs: int, kernel: Sizes, stride: Sizes) -> None:
        super().__init__()
        one = (1,) * how.dimensions
        self.convs = nn.Sequential(
            ConvBlock(how, inputs, outputs, kernel, stride, bias=how.bias),
            *(ConvBlock(how, outputs, outputs, kernel, one, bias=how.bias) for _ in range(count - 1)),
        )

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Features of one stage."""
        found: torch.Tensor = self.convs(values)
        return found


class ResidualBlock(nn.Module):
    """Two convolutions beside an average pooling and a projection (ResNet-D, He et al., CVPR 2019)."""

    def __init__(self, how: NnUNet, inputs: int, outputs: int, kernel: Sizes, stride: Sizes) -> None:
        super().__init__()
        one = (1,) * how.dimensions
        self.conv1 = ConvBlock(how, inputs, outputs, kernel, stride, bias=how.bias)
        self.conv2 = ConvBlock(how, outputs, outputs, kernel, one, bias=how.bias, active=False, dropout=False)
        self.nonlin2 = _activation(how)
        beside: list[nn.Module] = []
        if stride != one:
            beside.append(_POOLS[how.dimensions](stride, stride))
        if inputs != outputs:
            beside.append(ConvBlock(how, inputs, outputs, one, one, bias=False, active=False, dropout=False))
        self.skip = nn.Sequential(*beside)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Features of one stage."""
        found: torch.Tensor = self.nonlin2(self.conv2(self.conv1(values)) + self.skip(values))
        return found


class ResidualStack(nn.Module):
    """Several residual blocks; only the first has a stride."""

    def __init__(self, how: NnUNet, count: int, inputs: int, outputs: int, kernel: Sizes, stride: Sizes) -> None:
        super().__init__()
        one = (1,) * how.dimensions
        self.blocks = nn.Sequential(
            ResidualBlock(how, inputs, outputs, kernel, stride),
            *(ResidualBlock(how, outputs, outputs, kernel, one) for _ in range(count - 1)),
        )

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Features of one stage."""
        found: torch.Tensor = self.blocks(values)
        return found


class Encoder(nn.Module):
    """The way down."""

    def __init__(self, how: NnUNet, shape: Shape) -> None:
        super().__init__()
        inputs = shape.inputs
        if how.residual:
            stem = how.stem or shape.features[0]
            self.stem = Stack(how, 1, inputs, stem, shape.kernels[0], (1,) * how.dimensions)
            inputs = stem
        stages: list[nn.Module] = []
        for count, features, kernel, stride in zip(
            how.blocks, shape.features, shape.kernels, shape.strides, strict=True
        ):
            if how.residual:
                stages.append(ResidualStack(how, count, inputs, features, kernel, stride))
            else:
                stages.append(nn.Sequential(Stack(how, count, inputs, features, kernel, stride)))
            inputs = features
        self.stages = nn.Sequential(*stages)
        self._residual = how.residual

    def forward(self, values: torch.Tensor) -> list[torch.Tensor]:
        """Features of every stage, the first stage first."""
        found = []
        values = self.stem(values) if self._residual else values
        for stage in self.stages:
            values = stage(values)
            found.append(values)
        return found


class Decoder(nn.Module):
    """The way up, with logits at every stage."""

    def __init__(self, how: NnUNet, shape: Shape) -> None:
        super().__init__()
        one = (1,) * how.dimensions
        stages, up, heads = [], [], []
        for below in range(len(shape.features) - 1, 0, -1):
            features, stride = shape.features[below - 1], shape.strides[below]
            transposed = _TRANSPOSED[how.dimensions]
            up.append(transposed(shape.features[below], features, stride, stride, bias=how.bias))
            count = how.decoder[len(shape.features) - 1 - below]
            stages.append(Stack(how, count, 2 * features, features, shape.kernels[below - 1], one))
            heads.append(_CONVOLUTIONS[how.dimensions](features, shape.rows, one))
        self.stages, self.transpconvs = nn.ModuleList(stages), nn.ModuleList(up)
        self.seg_layers = nn.ModuleList(heads)

    def forward(self, skips: Sequence[torch.Tensor], maps: int) -> list[torch.Tensor]:
        """Logits of the last `maps` stages, the largest first."""
        found = [
            head(values)
            for i, (head, values) in enumerate(zip(self.seg_layers, self.features(skips), strict=True))
            if i >= len(self.stages) - maps
        ]
        return found[::-1]

    def features(self, skips: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
        """What the heads see, the lowest stage first."""
        values = skips[-1]
        for i, (up, stage) in enumerate(zip(self.transpconvs, self.stages, strict=True)):
            values = stage(torch.cat((up(values), skips[-2 - i]), 1))
            yield values


class NnUNetNet(nn.Module):
    """Encoder and decoder; logits of the `maps` largest stages, the largest first."""

    def __init__(self, how: NnUNet, shape: Shape) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(how, shape), Decoder(how, shape)

    def forward(self, voxels: torch.Tensor, maps: int = 1) -> list[torch.Tensor]:
        """(b, rows, ...) each."""
        found: list[torch.Tensor] = self.decoder(self.encoder(voxels), maps)
        return found

    def features(self, voxels: torch.Tensor) -> torch.Tensor:
        """What the head of the highest stage sees."""
        for values in self.decoder.features(self.encoder(voxels)):
            highest = values
        return highest


def _norm(how: NnUNet, features: int) -> nn.Module:
    if how.norm == "none":
        return nn.Identity()
    kinds = _INSTANCE_NORMS if how.norm == "instance" else _BATCH_NORMS
    return kinds[how.dimensions](features, eps=how.eps, affine=how.affine)


def _activation(how: NnUNet) -> nn.Module:
    return nn.LeakyReLU(how.slope, inplace=True) if how.slope else nn.ReLU(inplace=True)
