"""DICOM Segmentation objects in: binary, fractional and label map, as one label map."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.core.volume import LabelMap
from napari_apprentice.errors import ScanError
from napari_apprentice.scans.dicom.enhanced import GROUPS
from napari_apprentice.scans.fitting import tolerance
from napari_apprentice.scans.segments.claims import Claims, chosen_segments
from napari_apprentice.scans.segments.seg_headers import give_thickness
from napari_apprentice.scans.segments.slices import LPS_TO_RAS, Place, Slice, slices_of
from napari_apprentice.scans.segments.texts import name_of

_MOST_VOXELS = 1 << 32


def read_seg(path: Path, geometry: Geometry | None = None, settings: ReadSettings | None = None) -> LabelMap:
    """Read a DICOM Segmentation as labels (z, y, x); frames that it leaves out are background.

    Parameters
    ----------
    geometry
        The grid of the case. Where every frame lies exactly on it the label map does too, with whatever
        gaps between them; otherwise the label map has the object's own grid.
    settings
        `segments` and `overlap` decide what is taken.

    Returns
    -------
    Ids are segment numbers; names and colours are the segments'.

    Raises
    ------
    ChoiceError
        Segments overlap and nothing says which one wins.
    ScanError
        It has no place in a patient (slides, flat X-rays), or frames on no common grid.
    """
    settings = settings or ReadSettings()
    seg = _opened(path)
    _refuse_elsewhere(seg, path.name)
    _refuse_cut_off(seg, path)
    names, lacking = chosen_segments(settings, _names(seg), path.name)
    is_map = _kind(seg) == "LABELMAP"
    frames = _Frames(seg, slices_of(seg, path.name), {} if is_map else _by_segment(seg, path.name))
    grid = frames.grid(geometry, path.name)
    if is_map:
        voxels = frames.label_map(grid, names, path.name)
    else:
        claims = Claims(names, lambda number: frames.pieces(number, grid))
        voxels, shared = claims.settled(grid.shape, settings.overlap, path.name)
        frames.said.extend(shared)
    colours = {n: colour for n in names if (colour := _colour(seg.get_segment_description(n)))}
    return LabelMap(voxels, grid, names, colours, (*lacking, *frames.said, *frames.warnings(path.name)))


@dataclass(eq=False)
class _Frames:
    """Frames of a segmentation, read one at a time.

    Parameters
    ----------
    by_segment
        Segment number to frame numbers; empty for a label map, whose frames hold all segments.
    """

    seg: Any
    slices: Sequence[Slice]
    by_segment: Mapping[int, Sequence[int]]
    said: list[str] = field(default_factory=list)
    between: dict[int, int] = field(default_factory=dict)

    def grid(self, geometry: Geometry | None, name: str) -> Geometry:
        """The case's grid where every frame lies on it, else the object's own."""
        if geometry is not None and self._all_on(geometry):
            return geometry
        own = self.seg.get_volume_geometry()
        if own is None:
            raise ScanError(
                f"{name}: its frames lie on no common grid, at uneven distances or turned against each other, "
                "and not on the slices of the case."
            )
        slices, rows, columns = own.spatial_shape
        if slices * rows * columns > _MOST_VOXELS:
            raise ScanError(f"{name} is damaged: its frames would span {slices:,} slices of {rows} x {columns} pixels.")
        return Geometry.from_source((columns, rows, slices), LPS_TO_RAS @ own.affine[:, [2, 1, 0, 3]])

    def pieces(self, number: int, grid: Geometry) -> Iterator[tuple[Place, NDArray[np.bool_]]]:
        """Which voxels of a grid each frame of a segment is, and which of them it claims."""
        fractional = _kind(self.seg) == "FRACTIONAL"
        most = int(self.seg.get("MaximumFractionalValue", 1)) if fractional else 1
        for frame in self.by_segment.get(number, ()):
            pixels = self.seg.get_stored_frame(frame + 1)
            self.between[frame] = int(np.count_nonzero((pixels > 0) & (pixels < most)))
            yield self._place(frame, grid), 2 * pixels.astype(np.int32) >= most if fractional else pixels > 0

    def label_map(self, grid: Geometry, names: Mapping[int, str], name: str) -> NDArray[Any]:
        """Labels (z, y, x) of a segmentation that is a label map already."""
        voxels = np.zeros(grid.shape, np.uint8 if max(names, default=0) < 256 else np.uint16)
        # Padding and background are no segments, whether they are described or not.
        known = {0, int(self.seg.get("PixelPaddingValue", 0)), *_names(self.seg)}
        for frame in range(len(self.slices)):
            pixels = self.seg.get_stored_frame(frame + 1)
            _refuse_strange(set(np.unique(pixels).tolist()) - known, name)
            self._place(frame, grid).view(voxels)[...] = np.where(np.isin(pixels, list(names)), pixels, 0)
        return voxels

    def warnings(self, name: str) -> tuple[str, ...]:
        """What had to be decided about fractions."""
        count = sum(self.between.values())
        if not count:
            return ()
        return (f"{name} holds fractions: {count} voxels lie between none and whole; from one half on they count.",)

    def _place(self, frame: int, grid: Geometry) -> Place:
        place = self.slices[frame].place_on(grid, 10 * tolerance(grid))
        if place is None:
            raise ScanError(f"Frame {frame + 1} of the segmentation lies on no slice of its own grid.")
        return place

    def _all_on(self, geometry: Geometry) -> bool:
        return all(one.place_on(geometry, tolerance(geometry)) is not None for one in self.slices)


def _opened(path: Path) -> Any:
    """The segmentation as highdicom has it, which wants a slice thickness that not every program writes."""
    # Not lazily: highdicom 0.28.2 then reads some frames that do not end on a whole byte too short.
    dataset = dcmread(path)
    for groups in (*dataset.get(GROUPS[0], ()), *dataset.get(GROUPS[1], ())):
        for measures in groups.get("PixelMeasuresSequence", ()):
            give_thickness(measures, measures.get("SpacingBetweenSlices") or 1.0)
    return hd.seg.Segmentation.from_dataset(dataset, copy=False)


def _kind(seg: Any) -> str:
    return str(seg.SegmentationType)


def _refuse_elsewhere(seg: Any, name: str) -> None:
    if seg.coordinate_system == hd.CoordinateSystemNames.SLIDE:
        raise ScanError(f"{name} is a segmentation of a microscope slide; it has no place in a patient.")
    if seg.coordinate_system is None:
        raise ScanError(f"{name} does not say where it lies in the patient; it belongs to a flat picture.")


def _names(seg: Any) -> dict[int, str]:
    """Segment numbers and labels; 0 is background, which label maps may describe."""
    return {int(d.SegmentNumber): name_of(d) for d in seg.SegmentSequence if int(d.SegmentNumber)}


def _by_segment(seg: Any, name: str) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for frame, groups in enumerate(seg.PerFrameFunctionalGroupsSequence):
        shared = groups if "SegmentIdentificationSequence" in groups else seg.SharedFunctionalGroupsSequence[0]
        number = int(shared.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        found.setdefault(number, []).append(frame)
    _refuse_strange(set(found) - set(_names(seg)), name)
    return found


def _refuse_strange(numbers: set[int], name: str) -> None:
    if numbers:
        told = ", ".join(map(str, sorted(numbers)[:8]))
        raise ScanError(f"{name} is damaged: it holds segment {told}, which it does not describe.")


def _refuse_cut_off(seg: Any, path: Path) -> None:
    """Refuse a header that claims more pixels than the file holds, before anything is made for them."""
    bits = int(seg.NumberOfFrames) * int(seg.Rows) * int(seg.Columns) * int(seg.BitsAllocated)
    if not seg.file_meta.TransferSyntaxUID.is_compressed and bits > 8 * path.stat().st_size:
        raise ScanError(
            f"{path.name} is cut off or damaged: its header claims {int(seg.NumberOfFrames):,} frames of {seg.Rows} x "
            f"{seg.Columns} pixels. Fetch it again."
        )


def _colour(description: Dataset) -> str:
    """Colour of a segment as #rrggbb; "" when it says none that can be understood."""
    value = description.get("RecommendedDisplayCIELabValue")
    if value is None or len(value) != 3:
        return ""
    red, green, blue = hd.color.CIELabColor.from_dicom_value([int(v) for v in value]).to_rgb()
    return f"#{red:02x}{green:02x}{blue:02x}"
