"""The networks of MONAI that can be built, by name; nothing else of a configuration is ever called."""

import inspect
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from monai.networks.nets.attentionunet import AttentionUnet
from monai.networks.nets.basic_unet import BasicUNet
from monai.networks.nets.dynunet import DynUNet
from monai.networks.nets.segresnet import SegResNet
from monai.networks.nets.segresnet_ds import SegResNetDS
from monai.networks.nets.swin_unetr import SwinUNETR
from monai.networks.nets.unet import UNet
from monai.networks.nets.unetr import UNETR
from monai.networks.nets.vnet import VNet
from torch import nn

from napari_apprentice.core.architecture import MonaiNetwork
from napari_apprentice.errors import ModelError

_NETS: Mapping[str, type[nn.Module]] = {
    net.__name__: net
    for net in (AttentionUnet, BasicUNet, DynUNet, SegResNet, SegResNetDS, SwinUNETR, UNet, UNETR, VNet)
}
NAMES = tuple(sorted(_NETS))
_NEED_EINOPS = ("SwinUNETR", "UNETR")


def build_monai(how: MonaiNetwork) -> nn.Module:
    """Make a network.

    Raises
    ------
    ModelError
        It is not one of `NAMES`, needs a package that is not installed, or MONAI refuses what it is called with.
    """
    known = _NETS.get(how.name)
    if known is None:
        raise ModelError(f"The network {how.name!r} is not known here; these are: {', '.join(NAMES)}.")
    if how.name in _NEED_EINOPS and find_spec("einops") is None:
        raise ModelError(f"MONAI's {how.name} needs the package einops, which is not installed: pip install einops")
    strange = sorted(set(how.arguments) - set(inspect.signature(known).parameters))
    if strange:
        raise ModelError(
            f"MONAI's {how.name} takes no {', '.join(strange)}: the model was made with another version of MONAI."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of deprecated arguments, which a model made years ago may have
            return known(**_tuples(how.arguments))
    except Exception as error:  # whatever its constructor trips over
        raise ModelError(f"MONAI cannot build the network {how.name} as it is described: {error}") from error


def _tuples(value: Any) -> Any:
    """MONAI tells a sequence from a name with arguments by its type: ("instance", {"affine": true})."""
    if isinstance(value, Mapping):
        return {str(k): _tuples(v) for k, v in value.items()}
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value
