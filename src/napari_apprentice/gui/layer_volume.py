"""An image layer that is open in napari as a volume with geometry."""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.geometry import CANONICAL, Geometry
from napari_apprentice.core.reading import Step
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import InputError
from napari_apprentice.gui.placing import KEY, geometry_in


def volume_from_layer(layer: Any) -> Volume:
    """Take a 2D or 3D image layer for a scan in millimetres.

    A layer that a scan file was opened as keeps that file's exact grid, unless it was moved since. For any
    other: napari's world has axes (z, y, x) and no anatomy; they are taken to run to Superior, Posterior
    and Left, so that the scan looks in the study as it looks on the screen.

    Raises
    ------
    InputError
        An RGB layer, or one with more than three axes.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    if layer.rgb:
        raise InputError(f"Layer {layer.name} is an RGB picture, not a scan; choose a layer with one value per voxel.")
    if data.ndim not in (2, 3):
        raise InputError(f"Layer {layer.name} has {data.ndim} axes; a scan has two or three.")
    voxels, known = np.asarray(data), layer.metadata.get(KEY, {})
    geometry = geometry_in(layer, voxels.shape)
    if geometry is None:
        voxels, geometry = canonical_from_world(voxels, layer)
        return Volume(voxels[np.newaxis], geometry, ("image",), case_id_for(layer.name))
    return Volume(
        voxels[np.newaxis],
        geometry,
        (str(known.get("channel", "image")),),
        str(known.get("source_name", layer.name)),
        steps=tuple(Step.from_json(step) for step in known.get("steps", ())),
        modality=str(known.get("modality", "")),
    )


def canonical_from_world(voxels: NDArray[Any], layer: Any) -> tuple[NDArray[Any], Geometry]:
    """Voxels (z, y, x) in canonical order, and a grid, from where a layer of 2 or 3 axes lies in napari's world.

    Files are written with their axes the other way round, x first, as is the custom.
    """
    voxels = voxels[np.newaxis] if voxels.ndim == 2 else voxels
    affine = ras_affine(world_matrix(layer))[:, [2, 1, 0, 3]]
    geometry = Geometry.from_source((voxels.shape[2], voxels.shape[1], voxels.shape[0]), affine)
    return geometry.to_canonical(voxels.transpose(2, 1, 0)), geometry


def case_id_for(name: str) -> str:
    """A layer's name as a case id."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:80] or "layer"


def world_matrix(layer: Any) -> np.ndarray:
    """(n + 1, n + 1) array index to millimetres in napari's world; a layer without units counts as mm."""
    n = layer.ndim
    origin = np.asarray(layer.data_to_world(np.zeros(n)))
    matrix = np.eye(n + 1)
    matrix[:n, :n] = np.array([np.asarray(layer.data_to_world(e)) - origin for e in np.eye(n)]).T
    matrix[:n, n] = origin
    millimetres = [float((1 * u).to("mm").m) if u.is_compatible_with("mm") else 1.0 for u in layer.units]
    return np.diag([*millimetres, 1.0]) @ matrix


def in_millimetres(layer: Any) -> bool:
    """Whether a layer's units are lengths; a layer without units has pixels."""
    return all(u.is_compatible_with("mm") for u in layer.units)


def ras_affine(matrix: np.ndarray) -> np.ndarray:
    """(4, 4) index (z, y, x, 1) to millimetres in RAS+, from napari's matrix of 2 or 3 axes."""
    n = matrix.shape[0] - 1
    world = np.eye(4)
    world[3 - n : 3, 3 - n : 3] = matrix[:n, :n]
    world[3 - n : 3, 3] = matrix[:n, n]
    ras = np.eye(4)
    ras[:3, :3] = CANONICAL.T
    affine: np.ndarray = ras @ world
    return affine
