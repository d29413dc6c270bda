"""PNG and JPEG pictures as scans of one slice, by way of Pillow."""

import hashlib
import struct
import warnings as python_warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from napari_apprentice.core.reading import ReadSettings, Step
from napari_apprentice.core.volume import LabelMap, Volume, as_labels
from napari_apprentice.errors import ScanError
from napari_apprentice.scans.colour import as_channels
from napari_apprentice.scans.flat_grid import as_xyz, flat_geometry, spacing_or_ask
from napari_apprentice.scans.raw import RATIO

FORMAT = "picture"
_ORIENTATION = 0x0112
_GREY = ("L", "I;16", "I;16B", "I", "F")


def read_picture(path: Path, settings: ReadSettings) -> Volume:
    """Read a picture: (c, 1, y, x), grey or red, green, blue; its voxel size is the settings'.

    Raises
    ------
    ChoiceError
        No voxel size is given: the dots per inch of a picture are its print size, not the body's.
    ScanError
        Damaged, or too large to be what it says.
    """
    voxels, orientation, _ = _read(path, indices=False)
    names: tuple[str, ...] = ("c0",)
    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()
    if len(voxels) > 1:
        voxels, names, steps, warnings = as_channels(voxels, settings, path.name)
    spacing = spacing_or_ask((None, None, None), settings, path.name, flat=True)
    source = as_xyz(voxels)
    header = {"format": FORMAT}
    geometry = flat_geometry(_shape(source), spacing, path.name, header, orientation=orientation)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Volume(geometry.to_canonical(source), geometry, names, path.name, digest, warnings, steps)


def read_picture_labels(path: Path, settings: ReadSettings) -> LabelMap:
    """Read a picture whose values, or whose places in a palette, are labels; the palette gives the colours.

    Raises
    ------
    ChoiceError
        No voxel size is given.
    ScanError
        It holds colours.
    """
    voxels, orientation, colours = _read(path, indices=True)
    if len(voxels) > 1:
        raise ScanError(
            f"{path.name} is no label map: it holds colours. Save it with one whole number per voxel, the label."
        )
    spacing = spacing_or_ask((None, None, None), settings, path.name, flat=True)
    source = as_xyz(voxels)
    geometry = flat_geometry(_shape(source), spacing, path.name, {"format": FORMAT}, orientation=orientation)
    labels = as_labels(geometry.to_canonical(source)[0], path.name)
    present = set(np.unique(labels).tolist())
    return LabelMap(labels, geometry, {}, {n: c for n, c in colours.items() if n in present})


def _read(path: Path, *, indices: bool) -> tuple[NDArray[Any], int, dict[int, str]]:
    """Voxels (c, 1, y, x), EXIF orientation, and the palette's colours."""
    with python_warnings.catch_warnings():
        # Pillow warns of large pictures and refuses larger ones; what the file's size allows is checked below.
        python_warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                return _decoded(image, path, indices=indices)
        except Image.DecompressionBombError as error:
            raise ScanError(f"{path.name} claims far too many voxels for a picture; it is no scan.") from error
        except (UnidentifiedImageError, SyntaxError, struct.error) as error:
            raise ScanError(f"{path.name} is damaged or no picture; fetch it again.") from error


def _decoded(image: Image.Image, path: Path, *, indices: bool) -> tuple[NDArray[Any], int, dict[int, str]]:
    if image.width * image.height > RATIO * path.stat().st_size:
        raise ScanError(f"{path.name} is damaged: its header claims {image.width} x {image.height} voxels.")
    _refuse_loss(path)
    orientation = int(image.getexif().get(_ORIENTATION, 1))
    if image.mode == "P" and indices:
        return np.asarray(image)[None, None], orientation, _palette(image)
    if image.mode in _GREY or image.mode == "1":
        array = np.asarray(image.convert("L") if image.mode == "1" else image)
        return array[None, None], orientation, {}
    mode = "RGBA" if image.has_transparency_data else "RGB"
    array = np.asarray(image if image.mode == mode else image.convert(mode))
    if image.mode == "LA":
        array = array[..., :1]
    return np.moveaxis(array, 2, 0)[:, None], orientation, {}


def _refuse_loss(path: Path) -> None:
    """Pillow would cut colours of 16 bits to 8 without a word (PNG, 11.2.2: bit depth, colour type)."""
    with path.open("rb") as file:
        start = file.read(26)
    if start.startswith(b"\x89PNG") and start[24] == 16 and start[25] in (2, 4, 6):
        raise ScanError(f"{path.name} holds colours or opacity of 16 bits, which are not read; save it as TIFF.")


def _palette(image: Image.Image) -> dict[int, str]:
    flat = image.getpalette() or []
    rows = zip(flat[::3], flat[1::3], flat[2::3], strict=False)
    return {n: f"#{red:02x}{green:02x}{blue:02x}" for n, (red, green, blue) in enumerate(rows) if n}


def _shape(source: NDArray[Any]) -> tuple[int, int, int]:
    return source.shape[1], source.shape[2], source.shape[3]
