"""Which network a plan asks for: the program's own, nnU-Net's, or one of MONAI's."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from napari_apprentice.errors import ModelError


@dataclass(frozen=True)
class OwnUNet:
    """MONAI's DynUNet with this program's choices; strides, kernels and features stand in the plan."""


@dataclass(frozen=True)
class NnUNet:
    """PlainConvUNet or ResidualEncoderUNet of nnU-Net v2 (Isensee et al., Nat Methods 18, 2021; MICCAI 2024).

    Strides, kernels and features stand in the plan.

    Parameters
    ----------
    dimensions
        2 or 3: of its convolutions. In 2D every slice along the first axis of its orientation is a picture.
    residual
        Residual blocks in the encoder.
    blocks, decoder
        Convolutions (or residual blocks) per stage of the encoder, and convolutions per stage of the decoder,
        the lowest first.
    bias
        Whether convolutions have one.
    norm
        "instance", "batch" or "none".
    affine, eps
        Of the norm.
    slope
        Of LeakyReLU below zero; 0 is ReLU.
    dropout
        Chance to drop a feature map while training.
    activation_first
        Before the norm instead of after it.
    stem
        Features of the first convolution of a residual encoder; 0 for those of the first stage.
    """

    dimensions: int
    residual: bool
    blocks: tuple[int, ...]
    decoder: tuple[int, ...]
    bias: bool = True
    norm: str = "instance"
    affine: bool = True
    eps: float = 1e-5
    slope: float = 0.01
    dropout: float = 0.0
    activation_first: bool = False
    stem: int = 0

    def __post_init__(self) -> None:
        if self.dimensions not in (2, 3) or self.norm not in ("instance", "batch", "none"):
            raise ModelError(
                f"A network of {self.dimensions} dimensions with {self.norm!r} norms cannot be built here."
            )


@dataclass(frozen=True)
class MonaiNetwork:
    """A network of `monai.networks.nets`.

    Parameters
    ----------
    name
        Of its class.
    arguments
        What it is called with; JSON values.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


Architecture = OwnUNet | NnUNet | MonaiNetwork
_KINDS: Mapping[str, type[OwnUNet] | type[NnUNet] | type[MonaiNetwork]] = {
    "own": OwnUNet, "nnunet": NnUNet, "monai": MonaiNetwork,
}  # fmt: skip


def to_json(architecture: Architecture) -> dict[str, Any]:
    """As JSON values."""
    kind = next(k for k, known in _KINDS.items() if isinstance(architecture, known))
    return {"kind": kind, **asdict(architecture)}


def from_json(data: Mapping[str, Any]) -> Architecture:
    """Read what `to_json` wrote.

    Raises
    ------
    ModelError
        It is of a kind that this version does not know.
    """
    known = _KINDS.get(str(data["kind"]))
    if known is None:
        raise ModelError(f"This version of the program knows no network of the kind {data['kind']!r}.")
    # JSON has no tuples; a MonaiNetwork's arguments are a mapping and stay as they are
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k != "kind"}
    return known(**given)
