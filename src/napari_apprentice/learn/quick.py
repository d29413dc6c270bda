"""The same network, arranged so that a training step is quick on a CPU that computes in float32.

Convolutions of oneDNN, their gradients above all, take about half as long on maps whose features lie beside each
other (channels last) as on the usual ones. PyTorch's instance norm undoes that order with two copies of each map;
the one here keeps it.
"""

from typing import Any, TypeVar

import torch
from torch import nn

from napari_apprentice.learn.device import autocast

LAST = torch.channels_last_3d
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
        kept = [values, weight]
        for i in range(len(values)):
            out[i : i + 1], *moments = torch.native_batch_norm(
                values[i : i + 1], weight, bias, None, None, True, 0.0, eps
            )
            kept += moments
        context.eps = eps
        context.save_for_backward(*kept)
        return out

    @staticmethod
    def backward(context: Any, *slopes: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        values, weight, *moments = context.saved_tensors
        slope = slopes[0].contiguous(memory_format=LAST)
        out, to_weight, to_bias = torch.empty_like(values), torch.zeros_like(weight), torch.zeros_like(weight)
        for i in range(len(values)):
            out[i : i + 1], more_weight, more_bias = torch.ops.aten.native_batch_norm_backward(
                slope[i : i + 1], values[i : i + 1], weight, None, None, moments[2 * i], moments[2 * i + 1],
                True, context.eps, [True, True, True],
            )  # fmt: skip
            to_weight += more_weight
            to_bias += more_bias
        return out, to_weight, to_bias, None


def quicken(module: Net, device: torch.device) -> Net:
    """Arrange a network for training on a device, in place: names, parameters and results stay.

    Only on CPUs without bf16, where it was measured; with bf16 and on GPUs the usual order stays.
    """
    if device.type != "cpu" or _half(device) or any(p.dim() == 4 for p in module.parameters()):  # 2D has another order
        return module
    _replace_norms(module)
    return module.to(memory_format=LAST)  # type: ignore[call-overload, no-any-return]


def _half(device: torch.device) -> bool:
    with autocast(device):
        return torch.is_autocast_enabled(device.type)


def _replace_norms(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.InstanceNorm3d) and child.affine and not child.track_running_stats:
            setattr(module, name, InstanceNorm(child))
        else:
            _replace_norms(child)
