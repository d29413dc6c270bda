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
# In bf16 features that lie last pay where they fill registers (10 of them were slower). The norm's kernel takes 16.
HALF_REGISTER, REGISTER = 8, 16
Net = TypeVar("Net", bound=nn.Module)


class InstanceNorm(nn.Module):
    """Instance norm of (b, c, z, y, x) with features last in memory; parameters are those of the one it replaces.

    Parameters
    ----------
    fold
        Neighbours along x whose features are normed beside each other, to fill the processor's registers.
    """

    def __init__(self, like: nn.InstanceNorm3d, fold: int = 1) -> None:
        super().__init__()
        self.weight, self.bias, self.eps, self._fold = like.weight, like.bias, like.eps, fold

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        if values.shape[-1] % self._fold:
            return nn.functional.instance_norm(values, weight=self.weight, bias=self.bias, eps=self.eps)
        how = (self.eps,) if self._fold == 1 else (self.eps, self._fold)
        kind = _Normed if self._fold == 1 else _NormedBeside
        normed: torch.Tensor = kind.apply(values, self.weight, self.bias, *how)  # type: ignore[no-untyped-call]
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


class _NormedBeside(torch.autograd.Function):
    """The same where features are too few to fill a register: neighbours along x are taken for one voxel.

    The kernel gives sums for each of the neighbours; they are added up here, and what follows is one scale and one
    shift per feature again, for which the kernel is called as for a batch norm with fixed statistics.
    """

    @staticmethod
    def forward(
        context: Any, values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float, fold: int
    ) -> torch.Tensor:
        values = values.contiguous(memory_format=LAST)
        out = torch.empty_like(values)
        means, deviations = weight.new_empty(2, *values.shape[:2])
        for i, (patch, to) in enumerate(zip(_beside(values, fold), _beside(out, fold), strict=True)):
            # without float32 statistics to update (by nothing) it gives those of bf16 maps in bf16
            running = weight.new_zeros(2, patch.shape[1])
            sums = torch.batch_norm_update_stats(patch, running[0], running[1], 0.0)
            mean, variance = (s.view(fold, -1) for s in sums)
            means[i] = mean.mean(0)
            deviations[i] = (variance.mean(0) + mean.var(0, correction=0) + eps).rsqrt()
            scale = weight * deviations[i]
            _scaled(patch, scale, bias - means[i] * scale, to)
        context.fold = fold
        context.save_for_backward(values, weight, means, deviations)
        return out

    @staticmethod
    def backward(context: Any, *slopes: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        values, weight, means, deviations = context.saved_tensors
        fold, voxels = context.fold, values[0, 0].numel()
        slope = slopes[0].contiguous(memory_format=LAST)
        out, to_weight, to_bias = torch.empty_like(values), torch.empty_like(means), torch.empty_like(means)
        patches = zip(*(_beside(maps, fold) for maps in (values, slope, out)), strict=True)
        for i, (patch, above, to) in enumerate(patches):
            mean, deviation = means[i].repeat(fold), deviations[i].repeat(fold)
            sums = torch.ops.aten.native_batch_norm_backward(
                above, patch, None, None, None, mean, deviation, True, 0.0, [False, True, True]
            )[1:]
            to_weight[i], to_bias[i] = (s.view(fold, -1).sum(0) for s in sums)
            # weight * deviation * (slope - its mean - normed value * mean of their product), as scales and a shift
            scale = weight * deviations[i]
            along = -scale * deviations[i] * to_weight[i] / voxels
            _scaled(above, scale, -scale * to_bias[i] / voxels - along * means[i], to)
            to += _scaled(patch, along, torch.zeros_like(along), torch.empty_like(to))
        return out, to_weight.sum(0), to_bias.sum(0), None, None


def _beside(maps: torch.Tensor, fold: int) -> list[torch.Tensor]:
    """Views (1, c * fold, z, y, x / fold) of each of (b, c, z, y, x) maps with features last, features last again."""
    batch, features, z, y, x = maps.shape
    lines = maps.permute(0, 2, 3, 4, 1).view(batch, z, y, x // fold, features * fold)
    return list(torch.split(lines.permute(0, 4, 1, 2, 3), 1))


def _scaled(maps: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """Into `out`: maps * scale + shift, by feature; rounded once in bf16."""
    fold, unused = maps.shape[1] // len(scale), [scale.new_empty(0) for _ in range(2)]
    zero = scale.new_zeros(maps.shape[1])
    torch.ops.aten.native_batch_norm.out(
        maps, scale.repeat(fold), shift.repeat(fold), zero, zero + 1, False, 0.0, 0.0,
        out=out, save_mean=unused[0], save_invstd=unused[1],
    )  # fmt: skip
    return out


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
            elif REGISTER % child.num_features == 0:
                setattr(module, name, InstanceNorm(child, REGISTER // child.num_features))
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
