"""Label maps and other voxels as OME-Zarr 0.5, with our exact grid beside what the format can say."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec
from zarr.storage import LocalStore

from napari_apprentice.core.geometry import CANONICAL, Geometry

VERSION = "0.5"
WHITE = "#ffffff"  # of a label without a colour, where others have theirs
_CHUNK = 64


def write_ome_zarr(
    folder: Path,
    name: str,
    voxels: NDArray[Any],
    geometry: Geometry,
    look: tuple[Mapping[int, str], Mapping[int, str]] | None = None,
) -> None:
    """Write (z, y, x) voxels into a new folder.

    Parameters
    ----------
    name
        What to call the image.
    look
        Names and colours (#rrggbb) by label id; None for voxels that are no label map.

    Raises
    ------
    OSError
        The disk is full, gone or read-only.
    """
    ome: dict[str, Any] = {"version": VERSION, "multiscales": [_multiscale(name, geometry)]}
    if look is not None:
        ome["image-label"] = _image_label(*look)
    group = zarr.create_group(store=LocalStore(folder), overwrite=False, zarr_format=3)
    array = group.create_array(
        "0",
        shape=voxels.shape,
        dtype=voxels.dtype.newbyteorder("<"),
        chunks=tuple(min(_CHUNK, n) for n in voxels.shape),
        compressors=ZstdCodec(level=3, checksum=True),
        fill_value=0,
        dimension_names=["z", "y", "x"],
        # Every chunk has a file, so that a lost file is damage and not silently zero.
        config={"write_empty_chunks": True},
    )
    array[...] = voxels
    group.attrs.update({"ome": ome, "apprentice": {"geometry": geometry.to_json()}})


def _multiscale(name: str, geometry: Geometry) -> dict[str, Any]:
    origin = (CANONICAL @ geometry.affine[:3, 3]).tolist()
    steps = [{"type": "scale", "scale": list(geometry.spacing)}, {"type": "translation", "translation": origin}]
    axes = [{"name": axis, "type": "space", "unit": "millimeter"} for axis in "zyx"]
    return {"name": name, "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}]}


def _image_label(names: Mapping[int, str], colours: Mapping[int, str]) -> dict[str, Any]:
    """Where there are names and colours, the standard wants both lists to hold the same labels, colours all of them."""
    known = sorted({*names, *colours})
    colors = [{"label-value": n, "rgba": [*bytes.fromhex(colours.get(n, WHITE)[1:]), 255]} for n in known if colours]
    properties = [{"label-value": n} | ({"name": names[n]} if n in names else {}) for n in known if names]
    facts = {"version": VERSION, "colors": colors, "properties": properties}
    return {key: value for key, value in facts.items() if value}
