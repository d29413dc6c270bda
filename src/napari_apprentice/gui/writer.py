"""File > Save Selected Layers: a labels or image layer as a scan file, on the grid it came from."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import napari
import numpy as np
from napari.layers import Image
from napari.utils.colormaps import DirectLabelColormap
from napari.utils.notifications import show_info
from numpy.typing import NDArray

from napari_apprentice.core.correction import UNSEEN
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.volume import as_labels
from napari_apprentice.errors import InputError
from napari_apprentice.gui.layer_volume import canonical_from_world
from napari_apprentice.gui.placing import KEY, geometry_in, lies_at, part_in
from napari_apprentice.gui.seg_saving import SEG, write_as_seg
from napari_apprentice.scans.writer import write_label_map, write_scalar

PLACE = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


def write_labels(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a labels layer; label names go along where the layer and the format have them.

    Raises
    ------
    InputError, ScanError, StorageError
        Its values or its form are none of a label map; or the disk is full, gone or read-only.
    """
    voxels, geometry, sentence = _on_grid(data, meta)
    sentence = " ".join(x for x in (sentence, _proposed(data)) if x)
    labels = as_labels(voxels, f"Layer {meta['name']}")
    if Path(path).suffix.lower() == SEG:
        known = meta.get("metadata", {}).get(KEY, {})
        write_as_seg(Path(path), labels, geometry, _names(meta), _colours(meta), known.get("digests", ()))
        _say(path, sentence)
        return [path]
    write_label_map(Path(path), labels, geometry, _names(meta), _colours(meta), overwrite=True)
    _say(path, sentence)
    return [path]


def write_image(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write an image layer, such as a scan or the uncertainty; the rest is as for `write_labels`."""
    if meta.get("rgb"):
        raise InputError(f"Layer {meta['name']} is an RGB picture; save it as a picture, for example as .png.")
    voxels, geometry, sentence = _on_grid(data, meta)
    values = _writable(voxels)
    if not np.array_equal(values, voxels, equal_nan=voxels.dtype.kind == "f"):
        sentence += f" Its {voxels.dtype} values were rounded to {values.dtype}."
    write_scalar(Path(path), values, geometry, overwrite=True)
    _say(path, sentence)
    return [path]


def _on_grid(data: Any, meta: Mapping[str, Any]) -> tuple[NDArray[Any], Geometry, str]:
    """Voxels (z, y, x) in canonical order, their grid, and a sentence where that is not the source's."""
    name, data = meta["name"], _finest(data)
    if data.ndim not in (2, 3):
        raise InputError(f"Layer {name} has {data.ndim} axes; a scan has two or three.")
    geometry = geometry_in(meta, tuple(data.shape))
    if geometry is not None:
        return np.asarray(data), geometry, ""
    found = _found_grid(meta, tuple(data.shape))
    if found is not None:
        return np.asarray(data), *found
    voxels, geometry = canonical_from_world(np.asarray(data), _placed(data.ndim, meta))
    changed = KEY in meta.get("metadata", {})
    why = "does not lie on its source's grid any more" if changed else "has no scan behind it"
    return voxels, geometry, f"{name} {why}: its grid was taken from the layer's scale and place in napari."


def _proposed(data: Any) -> str:
    """A sentence where the layer is the Corrections of an open case, and holds labels that nobody has seen."""
    viewer = napari.current_viewer()
    for widget in [] if viewer is None else viewer.window.dock_widgets.values():
        desk = getattr(widget, "desk", None)
        case = desk.session.case if desk is not None else None
        if case is None or case.canvas.labels is not data:
            continue
        count = int(np.count_nonzero((case.canvas.labels != 0) & (case.canvas.status == UNSEEN)))
        if count:
            voxels = f"{count:,} voxels are" if count > 1 else "1 voxel is"
            return f"{voxels} only proposed, by {case.model or 'a model'}: nobody accepted or edited these labels."
    return ""


def _found_grid(meta: Mapping[str, Any], shape: tuple[int, ...]) -> tuple[Geometry, str] | None:
    """The grid of a scan that a layer lies over voxel on voxel, wholly or as a part of it, and a sentence.

    New labels over an open scan, for example, or a piece that was cut out.
    """
    name, grids = meta["name"], list(_grids(meta))
    for geometry, whose in grids:
        if geometry.shape == shape and lies_at(dict(meta), geometry):
            return geometry, f"{name} was written on the grid of {whose}, which it lies over."
    for geometry, whose in grids:
        part = part_in(dict(meta), shape, geometry)
        if part is not None:
            return part, f"{name} was written on the part of the grid of {whose} that it lies over."
    return None


def _grids(meta: Mapping[str, Any]) -> Iterator[tuple[Geometry, str]]:
    """Grids a layer may lie on, and whose they are: the one it brought with it, those of the open scans."""
    viewer = napari.current_viewer()
    layers = [] if viewer is None else [(layer.metadata, layer.name) for layer in viewer.layers]
    for metadata, whose in ((meta.get("metadata", {}), "its source"), *layers):
        known = metadata.get(KEY)
        if isinstance(known, dict) and "geometry" in known:
            yield Geometry.from_json(known["geometry"]), whose


def _placed(ndim: int, meta: Mapping[str, Any]) -> Any:
    """A layer of one voxel in the same place; napari knows how its transforms add up."""
    return Image(np.zeros((1,) * ndim, np.uint8), **{k: meta[k] for k in PLACE if k in meta})


def _finest(data: Any) -> Any:
    levels = isinstance(data, list | tuple) or type(data).__name__ == "MultiScaleData"
    return data[0] if levels else data


def _writable(voxels: NDArray[Any]) -> NDArray[Any]:
    """As uint8, int16 or float32, the smallest that holds the values."""
    if voxels.dtype in (np.uint8, np.int16, np.float32):
        return voxels
    if voxels.dtype.kind in "iub":
        low, high = (int(voxels.min()), int(voxels.max())) if voxels.size else (0, 0)
        for kind in (np.uint8, np.int16):
            if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
                return voxels.astype(kind)
    return voxels.astype(np.float32)


def _names(meta: Mapping[str, Any]) -> dict[int, str]:
    features = meta.get("features")
    if features is None or not {"index", "label"} <= set(features):
        return {}
    pairs = zip(list(features["index"]), list(features["label"]), strict=True)
    return {int(i): str(n) for i, n in pairs if int(i)}


def _colours(meta: Mapping[str, Any]) -> dict[int, str]:
    """Only where somebody chose them: napari gives every other label a colour by chance."""
    chosen = meta.get("colormap")
    if not isinstance(chosen, DirectLabelColormap):
        return {}
    by_id = {i: np.asarray(rgba) for i, rgba in chosen.color_dict.items() if i}
    return {int(i): "#" + "".join(f"{round(255 * float(v)):02x}" for v in rgba[:3]) for i, rgba in by_id.items()}


def _say(path: str, sentence: str) -> None:
    if sentence:
        show_info(f"{Path(path).name}: {sentence}")
