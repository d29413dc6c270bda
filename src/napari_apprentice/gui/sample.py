"""File > Open Sample: the sample scans as layers."""

from typing import Any

from napari_apprentice.gui.pictures import contrast_limits
from napari_apprentice.loop.sample import sample_volumes

LayerTuple = tuple[Any, dict[str, Any], str]


def sample_scans() -> list[LayerTuple]:
    """One scan of each site, in millimetres."""
    return [
        (
            volume.voxels[0],
            {
                "name": volume.source_name.removesuffix(".nii.gz"),
                "scale": volume.geometry.spacing,
                "units": ("mm",) * 3,
                "axis_labels": ("z", "y", "x"),
                "colormap": "gray",
                "contrast_limits": contrast_limits(volume.voxels[0]),
                "visible": index == 0,
            },
            "image",
        )
        for index, volume in enumerate(sample_volumes())
    ]
