"""What a training run has made, and what the gate found out about it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from napari_apprentice.core.gate import GateReport
from napari_apprentice.core.plan import Plan
from napari_apprentice.core.plane import Plane
from napari_apprentice.core.postprocess import PostRecipe
from napari_apprentice.core.records import Example, ModelVersion
from napari_apprentice.core.shares import ShareScore


@dataclass(frozen=True, eq=False)
class Candidate:
    """What a training run has made.

    Parameters
    ----------
    base, start
        The model version it was tuned from, and the weights that training began with; None for a first one.
    fitted
        The trained weights (safetensors), of a network as `plan` says.
    examples, held_out
        What it was taught, and what it was not.
    channels
        Names of the channels in the order in which it reads them.
    dice
        What it had on held-out corrections after its last step; None where that was not measured.
    """

    base: ModelVersion | None
    start: Path | None
    plan: Plan
    fitted: Path
    examples: Sequence[Example]
    held_out: Sequence[Example]
    channels: tuple[str, ...] = ()
    dice: float | None = None


@dataclass(frozen=True, eq=False)
class Verdict:
    """What came of the gate.

    Parameters
    ----------
    report
        None for a first model version that becomes active: there is nothing to compare it with.
    weights, share
        Those it is about, and the share of the change in them.
    tried
        How other shares did, where they were tried.
    measured
        The held-out examples that it was fair to measure on.
    planes
        One slice of each of them.
    recipe
        The steps that predictions went through before they were measured.
    """

    report: GateReport | None
    weights: Path
    measured: tuple[Example, ...]
    share: float = 1.0
    tried: tuple[ShareScore, ...] = ()
    planes: tuple[Plane, ...] = ()
    recipe: PostRecipe = field(default_factory=PostRecipe)
