"""The same network, arranged so that a training step is quick on a CPU.

Convolutions of oneDNN, their gradients above all, take about half as long on maps whose features lie beside each
other (channels last) as on the usual ones. PyTorch's instance norm undoes that order with two copies of each map;
the one here keeps it. For the gradient of the weights in float32 oneDNN has a kernel of its own for AVX2, which it
takes only where no slice is padded before the first one and behind the last; else it unfolds the map for a matrix
product. So the slices are added here, where that was measured to pay.
"""

from typing import Any, TypeGuard, TypeVar

import torch
from torch import nn

from napari_apprentice.learn.device import autocast

LAST = torch.channels_last_3d
# Up to so many features, or on maps of so few numbers (features times voxels of a patch), the kernel was 1.1 to 2
# times as fast; else it was up to 1.7 times slower. See docs/design.
FEW_FEATURES = 20
SMALL_MAP = 2**16
FEWEST = 3  # features the kernel is quick with; a scan has one
# In bf16 features that lie last pay where they fill registers (10 of them were slower), and so does the norm of 16.
HALF_REGISTER, REGISTER = 8, 16
Net = TypeVar("Net", bound=nn.Module)


class InstanceNorm(nn.Module):
    """Instance norm of (b, c, z, y, x) with features last in memory; parameters are those of the one it replaces."""

    def __init__(self, like: nn.InstanceNorm3d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = like.weight, like.bias, like.eps

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        normed: torch.Tensor = _Normed.apply(values, self.weight, self.bias, self.eps)  # type: ignore[no-untyped-call]
        return normed


class _Normed(torch.autograd.Function):
    """Each patch is a batch norm of its own, the kernel of which knows features that lie last."""

    @staticmethod
    def forward(
        context: Any, values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float
    ) -> torch.Tensor:
        values = values.contiguous(memory_format=LAST)
        out = torch.empty_like(values)
        means, deviations = weight.new_empty(2, *values.shape[:2])  # the latter inverted; float32 beside bf16 too
        for i in range(len(values)):
            torch.ops.aten.native_batch_norm.out(
                values[i : i + 1], weight, bias, None, None, True, 0.0, eps,
                out=out[i : i + 1], save_mean=means[i], save_invstd=deviations[i],
            )  # fmt: skip
        context.eps = eps
        context.save_for_backward(values, weight, means, deviations)
        return out

    @staticmethod
    def backward(context: Any, *slopes: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        values, weight, means, deviations = context.saved_tensors
        slope = slopes[0].contiguous(memory_format=LAST)
        out, to_weight, to_bias = torch.empty_like(values), torch.empty_like(means), torch.empty_like(means)
        for i in range(len(values)):
            torch.ops.aten.native_batch_norm_backward.out(
                slope[i : i + 1], values[i : i + 1], weight, None, None, means[i], deviations[i],
                True, context.eps, [True, True, True], out0=out[i : i + 1], out1=to_weight[i], out2=to_bias[i],
            )  # fmt: skip
        return out, to_weight.sum(0), to_bias.sum(0), None


class Convolution(nn.Module):
    """A 3D convolution that pads with slices of zeros; parameters are those of the one it replaces."""

    def __init__(self, like: nn.Conv3d) -> None:
        super().__init__()
        self.weight, self.bias = like.weight, like.bias
        assert not isinstance(like.padding, str)  # see `_pads_slices`
        self._steps = like.stride, like.padding, like.dilation

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """As the one it replaces."""
        found: torch.Tensor = _Convolved.apply(values, self.weight, self.bias, *self._steps)  # type: ignore[no-untyped-call]
        return found


class _Convolved(torch.autograd.Function):
    """Forward and the gradient of the input are PyTorch's; the gradient of the weights is of a map that is padded."""

    @staticmethod
    def forward(
        context: Any, values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, *steps: tuple[int, ...]
    ) -> torch.Tensor:
        context.steps, context.has_bias = steps, bias is not None
        context.save_for_backward(values, weight)
        stride, padding, dilation = steps
        return torch.conv3d(values, weight, bias, stride, padding, dilation)

    @staticmethod
    def backward(context: Any, *slopes: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        values, weight = context.saved_tensors
        stride, padding, dilation = context.steps
        to_values = None
        if context.needs_input_grad[0]:
            to_values = _slope(slopes[0], values, weight, (stride, padding, dilation), (True, False, False))[0]
        wide = values
        if values.shape[1] <= FEW_FEATURES or values[0].numel() <= SMALL_MAP:
            wide, padding = _padded(values, padding[0]), (0, *padding[1:])
        like = weight.new_empty(len(weight), wide.shape[1], *weight.shape[2:])
        wanted = (False, context.needs_input_grad[1], context.has_bias and context.needs_input_grad[2])
        _, to_weight, to_bias = _slope(slopes[0], wide, like, (stride, padding, dilation), wanted)
        if to_weight is not None:
            to_weight = to_weight[:, : values.shape[1]]
        return to_values, to_weight, to_bias, None, None, None


def _padded(values: torch.Tensor, slices: int) -> torch.Tensor:
    """With slices of zeros before and behind, and with features of zeros where there are too few."""
    batch, features, depth, *plane = values.shape
    shape = (batch, max(features, FEWEST), depth + 2 * slices, *plane)
    wide = torch.empty(shape, dtype=values.dtype, device=values.device, memory_format=LAST)
    for rest in (wide[:, :, :slices], wide[:, :, -slices:], wide[:, features:]):
        rest.zero_()
    wide[:, :features, slices:-slices] = values
    return wide


def _slope(
    slope: torch.Tensor, values: torch.Tensor, weight: torch.Tensor, steps: tuple[tuple[int, ...], ...],
    wanted: tuple[bool, bool, bool],
) -> tuple[torch.Tensor | None, ...]:  # fmt: skip
    """Gradients of input, weights and bias, those that are wanted."""
    found: tuple[torch.Tensor | None, ...] = torch.ops.aten.convolution_backward(
        slope, values, weight, [len(weight)], *steps, False, [0, 0, 0], 1, wanted
    )
    return found


def quicken(module: Net, device: torch.device) -> Net:
    """Arrange a network for training on a device, in place: names, parameters and results stay.

    Only on CPUs, where it was measured; on GPUs the usual order stays.
    """
    if device.type != "cpu" or any(p.dim() == 4 for p in module.parameters()):  # 2D has another order
        return module
    half = _half(device)
    if half and any(m.num_features % HALF_REGISTER for m in module.modules() if _is_norm(m)):
        return module
    _replace(module, half)
    return module.to(memory_format=LAST)  # type: ignore[call-overload, no-any-return]


def _half(device: torch.device) -> bool:
    with autocast(device):
        return torch.is_autocast_enabled(device.type)


def _replace(module: nn.Module, half: bool) -> None:
    for name, child in module.named_children():
        if _is_norm(child):
            if not half or child.num_features % REGISTER == 0:
                setattr(module, name, InstanceNorm(child))
        elif not half and isinstance(child, nn.Conv3d) and _pads_slices(child):
            setattr(module, name, Convolution(child))
        else:
            _replace(child, half)


def _is_norm(module: nn.Module) -> TypeGuard[nn.InstanceNorm3d]:
    return isinstance(module, nn.InstanceNorm3d) and module.affine and not module.track_running_stats


def _pads_slices(child: nn.Conv3d) -> bool:
    """Whether it pads with slices of zeros; where it pads none, oneDNN takes its kernel by itself."""
    simple = child.groups == 1 and child.padding_mode == "zeros" and not isinstance(child.padding, str)
    return simple and int(child.padding[0]) > 0
