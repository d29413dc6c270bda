"""Coloured voxels as three channels, or as one of grey."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.reading import ReadSettings, Step

NAMES = ("R", "G", "B")
# ITU-R BT.601, 2.5.1: luma of red, green and blue.
LUMA = (0.299, 0.587, 0.114)


def as_channels(
    coloured: NDArray[Any], settings: ReadSettings, name: str
) -> tuple[NDArray[Any], tuple[str, ...], tuple[Step, ...], tuple[str, ...]]:
    """Take colour apart.

    Parameters
    ----------
    coloured
        (3 or 4, ...) of whole numbers or fractions: red, green, blue, and how opaque.

    Returns
    -------
    Voxels (c, ...) of the same number type, their channel names, steps to record, and warnings.
    """
    warnings: tuple[str, ...] = ()
    if len(coloured) == 4 and not _opaque(coloured[3]):
        warnings = (f"{name} has voxels that are not opaque; their opacity was left out.",)
    rgb = coloured[:3]
    if settings.colour != "grey":
        return rgb, NAMES, (), warnings
    grey = np.empty((1, *rgb.shape[1:]), rgb.dtype)
    for n in range(rgb.shape[1]):  # slab by slab, to stay small
        luma = sum(weight * rgb[c, n].astype(np.float64) for c, weight in enumerate(LUMA))
        grey[0, n] = np.rint(luma) if rgb.dtype.kind in "iu" else luma
    step = Step("colour", "Colours became grey (ITU-R BT.601 luma).", {"weights": list(LUMA)})
    return grey, ("grey",), (step,), warnings


def _opaque(alpha: NDArray[Any]) -> bool:
    full = np.iinfo(alpha.dtype).max if alpha.dtype.kind in "iu" else 1.0
    return bool((alpha == full).all())
