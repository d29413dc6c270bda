"""Analyze 7.5 headers, by way of nibabel: voxel sizes, but no word about left and right."""

import io
import math
from typing import Any

import numpy as np
from nibabel.analyze import AnalyzeHeader
from nibabel.spm2analyze import Spm2AnalyzeHeader
from numpy.typing import NDArray

FORMAT = "analyze"


def header(block: bytes) -> AnalyzeHeader:
    """The header in 348 bytes; SPM's fields of it count, as nibabel has it."""
    found: AnalyzeHeader = Spm2AnalyzeHeader.from_fileobj(io.BytesIO(block), check=False)
    return found


def grid(found: AnalyzeHeader, name: str, warnings: list[str]) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """The affine that SPM and nibabel give such a file (x to the left), with a warning that it is a guess."""
    mended = found.copy()
    pixdim = mended["pixdim"]
    pixdim[1:4] = np.where(np.isfinite(pixdim[1:4]) & (pixdim[1:4] != 0), np.abs(pixdim[1:4]), 1)
    warnings.append(
        f"{name} is in Analyze format, which says nothing about orientation; left and right may be swapped."
    )
    affine: NDArray[np.float64] = np.asarray(mended.get_best_affine(), dtype=np.float64)
    return affine, {"format": FORMAT}


def scaling(found: AnalyzeHeader) -> tuple[float, float]:
    """Slope and intercept as SPM keeps them; (1, 0) where it did not write the file."""
    slope, inter = found.get_slope_inter()
    if slope is None or not math.isfinite(slope):
        return 1.0, 0.0
    return float(slope), float(inter or 0.0)
