"""The network a plan asks for: a U-Net after nnU-Net, from MONAI's DynUNet."""

import torch
from monai.networks.nets.dynunet import DynUNet
from torch import nn

from napari_apprentice.core.plan import Plan


class Network(nn.Module):
    """DynUNet that gives its deep-supervision maps at their own size.

    In training mode `forward` returns logits from full size downwards, a list of
    (b, 1 + labels, z, y, x); in evaluation mode the full-size logits alone. DynUNet itself enlarges
    every map to full size, which costs more than the heads are worth.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.net = DynUNet(
            spatial_dims=3,  # a 2D plan is a 3D one with kernels and strides of 1 along z
            in_channels=len(plan.normalisation),
            out_channels=1 + len(plan.labels),
            kernel_size=plan.kernels,
            strides=plan.strides,
            upsample_kernel_size=plan.strides[1:],
            filters=plan.features,
            deep_supervision=True,
            deep_supr_num=min(3, len(plan.strides) - 2),
        )

    def forward(self, voxels: torch.Tensor) -> list[torch.Tensor]:
        """Logits of normalised voxels (b, c, z, y, x), largest map first; one map when evaluating."""
        full = self.net.output_block(self.net.skip_layers(voxels))
        lower = list(self.net.heads) if self.training else []
        self.net.heads[:] = [torch.empty(0)] * len(self.net.heads)  # do not keep the graph alive
        return [full, *lower]


def build(plan: Plan) -> Network:
    """A freshly initialised network for a plan; row 0 is background, row i the plan's label i - 1."""
    return Network(plan)
