"""A folder with a mask for each label, as TotalSegmentator writes it: liver.nii.gz, spleen.nii.gz ..."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import LabelArray, LabelMap
from napari_apprentice.errors import GeometryError, ScanError
from napari_apprentice.scans.pairs import IMAGES, has_header
from napari_apprentice.scans.segments.claims import Claims, chosen_segments
from napari_apprentice.scans.segments.slices import Place
from napari_apprentice.scans.suffixes import ITK, MGH, NIFTI, PAIR, TIFF, ZARR, stem_of, suffix_of

_FULL = 255  # what pictures hold where a mask is
_MOST = 1000
_MOST_TOLD = 8
_MOST_ODD = 3
_OTHERS = (*TIFF, *ZARR)  # pictures (.png, .jpg) are previews


def masks_in(folder: Path) -> tuple[Path, ...]:
    """Files of a folder that may be masks, sorted; none where there is no folder."""
    if not folder.is_dir():
        return ()
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    masks = (p for p in files if suffix_of(p) in (*NIFTI, *ITK, *MGH, *PAIR))
    return tuple(p for p in masks if not (p.name.lower().endswith(IMAGES) and has_header(p)))


def read_masks(folder: Path, settings: ReadSettings, read: Callable[[Path], LabelMap]) -> LabelMap:
    """Read the masks of a folder as one label map (z, y, x), each named as its file is.

    Parameters
    ----------
    settings
        `segments` and `overlap` decide what is taken.
    read
        Reads one of the files.

    Raises
    ------
    ChoiceError
        Masks share voxels and nothing says which one wins.
    GeometryError
        They lie on different grids.
    ScanError
        One of them is no mask, or there are others in a format that is not read here.
    """
    files = dict(enumerate(masks_in(folder), 1))
    _refuse_others(folder, len(files))
    stems = {n: stem_of(p) for n, p in files.items()}
    names, lacking = chosen_segments(settings, stems, folder.name, numbered=False)
    first = min(names)
    kept = read(files[first])
    said: dict[str, None] = {}

    def pieces(number: int) -> Iterator[tuple[Place, NDArray[np.bool_]]]:
        found = kept if number == first else read(files[number])
        name = f"{folder.name}/{files[number].name}"
        _check(found.voxels, name)
        if difference := kept.geometry.difference(found.geometry):
            raise GeometryError(f"{name} does not lie on the grid of {files[first].name}: {difference}.")
        said.update(dict.fromkeys(found.warnings))
        yield from _piece(found.voxels)

    voxels, shared = Claims(names, pieces).settled(kept.geometry.shape, settings.overlap, folder.name)
    odd = [*said] if len(said) <= _MOST_ODD else [*[*said][:_MOST_ODD], f"{len(said) - _MOST_ODD} more such masks."]
    return LabelMap(voxels, kept.geometry, names, {}, (*lacking, *odd, *shared), numbered=False)


def _refuse_others(folder: Path, masks: int) -> None:
    """Stop where a folder holds what may be masks too but is not read as such, rather than pass over a label."""
    if masks > _MOST:
        raise ScanError(f"{folder.name} holds {masks} masks, more than the {_MOST} that one label map may be made of.")
    others = [p.name for p in sorted(folder.iterdir()) if not p.name.startswith(".") and suffix_of(p) in _OTHERS]
    if others:
        told = ", ".join(others[:_MOST_TOLD]) + " ..." * (len(others) > _MOST_TOLD)
        raise ScanError(
            f"{folder.name} holds {told} beside masks in NIfTI, NRRD, MetaImage or MGH, and only those are read from a "
            "folder of masks. Convert or move it."
        )


def _check(voxels: LabelArray, name: str) -> None:
    high = int(voxels.max(initial=0))
    if high in (0, 1) or (high == _FULL and not ((voxels > 0) & (voxels < _FULL)).any()):
        return
    values = [v for v in np.unique(voxels).tolist() if v]
    raise ScanError(
        f"{name} is no mask: it holds labels {', '.join(map(str, values[:_MOST_TOLD]))}. A folder is one label map "
        "where each file in it is the mask of a label; name the one file otherwise."
    )


def _piece(voxels: LabelArray) -> Iterator[tuple[Place, NDArray[np.bool_]]]:
    """The box around a mask, nothing of an empty one: organs are small, and painting a whole scan for each is slow."""
    box: tuple[slice, ...] = ()
    for axis in range(voxels.ndim):
        there = np.flatnonzero(voxels[box].any(axis=tuple(a for a in range(voxels.ndim) if a != axis)))
        if not there.size:
            return
        box = (*box, slice(int(there[0]), int(there[-1]) + 1))
    yield Place(box), voxels[box] > 0
