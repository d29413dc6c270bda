"""Window presets: which grey values are shown, by what a channel is."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_SAMPLES = 200_000
GREY, INVERTED = "gray", "gray_r"  # napari's names


@dataclass(frozen=True)
class Preset:
    """From where to where values are shown from black to white.

    Parameters
    ----------
    low, high
        Values of the scan (HU, SUV ...), or percentiles of its voxels.
    percentiles
        Which of the two.
    colormap
        napari's name.
    """

    name: str
    low: float
    high: float
    percentiles: bool = False
    colormap: str = GREY


AUTOMATIC = Preset("Automatic", 1, 99.8, percentiles=True)
CT = (
    Preset("Lung", -1200, 600),
    Preset("Soft tissue", -160, 240),
    Preset("Bone", -450, 1050),
    Preset("Brain", 0, 80),
)
MR = (Preset("1 to 99 %", 1, 99, percentiles=True), Preset("0.5 to 99.5 %", 0.5, 99.5, percentiles=True))
PET = (
    Preset("SUV 0 to 5", 0, 5, colormap=INVERTED),
    Preset("SUV 0 to 10", 0, 10, colormap=INVERTED),
    Preset("1 to 99.8 %, inverted", 1, 99.8, percentiles=True, colormap=INVERTED),
)


def kind_of(channel: str, modality: str = "") -> str:
    """CT, PT or MR (which stands for everything whose values have no unit), by a channel's name or the case's modality.

    Parameters
    ----------
    channel
        Its name; where that says nothing the modality decides.
    modality
        DICOM's word for the case, "" when unknown.
    """
    words = set(re.split(r"[^a-z0-9]+", channel.lower()))
    if words & {"ct", "cbct"}:
        return "CT"
    if words & {"pt", "pet", "suv"}:
        return "PT"
    nameless = re.fullmatch(r"(c|channel|image|volume)?[ _]?\d*", channel.lower()) is not None
    return modality if nameless and modality in ("CT", "PT") else "MR"


def presets_for(kind: str) -> tuple[Preset, ...]:
    """What is offered for CT, PT or MR; the automatic one first."""
    return (AUTOMATIC, *{"CT": CT, "PT": PET}.get(kind, MR))


def limits_of(preset: Preset, data: Any, multiscale: bool) -> tuple[float, float]:
    """Lowest and highest value shown; percentiles are taken from a sample, never from a whole large scan.

    Parameters
    ----------
    data
        An array (z, y, x), or a pyramid of them with the finest first.
    """
    if not preset.percentiles:
        return preset.low, preset.high
    sample = _sample(data[-1] if multiscale else data)
    if sample.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(sample, (preset.low, preset.high)))
    return (low, high) if high > low else (low, low + 1.0)


def _sample(data: Any) -> NDArray[Any]:
    if not isinstance(data, np.ndarray) and int(np.prod(data.shape)) > 20 * MOST_SAMPLES:
        # It is read from disk: a few slices say enough.
        picked = np.stack([np.asarray(data[int(z)]) for z in np.linspace(0, data.shape[0] - 1, 5)[1:-1]])
    else:
        picked = np.asarray(data)
    few = picked.ravel()[:: max(1, picked.size // MOST_SAMPLES)]
    finite: NDArray[Any] = few[np.isfinite(few)]
    return finite
