"""TIFF stacks, by way of tifffile: their axes, and the voxel size where ImageJ or OME metadata say it."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813 - the name everyone knows it by
from numpy.typing import NDArray
from tifffile import TiffFile, TiffFileError, TiffPageSeries

from napari_apprentice.core.reading import ReadSettings, Step
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import ScanError
from napari_apprentice.scans.colour import as_channels
from napari_apprentice.scans.flat_grid import as_xyz, flat_geometry, is_upright, spacing_or_ask
from napari_apprentice.scans.raw import RATIO
from napari_apprentice.scans.tiff_facts import channel_names, told_spacing
from napari_apprentice.scans.volumes import volume_names, volumes_to_read

FORMAT = "tiff"
_ORIENTATION = 274
# Pages that say nothing about themselves are slices.
_SLICES = "ZQI"


def read_tiff(path: Path, settings: ReadSettings) -> Volume:
    """Read a TIFF: pages are slices unless it says otherwise, samples are colours.

    Raises
    ------
    ChoiceError
        It does not say its voxel size, or holds many volumes, and the settings do not choose.
    ScanError
        Damaged, cut off, or of a kind that is not read.
    """
    try:
        with TiffFile(path) as file:
            read = _Tiff(file, path, settings)
            return read.volume()
    except TiffFileError as error:
        raise ScanError(f"{path.name} is damaged or no TIFF: {error}.") from error


@dataclass(frozen=True)
class _Tiff:
    file: TiffFile
    path: Path
    settings: ReadSettings

    def volume(self) -> Volume:
        """The first picture series of the file."""
        series, name = self._series(), self.path.name
        sizes = dict(zip(series.axes, series.shape, strict=True))
        flat = math.prod(sizes.get(a, 1) for a in _SLICES) == 1
        spacing = spacing_or_ask(told_spacing(self.file), self.settings, name, flat=flat)
        stack = _in_order(series.axes, self._voxels(series), name)
        voxels, names, steps, warnings = self._channels(stack)
        source = as_xyz(voxels)
        shape = (source.shape[1], source.shape[2], source.shape[3])
        geometry = flat_geometry(shape, spacing, name, {"format": FORMAT}, orientation=self._orientation())
        if len(self.file.series) > 1:
            warnings = (*warnings, f"{name} holds {len(self.file.series)} pictures; the first was read.")
        with self.path.open("rb") as bytes_of:
            digest = hashlib.file_digest(bytes_of, "sha256").hexdigest()
        return Volume(geometry.to_canonical(source), geometry, names, name, digest, warnings, steps)

    def _series(self) -> TiffPageSeries:
        name = self.path.name
        if not self.file.series:
            raise ScanError(f"{name} is damaged: it holds no picture.")
        series: TiffPageSeries = self.file.series[0]
        if math.prod(series.shape) > RATIO * self.path.stat().st_size:
            raise ScanError(f"{name} is cut off or damaged: it claims {math.prod(series.shape):,} voxels.")
        if series.dtype is None or series.dtype.kind not in "iufb":
            raise ScanError(f"{name} holds voxels of type {series.dtype}, which are not read.")
        return series

    def _voxels(self, series: TiffPageSeries) -> NDArray[Any]:
        try:
            array: NDArray[Any] = series.asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            # Packed in a way that tifffile needs a further library for (LZW, JPEG); ITK has it within.
            array = sitk.GetArrayFromImage(sitk.ReadImage(str(self.path), imageIO="TIFFImageIO"))
            if array.size != math.prod(series.shape) or array.dtype != series.dtype:
                raise ScanError(
                    f"{self.path.name} is packed in a way that is not read; save it uncompressed."
                ) from error
            array = array.reshape(series.shape)
        return array.astype(np.uint8) if array.dtype.kind == "b" else array

    def _channels(self, stack: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, ...], tuple[Step, ...], tuple[str, ...]]:
        """From (t, c, z, y, x, s): voxels (c, z, y, x), names, steps, warnings."""
        times, count, samples, name = stack.shape[0], stack.shape[1], stack.shape[5], self.path.name
        if samples in (3, 4) and times * count == 1:
            return as_channels(np.moveaxis(stack[0, 0], 3, 0), self.settings, name)
        if samples > 1:
            raise ScanError(f"{name} holds {samples} samples in each of {times * count} volumes, which are not read.")
        volumes = stack[..., 0].reshape(-1, *stack.shape[2:5])
        chosen, steps = volumes_to_read(times * count, self.settings, name)
        told = channel_names(self.file) if times == 1 else ()
        names = tuple(told[n] for n in chosen) if len(told) == count > 1 else volume_names(chosen)
        return volumes if len(chosen) == len(volumes) else volumes[list(chosen)], names, steps, ()

    def _orientation(self) -> int:
        tag = self.file.pages.first.tags.get(_ORIENTATION)
        return int(tag.value) if tag is not None and is_upright(int(tag.value)) else 1


def _in_order(axes: str, array: NDArray[Any], name: str) -> NDArray[Any]:
    """As (t, c, z, y, x, s), axes that the file lacks with one voxel."""
    slices = [a for a in _SLICES if a in axes]
    if len(slices) > 1 or not set(axes) <= {*"TCYXS", *_SLICES} or len(set(axes)) < len(axes):
        raise ScanError(f"{name} has the axes {axes}; pictures and stacks of them, with channels or times, are read.")
    order = ["T", "C", slices[0] if slices else "Z", "Y", "X", "S"]
    if not {"Y", "X"} <= set(axes):
        raise ScanError(f"{name} has the axes {axes}, which make no picture.")
    moved = array.transpose([axes.index(a) for a in order if a in axes])
    return moved.reshape([array.shape[axes.index(a)] if a in axes else 1 for a in order])
