"""The network a plan asks for, and one way of asking all of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from monai.networks.nets.dynunet import DynUNet
from torch import nn

from napari_apprentice.core.architecture import MonaiNetwork, NnUNet, OwnUNet
from napari_apprentice.core.orientation import view
from napari_apprentice.core.plan import Plan, Triple
from napari_apprentice.learn.affine import fold_batch_norms
from napari_apprentice.learn.monai_nets import build_monai
from napari_apprentice.learn.nnunet import NnUNetNet, Shape

MOST_LOWER_MAPS = 3  # deep supervision: lower maps that are taught beside the full one


class Network(nn.Module, ABC):
    """A network that sees patches (z, y, x) as cases have them, whatever the order of its own axes.

    In training mode `forward` returns logits from full size downwards, a list of
    (b, 1 + labels, z, y, x), as many as the network has; in evaluation mode the full-size logits alone.

    Attributes
    ----------
    net
        The network itself; it sees axes in the plan's orientation.
    labels
        How many output rows there are beside background.
    """

    def __init__(self, plan: Plan, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.labels = len(plan.labels)
        axes, flips = view(plan.orientation)
        self._there = (0, 1, *(2 + a for a in axes))
        self._home = (0, 1, *(2 + axes.index(a) for a in range(3)))
        self._flips = tuple(2 + a for a in flips)

    def forward(self, voxels: torch.Tensor) -> list[torch.Tensor]:
        """Logits of normalised voxels (b, c, z, y, x), largest map first; one map when evaluating."""
        seen = self._seen(voxels)
        maps = self._maps(seen) if self.training else [self._full(seen)]
        return [self._as_cases(m) for m in maps]

    def full(self, voxels: torch.Tensor) -> torch.Tensor:
        """(b, 1 + labels, z, y, x) logits at full size, in either mode."""
        return self._as_cases(self._full(self._seen(voxels)))

    def features(self, voxels: torch.Tensor) -> torch.Tensor:
        """(b, features, z, y, x): what the layer `last` makes the full-size logits of."""
        return self._as_cases(self._before_last(self._seen(voxels)))

    @property
    def last(self) -> nn.Conv2d | nn.Conv3d | None:
        """The layer that gives the full-size logits, where it looks at one voxel at a time and nothing follows."""
        return None

    def least_patch(self, plan: Plan) -> Triple:
        """(z, y, x) of a patch in which it does all that it does in any other: a small one where it only convolves."""
        return plan.patch

    @property
    @abstractmethod
    def heads(self) -> tuple[str, ...]:
        """Names of the layers whose outputs are logits, so that output row i is row i of their weights.

        Empty where no layer is: then rows cannot be added or taken away.
        """

    @abstractmethod
    def _full(self, seen: torch.Tensor) -> torch.Tensor:
        """Logits at full size."""

    @abstractmethod
    def _maps(self, seen: torch.Tensor) -> list[torch.Tensor]:
        """Logits to teach, the largest map first."""

    def _before_last(self, seen: torch.Tensor) -> torch.Tensor:
        """What `last` sees, where there is one."""
        raise NotImplementedError

    def _seen(self, voxels: torch.Tensor) -> torch.Tensor:
        if self._flips:
            voxels = voxels.flip(self._flips)
        return voxels if self._there == (0, 1, 2, 3, 4) else voxels.permute(self._there)

    def _as_cases(self, logits: torch.Tensor) -> torch.Tensor:
        if self._home != (0, 1, 2, 3, 4):
            logits = logits.permute(self._home)
        return logits.flip(self._flips) if self._flips else logits


class DynUNetwork(Network):
    """MONAI's DynUNet, giving its deep-supervision maps at their own size.

    DynUNet itself enlarges every map to full size, which costs more than the heads are worth.
    """

    net: DynUNet

    @property
    def heads(self) -> tuple[str, ...]:
        """The last convolution, and those of deep supervision."""
        lower = range(len(self.net.deep_supervision_heads)) if self.net.deep_supervision else ()
        return ("net.output_block.conv.conv", *(f"net.deep_supervision_heads.{i}.conv.conv" for i in lower))

    def least_patch(self, plan: Plan) -> Triple:
        """Two voxels wide at the bottom, where the patch is: a norm needs more than one."""
        if not isinstance(plan.architecture, OwnUNet):  # only of our own does the plan say how it shrinks
            return plan.patch
        z, y, x = (min(p, 2 * int(s)) for p, s in zip(plan.patch, np.prod(plan.strides, axis=0), strict=True))
        return z, y, x

    @property
    def last(self) -> nn.Conv3d:
        """Its output block."""
        layer: nn.Conv3d = self.net.output_block.conv.conv
        return layer

    def _full(self, seen: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.net.output_block(self.net.skip_layers(seen))
        return logits

    def _before_last(self, seen: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.net.skip_layers(seen)
        return features

    def _maps(self, seen: torch.Tensor) -> list[torch.Tensor]:
        full = self._full(seen)
        if not self.net.deep_supervision:
            return [full]
        lower = list(self.net.heads)
        self.net.heads[:] = [torch.empty(0)] * len(self.net.heads)  # do not keep the graph alive
        return [full, *lower]


class NnUNetwork(Network):
    """One of nnU-Net's; a 2D one sees every slice by itself."""

    net: NnUNetNet

    def __init__(self, plan: Plan, net: NnUNetNet, how: NnUNet) -> None:
        super().__init__(plan, net)
        self._flat, self._normed = how.dimensions == 2, how.norm != "none"
        # nnU-Net gives the lowest map no weight while it trains
        self._taught = 1 + min(MOST_LOWER_MAPS, max(0, len(plan.strides) - 3))

    @property
    def heads(self) -> tuple[str, ...]:
        """The last convolution, and those of deep supervision; the full size is the last."""
        return tuple(f"net.decoder.seg_layers.{i}" for i in range(len(self.net.decoder.seg_layers)))

    @property
    def last(self) -> nn.Conv2d | nn.Conv3d | None:
        """The head of the highest stage; None without norms, where its features have no bounds to be rounded in."""
        if not self._normed:
            return None
        layer = self.net.decoder.seg_layers[-1]
        assert isinstance(layer, nn.Conv2d | nn.Conv3d)  # for the type checker
        return layer

    def _full(self, seen: torch.Tensor) -> torch.Tensor:
        return self._ask(seen, 1)[0]

    def _maps(self, seen: torch.Tensor) -> list[torch.Tensor]:
        return self._ask(seen, self._taught)

    def _ask(self, seen: torch.Tensor, maps: int) -> list[torch.Tensor]:
        return self._by_slices(seen, lambda voxels: self.net(voxels, maps))

    def _before_last(self, seen: torch.Tensor) -> torch.Tensor:
        return self._by_slices(seen, lambda voxels: [self.net.features(voxels)])[0]

    def _by_slices(self, seen: torch.Tensor, net: Callable[[torch.Tensor], list[torch.Tensor]]) -> list[torch.Tensor]:
        """What `net` gives of a volume, or of its slices where it is a 2D one."""
        if not self._flat:
            return net(seen)
        b, c, slices, *plane = seen.shape
        pictures = seen.transpose(1, 2).reshape(b * slices, c, *plane)
        return [m.view(b, slices, *m.shape[1:]).transpose(1, 2) for m in net(pictures)]


