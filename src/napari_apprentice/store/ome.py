"""What OME-Zarr 0.5 asks of an image, so that any OME-Zarr tool opens a study's cases.

Source: https://ngff.openmicroscopy.org/0.5/
"""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

VERSION = "0.5"
SMALLEST = 64

Scale = tuple[float, float, float]


def image_attributes(name: str, axes: Sequence[str], scales: Sequence[Scale]) -> dict[str, Any]:
    """The "ome" attribute of a multiscale image.

    Parameters
    ----------
    axes
        Of c, z, y, x.
    scales
        Millimetres along (z, y, x), one per level, full resolution first.
    """
    lead = [1.0] * (len(axes) - 3)
    datasets = [
        {"path": str(n), "coordinateTransformations": [{"type": "scale", "scale": [*lead, *scale]}]}
        for n, scale in enumerate(scales)
    ]
    return {
        "version": VERSION,
        "multiscales": [{"name": name, "axes": [_axis(a) for a in axes], "datasets": datasets}],
    }


def label_attributes(name: str, spacing: Scale) -> dict[str, Any]:
    """The "ome" attribute of a label map beside its image."""
    attributes = image_attributes(name, ("z", "y", "x"), (spacing,))
    attributes["image-label"] = {"source": {"image": "../../"}}
    return attributes


def label_list_attributes(names: Sequence[str]) -> dict[str, Any]:
    """Attributes of the group that holds an image's label maps."""
    return {"ome": {"version": VERSION, "labels": list(names)}}


def pyramid(voxels: NDArray[Any], spacing: Scale) -> tuple[list[NDArray[Any]], list[Scale]]:
    """Levels of a volume, each every second voxel of the one before.

    Striding keeps the scan's own values and puts each coarse voxel's centre exactly on a fine one's, so
    that a scale says all and no translation is needed. An axis is halved while its voxels are less than
    twice as long as the shortest, until no side is longer than 64.

    Parameters
    ----------
    voxels
        (c, z, y, x).
    spacing
        Millimetres along (z, y, x).

    Returns
    -------
    Levels (views, nothing is copied) and their spacing.
    """
    levels, scales = [voxels], [spacing]
    while max(levels[-1].shape[1:]) > SMALLEST:
        sides, scale = levels[-1].shape[1:], scales[-1]
        shortest = min(s for s, n in zip(scale, sides, strict=True) if n > 1)
        steps = [2 if n > 1 and s < 2 * shortest else 1 for s, n in zip(scale, sides, strict=True)]
        levels.append(levels[-1][:, :: steps[0], :: steps[1], :: steps[2]])
        scales.append((scale[0] * steps[0], scale[1] * steps[1], scale[2] * steps[2]))
    return levels, scales


def _axis(name: str) -> dict[str, str]:
    if name == "c":
        return {"name": "c", "type": "channel"}
    return {"name": name, "type": "space", "unit": "millimeter"}
