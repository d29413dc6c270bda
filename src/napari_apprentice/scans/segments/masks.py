"""A folder with a mask for each label, as TotalSegmentator writes it: liver.nii.gz, spleen.nii.gz ..."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import LabelMap
from napari_apprentice.errors import GeometryError, ScanError
from napari_apprentice.scans.segments.claims import Claims, chosen_segments
from napari_apprentice.scans.segments.slices import Place
from napari_apprentice.scans.suffixes import ITK, NIFTI, stem_of, suffix_of

_WHOLE = Place((slice(None),) * 3)
_VALUES = (1, 255)
_MOST = 1000


def masks_in(folder: Path) -> tuple[Path, ...]:
    """Files of a folder that may be masks, sorted; none where there is no folder."""
    if not folder.is_dir():
        return ()
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    return tuple(p for p in files if suffix_of(p) in (*NIFTI, *ITK))[:_MOST]


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
        One of them is no mask.
    """
    files = dict(enumerate(masks_in(folder), 1))
    stems = {n: stem_of(p) for n, p in files.items()}
    names, lacking = chosen_segments(settings, stems, folder.name, numbered=False)
    geometry = read(files[min(names)]).geometry

    def pieces(number: int) -> Iterator[tuple[Place, NDArray[np.bool_]]]:
        found = read(files[number])
        name = f"{folder.name}/{files[number].name}"
        values = {*np.unique(found.voxels).tolist()} - {0}
        if len(values) > 1 or values - {*_VALUES}:
            raise ScanError(
                f"{name} is no mask: it holds labels {', '.join(map(str, sorted(values)[:8]))}. A folder is one label "
                "map where each file in it is the mask of a label; name the one file otherwise."
            )
        if difference := geometry.difference(found.geometry):
            raise GeometryError(f"{name} does not lie on the grid of {files[min(names)].name}: {difference}.")
        yield _WHOLE, found.voxels > 0

    claims = Claims(names, pieces)
    voxels = claims.paint(geometry.shape, settings.overlap)
    if claims.overlaps and settings.overlap == "ask":
        raise claims.choice(folder.name)
    said = [f"{folder.name}: {claims.sentence()}; the {settings.overlap} one got them."] if claims.overlaps else []
    return LabelMap(voxels, geometry, names, {}, (*lacking, *said), numbered=False)
