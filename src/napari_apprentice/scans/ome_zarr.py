"""OME-Zarr images, version 0.1 to 0.5, in a folder or a zip archive."""

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import LocalStore, ZipStore

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.machine import memory
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import LabelMap, Volume, as_labels
from napari_apprentice.errors import ScanError
from napari_apprentice.scans.flat_grid import flat_geometry, spacing_or_ask
from napari_apprentice.scans.oddities import spacing_warnings
from napari_apprentice.scans.ome_axes import OmeImage, channel_names, label_look, ome_image
from napari_apprentice.scans.volumes import volume_names, volumes_to_read

FORMAT = "ome-zarr"
_OURS = "apprentice"


def read_ome_zarr(path: Path, settings: ReadSettings) -> Volume:
    """Read an OME-Zarr image at full resolution.

    The format has no word for orientation: z, y, x are taken as Superior, Posterior, Left; a case of a
    study of ours gives its exact grid back.

    Raises
    ------
    ChoiceError
        It holds many volumes and none is chosen.
    ScanError
        No OME-Zarr image, or a damaged one.
    """
    group = _group(path)
    try:
        return _volume(group, path, settings)
    finally:
        group.store.close()


def read_ome_zarr_labels(path: Path, settings: ReadSettings) -> LabelMap:
    """Read an OME-Zarr label map: the group itself, or the only one in the labels of an image.

    Raises
    ------
    ScanError
        It holds several label maps, none, or no whole numbers.
    """
    group = _group(path)
    try:
        inner, name = _label_group(group, path)
        volume = _volume(inner, path if inner is group else path / "labels" / inner.basename, settings)
        names, colours = label_look(_ome(inner))
    finally:
        group.store.close()
    if len(volume.channels) != 1:
        raise ScanError(f"{name} is no label map: it holds {len(volume.channels)} values per voxel, not one.")
    labels = as_labels(volume.voxels[0], name)
    return LabelMap(labels, volume.geometry, names, colours, volume.warnings)


def _group(path: Path) -> zarr.Group:
    store = LocalStore(path, read_only=True) if path.is_dir() else ZipStore(path, read_only=True)
    try:
        return zarr.open_group(store=store, mode="r")
    except Exception as error:
        store.close()
        if isinstance(error, zarr.errors.ContainsArrayError):
            raise ScanError(
                f"{path.name} is a bare Zarr array without OME-Zarr metadata; its grid is unknown."
            ) from error
        raise ScanError(f"{path.name} is damaged or no OME-Zarr image ({type(error).__name__}).") from error


def _ome(group: zarr.Group) -> Mapping[str, Any]:
    """OME's attributes, which 0.5 keeps under a key of their own."""
    attributes = group.attrs.asdict()
    inner = attributes.get("ome")
    return inner if isinstance(inner, Mapping) else attributes


def _label_group(group: zarr.Group, path: Path) -> tuple[zarr.Group, str]:
    """The group of a label map and what to call it in messages."""
    attributes = _ome(group)
    inside = group.get("labels")
    if "image-label" in attributes or not isinstance(inside, zarr.Group):
        return group, path.name
    names = [str(n) for n in _ome(inside).get("labels", ())]
    if len(names) == 1 and isinstance(found := inside.get(names[0]), zarr.Group):
        return found, f"{path.name}/labels/{names[0]}"
    if names:
        raise ScanError(
            f"{path.name} holds {len(names)} label maps ({', '.join(names[:8])}); name the folder of one of them, "
            f"such as {path.name}/labels/{names[0]}."
        )
    return group, path.name


def _volume(group: zarr.Group, path: Path, settings: ReadSettings) -> Volume:
    attributes, name = _ome(group), path.name
    if "multiscales" not in attributes:
        raise ScanError(_what_instead(attributes, group, name))
    image = ome_image(attributes, name)
    array = _array(group, image, name)
    sizes = dict(zip(image.axes, array.shape, strict=True))
    geometry, warnings = _geometry(group, image, (sizes.get("z", 1), sizes["y"], sizes["x"]), path, settings)
    count = sizes.get("t", 1) * sizes.get("c", 1)
    chosen, steps = volumes_to_read(count, settings, name)
    voxels = _read(array, image.axes, chosen)
    told = channel_names(attributes) if sizes.get("t", 1) == 1 else ()
    names = tuple(told[n] for n in chosen) if len(told) == count else volume_names(chosen)
    digest = _digest(path, image)
    return Volume(voxels, geometry, names, name, digest, (*warnings, *spacing_warnings(geometry, name)), steps)