class PlainNetwork(Network):
    """Any other network of MONAI."""

    @property
    def heads(self) -> tuple[str, ...]:
        """Unknown."""
        return ()

    def _full(self, seen: torch.Tensor) -> torch.Tensor:
        return self._maps(seen)[0]

    def _maps(self, seen: torch.Tensor) -> list[torch.Tensor]:
        found = self.net(seen)
        return list(found) if isinstance(found, list | tuple) else [found]


def build(plan: Plan) -> Network:
    """A freshly initialised network for a plan; row 0 is background, row i the plan's label i - 1.

    Raises
    ------
    ModelError
        A network from elsewhere cannot be built here.
    """
    return around(plan, bare(plan))


def bare(plan: Plan) -> nn.Module:
    """The network itself, its parameters named as in the library it is from."""
    how = plan.architecture
    if isinstance(how, MonaiNetwork):
        return build_monai(how)
    if isinstance(how, NnUNet):
        return NnUNetNet(how, _shape(plan, how))
    return DynUNet(
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


def around(plan: Plan, net: nn.Module) -> Network:
    """A network as all of them are asked; statistics of batch norms become fixed."""
    net = fold_batch_norms(net)
    if isinstance(net, DynUNet):
        return DynUNetwork(plan, net)
    if isinstance(net, NnUNetNet) and isinstance(plan.architecture, NnUNet):
        return NnUNetwork(plan, net, plan.architecture)
    return PlainNetwork(plan, net)


def _shape(plan: Plan, how: NnUNet) -> Shape:
    axes, _ = view(plan.orientation)

    def own(sizes: Triple) -> tuple[int, ...]:
        return tuple(sizes[a] for a in axes[3 - how.dimensions :])

    return Shape(
        len(plan.normalisation), 1 + len(plan.labels), plan.features,
        tuple(own(k) for k in plan.kernels), tuple(own(s) for s in plan.strides),
    )  # fmt: skip
