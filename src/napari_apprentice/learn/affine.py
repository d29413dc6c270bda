"""Batch normalisation with fixed statistics, as one scale and one shift per feature map."""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class Affine(nn.Module):
    """x * weight + bias along axis 1.

    A fine-tune sees two patches at a time: too few to measure the statistics of a batch norm again. Those it was
    trained with stay, and what it does then is this.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        shape = [1, -1] + [1] * (values.ndim - 2)
        return values * self.weight.view(shape) + self.bias.view(shape)


def fold_batch_norms(module: nn.Module) -> nn.Module:
    """Replace every batch norm in a module, in place, by what it does in evaluation mode."""
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm):
            setattr(module, name, _folded(child))
        else:
            fold_batch_norms(child)
    return module


@torch.no_grad()
def _folded(norm: _BatchNorm) -> nn.Module:
    if norm.running_mean is None or norm.running_var is None:
        return norm  # it always measures: nothing is stored, and nothing to fold
    scale = (norm.running_var + norm.eps).rsqrt()
    scale = scale if norm.weight is None else norm.weight * scale
    shift = -norm.running_mean * scale
    return Affine(scale, shift if norm.bias is None else norm.bias + shift)