def _what_instead(attributes: Mapping[str, Any], group: zarr.Group, name: str) -> str:
    inside = [n for n in sorted(group.group_keys()) if n not in ("OME", "labels")]
    if "labels" in attributes:
        inside = [str(n) for n in attributes["labels"]]
    if inside:
        return (
            f"{name} is a collection, not one image; name the folder of one, such as {name}/{inside[0]} "
            f"({len(inside)} in all)."
        )
    return f"{name} is a Zarr group without OME-Zarr metadata; its grid is not known."


def _array(group: zarr.Group, image: OmeImage, name: str) -> "zarr.Array[Any]":
    """The full-resolution array, checked before a voxel is read."""
    array = group.get(image.array)
    if not isinstance(array, zarr.Array):
        raise ScanError(f"{name} is damaged: its full-resolution array {image.array!r} is missing. Copy it again.")
    if array.ndim != len(image.axes) or min(array.shape) < 1:
        raise ScanError(f"{name} is damaged: an array of shape {array.shape} does not fit the axes {image.axes}.")
    if array.dtype.kind not in "iufb":
        raise ScanError(f"{name} holds voxels of type {array.dtype}, which are not read.")
    size = math.prod(array.shape) * array.dtype.itemsize
    if size > memory().free:
        raise ScanError(f"{name} claims {size:,} bytes of voxels, more than this computer's memory.")
    if not array.nchunks_initialized:
        raise ScanError(f"{name} holds no voxels: all its chunks are missing. Copy it again.")
    return array


def _geometry(
    group: zarr.Group, image: OmeImage, shape: tuple[int, int, int], path: Path, settings: ReadSettings
) -> tuple[Geometry, tuple[str, ...]]:
    """The exact grid where a study of ours kept it; else what scale and translation say. Shape is (z, y, x)."""
    kept = _kept_geometry(group.attrs.asdict()) or _kept_by_image(path)
    if kept is not None and kept.shape == shape:
        return kept, ()
    warnings = []
    if not image.told_unit and settings.spacing.strip():
        image = image.in_steps_of(spacing_or_ask((None, None, None), settings, path.name, flat=shape[0] == 1))
    elif not image.told_unit:
        warnings.append(
            f"{path.name} names no unit of its lengths; they were taken as millimetres; give the voxel "
            "size in mm as spacing if that is wrong."
        )
    if shape[0] > 1:
        warnings.append(
            f"{path.name} says nothing about orientation, as OME-Zarr cannot; its axes z, y, x were taken as "
            "Superior, Posterior, Left."
        )
    header = {"format": FORMAT}
    translation = image.translation
    geometry = flat_geometry(shape[::-1], image.spacing, path.name, header, translation=translation)
    return geometry, tuple(warnings)


def _kept_geometry(attributes: Mapping[str, Any]) -> Geometry | None:
    record = attributes.get(_OURS)
    try:
        return Geometry.from_json(record["geometry"]) if isinstance(record, Mapping) else None
    except (KeyError, TypeError, ValueError, IndexError):
        return None


def _kept_by_image(path: Path) -> Geometry | None:
    """The grid that an image keeps for the label maps in its labels folder."""
    image = path.parent.parent
    if path.parent.name != "labels" or not (image / "zarr.json").is_file():
        return None
    return _kept_geometry(zarr.open_group(store=LocalStore(image, read_only=True), mode="r").attrs.asdict())


def _read(array: "zarr.Array[Any]", axes: str, chosen: tuple[int, ...]) -> NDArray[Any]:
    """The chosen volumes (c, z, y, x) alone, counted through times and then channels."""
    sizes = dict(zip(axes, array.shape, strict=True))
    channels, space = sizes.get("c", 1), [sizes.get(a, 1) for a in "zyx"]
    dtype = np.dtype(np.uint8) if array.dtype.kind == "b" else array.dtype.newbyteorder("=")
    out = np.empty((len(chosen), *space), dtype)
    for place, n in enumerate(chosen):
        at = {"t": n // channels, "c": n % channels}
        part = np.asarray(array[tuple(at.get(a, slice(None)) for a in axes)])
        left = [a for a in axes if a in "zyx"]
        out[place] = part.transpose([left.index(a) for a in "zyx" if a in left]).reshape(space)
    return out


def _digest(path: Path, image: OmeImage) -> str:
    """SHA-256 of an archive; of the names and bytes of a folder's metadata and full-resolution array."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    found = [p for p in path.iterdir() if p.is_file()] + [p for p in (path / image.array).rglob("*") if p.is_file()]
    sha = hashlib.sha256()
    for part in sorted(found):
        with part.open("rb") as file:
            sha.update(f"{part.relative_to(path).as_posix()}\0".encode())
            sha.update(hashlib.file_digest(file, "sha256").digest())
    return sha.hexdigest()
