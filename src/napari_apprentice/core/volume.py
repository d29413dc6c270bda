"""A scan in memory, and a label map in memory: voxels that never travel without geometry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.reading import Step
from napari_apprentice.errors import GeometryError, InputError, ScanError

LabelArray = NDArray[np.unsignedinteger[Any]]
# Labels saved as uint8 with a scale are off by up to half of it: 0.05 where there are 25 of them.
NEARLY_WHOLE = 0.05


@dataclass(frozen=True, eq=False)
class Volume:
    """A scan in memory.

    Parameters
    ----------
    voxels
        (c, z, y, x), canonical orientation, the file's own number type.
    geometry
        The grid, and the way back to the file.
    channels
        One name per channel: CT, T1, FLAIR ...
    source_name
        File name without its folder.
    source_digest
        SHA-256 of the file's bytes, hexadecimal.
    warnings
        Plain sentences about what was odd but readable.
    steps
        What was done to the voxels between the file and here, in order; empty when they are the file's.
    modality
        DICOM's word where the format says it: CT, MR, PT ...; "" when unknown.
    acquisition
        Technical facts of the acquisition without anything that points to a person; JSON values.
    """

    voxels: NDArray[Any]
    geometry: Geometry
    channels: tuple[str, ...]
    source_name: str
    source_digest: str = ""
    warnings: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    modality: str = ""
    acquisition: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.voxels.ndim != 4 or self.voxels.shape[1:] != self.geometry.shape:
            raise GeometryError(
                f"{self.source_name}: voxels of shape {self.voxels.shape} do not fit the grid {self.geometry.shape}."
            )
        if len(self.channels) != self.voxels.shape[0]:
            raise InputError(f"{self.source_name}: {self.voxels.shape[0]} channels but {len(self.channels)} names.")


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Integer voxels (z, y, x), canonical orientation, geometry; `names`, `colours` (#rrggbb) if the file has them.

    `warnings` are plain sentences about what reading or fitting it had to decide. `numbered` is False where only the
    names say what a label is: reading gave the numbers. `copied` is True where the names stand in a header that
    programs copy along onto whatever they make of a file, so that they may be another label map's.
    """

    voxels: LabelArray
    geometry: Geometry
    names: Mapping[int, str] = field(default_factory=dict)
    colours: Mapping[int, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    numbered: bool = True
    copied: bool = False

    def __post_init__(self) -> None:
        if self.voxels.shape != self.geometry.shape:
            raise GeometryError(
                f"A label map of shape {self.voxels.shape} does not fit the grid {self.geometry.shape}."
            )


def labels_fit(labels: LabelArray, kind: "np.dtype[Any]") -> bool:
    """Whether a number type has room for labels."""
    return np.can_cast(labels.dtype, kind, "safe") or int(labels.max(initial=0)) <= np.iinfo(kind).max


def fitted(labels: LabelArray, kind: "np.dtype[Any]") -> LabelArray:
    """Labels in a number type that has room for them, copied only where theirs is another.

    Raises
    ------
    InputError
        It has none: they would turn into other labels.
    """
    if not labels_fit(labels, kind):
        raise InputError(
            f"Label {int(labels.max())} is newer than what is on the screen, which has no room for it. "
            "Open the case again."
        )
    return labels.astype(kind, copy=False)


def as_labels(voxels: NDArray[Any], name: str) -> LabelArray:
    """Narrow any array of whole numbers to uint8 or uint16, whichever is smallest.

    Fractions are rounded where each is nearly whole, as labels are that were saved as integers with a scale.

    Raises
    ------
    ScanError
        Values are fractional, not finite, negative or above 65535: not a label map.
    """
    if voxels.dtype.kind == "b":
        return voxels.astype(np.uint8)
    if voxels.size == 0:
        raise ScanError(f"{name} holds no voxels.")
    if voxels.dtype.kind == "f":
        voxels = _whole(voxels, name)
    if voxels.dtype.kind not in "iuf":
        raise ScanError(f"{name} is no label map: its voxels are of type {voxels.dtype}.")
    low, high = int(voxels.min()), int(voxels.max())
    if low < 0 or high > 65535:
        raise ScanError(f"{name} is no label map: its values run from {low} to {high}, labels from 0 to 65535.")
    return voxels.astype(np.uint8) if high < 256 else voxels.astype(np.uint16)


def _whole(voxels: NDArray[Any], name: str) -> NDArray[Any]:
    strange = int(voxels.size - np.count_nonzero(np.isfinite(voxels)))
    if strange:
        raise ScanError(
            f"{name} is no label map: {strange} of its voxels are no numbers (NaN or infinite). Save them as 0, "
            "background, or as 255 where nobody knows."
        )
    whole = np.round(voxels)
    nearly = (np.abs(voxels - whole) <= NEARLY_WHOLE).all()
    # Nothing but small numbers, such as diffusion in mm2/s, is a scan, and no label map of background.
    if not nearly or (voxels.any() and not whole.any()):
        raise ScanError(f"{name} is no label map: it holds values that are not whole numbers.")
    return whole
