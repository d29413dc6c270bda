"""The door through which DICOM series come in."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.reading import ReadSettings, Step, chosen_spacing
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import ChoiceError, GeometryError, ScanError
from napari_apprentice.scans.colour import as_channels
from napari_apprentice.scans.dicom.deidentify import deidentified, person_of, picture_warnings, plain
from napari_apprentice.scans.dicom.deidentify_key import private_key
from napari_apprentice.scans.dicom.facts import channel_of, modality_of
from napari_apprentice.scans.dicom.file import naming, number_of, quiet_pydicom, text_of
from napari_apprentice.scans.dicom.grid import Layout, layout_of
from napari_apprentice.scans.dicom.kinds import is_dicom, is_rtstruct, is_seg, sop_class
from napari_apprentice.scans.dicom.pixels import Pixels, read_pixels
from napari_apprentice.scans.dicom.plane import Plane
from napari_apprentice.scans.dicom.series import Series, SeriesFinder, choose_series, find_series
from napari_apprentice.scans.dicom.stack import Stack, stacked
from napari_apprentice.scans.dicom.straighten import straighten
from napari_apprentice.scans.dicom.suv import suv_factor
from napari_apprentice.scans.oddities import spacing_warnings

__all__ = [
    "Series",
    "SeriesFinder",
    "find_series",
    "is_dicom",
    "is_rtstruct",
    "is_seg",
    "read_dicom",
    "series_files",
    "sop_class",
]

FORMAT = "dicom"


def read_dicom(
    path: Path, settings: ReadSettings, key: bytes | None = None, find: SeriesFinder | None = None
) -> Volume:
    """Read a DICOM series from a folder, or a file of one slice or many.

    Source axes are (column, row, slice along the normal); the affine is the files' own, in RAS.

    Parameters
    ----------
    path
        Folder that holds the series directly (or below, beside a DICOMDIR), or a file.
    key
        Secret of the pseudonyms; by default the user's own.
    find
        Used again for the next series of the same folder, it saves parsing all files of it again.

    Returns
    -------
    Voxels (c, z, y, x), integers where the rescaling keeps them whole, else float32. `acquisition` holds
    technical facts, and the subject: a pseudonym unless `settings.deidentify` is off.

    Raises
    ------
    ChoiceError
        Several series, several volumes, tilted or uneven slices; the error says which setting decides.
    ScanError
        A slice is damaged, lost or of another scan; the text names the file.
    """
    with quiet_pydicom(), naming(path):
        series = choose_series((find or find_series)(path), settings.series, path.name)
        return _read(series, path.name, settings, key)


def series_files(path: Path, settings: ReadSettings) -> tuple[Path, ...]:
    """Files of the series that `read_dicom` reads, in the order of its slices; copies are left out."""
    with quiet_pydicom(), naming(path):
        series = choose_series(find_series(path), settings.series, path.name)
        stack = stacked(series.planes, path.name)
        chosen = stack.choose(settings.volumes, path.name)
    return tuple(dict.fromkeys(plane.path for v in chosen for plane in stack.volumes[v]))


def _read(series: Series, shown: str, settings: ReadSettings, key: bytes | None) -> Volume:
    header = series.header
    modality = modality_of(header)
    name = _safe_name(series, modality) if settings.deidentify or settings.hide_names else shown
    stack = stacked(series.planes, shown)
    chosen = stack.choose(settings.volumes, shown)
    volumes = [stack.volumes[v] for v in chosen]
    warnings = _stack_warnings(series, stack, name)
    layout = _layout(volumes[0], settings, shown, name, warnings)
    straightened = _decide(layout, settings.tilt, shown)
    factor, steps = _suv(series, settings, name, warnings)
    pixels = read_pixels(volumes, series.files, factor)
    facts, privacy = _person(series, pixels, settings, key)
    warnings += picture_warnings(header, name)
    steps = [*_volume_steps(stack, chosen), *steps, *privacy]
    voxels = pixels.voxels
    if straightened:
        voxels, layout, step = _straighten(voxels, layout, shown)
        steps.append(step)
    elif layout.tilt:
        warnings.append(f"{name}: its slices are tilted by {layout.tilt:.1f} degrees; the sheared grid was kept.")
    voxels, channels, colour = _channels(voxels, series, stack, chosen, settings, shown)
    geometry = _geometry(voxels, layout, shown)
    view = geometry.to_canonical(voxels.transpose(0, 3, 2, 1))
    found = (*warnings, *spacing_warnings(geometry, name))
    return Volume(view, geometry, channels, name, pixels.digest, found, (*steps, *colour), modality, facts)


def _safe_name(series: Series, modality: str) -> str:
    files = len(series.files)
    return f"DICOM series ({files} file{'s' if files != 1 else ''}{f', {modality}' if modality else ''})"


def _stack_warnings(series: Series, stack: Stack, name: str) -> list[str]:
    found = []
    if stack.dropped:
        copies = "a copy of one slice" if stack.dropped == 1 else f"copies of {stack.dropped} slices"
        found.append(f"{name} holds {copies}; the first of each was taken.")
    if stack.contradicting:
        found.append(
            f"{name}: the {stack.contradicting} of its slices differs from place to place, so its volumes may be mixed "
            "up; look at each before you use it."
        )
    planned = number_of(series.header, "ImagesInAcquisition", 0)
    if planned > series.count:
        found.append(f"{name} says that it is one of {planned:g} pictures; {series.count} are here. Some may be lost.")
    if text_of(series.header, "PhotometricInterpretation") == "MONOCHROME1":
        found.append(f"{name} is meant to be shown inverted, low values bright; its values were kept.")
    return found


def _layout(planes: tuple[Plane, ...], settings: ReadSettings, shown: str, name: str, warnings: list[str]) -> Layout:
    if len(planes) > 1:
        layout = layout_of(planes)
        header_tilt = abs(number_of(planes[0].header, "GantryDetectorTilt", 0.0))
        if header_tilt > 1 and not layout.tilt:
            warnings.append(
                f"{name} says that the gantry was tilted by {header_tilt:g} degrees, but its slices lie straight."
            )
        return layout
    return _single_layout(planes[0], settings, shown, name, warnings)


def _single_layout(plane: Plane, settings: ReadSettings, shown: str, name: str, warnings: list[str]) -> Layout:
    """Place one slice; a radiograph without a place lies at the origin."""
    given = chosen_spacing(settings.spacing)
    spacing = (given[1], given[2]) if given and plane.spacing is None else plane.spacing
    if spacing is None:
        raise ChoiceError(f"{shown} does not say how large its voxels are; say it.", "spacing")
    thickness = plane.thickness
    if not thickness > 0:
        thickness = given[0] if given else 1.0
        warnings.append(f"{name} is one slice that does not say how thick it is; {thickness:g} mm was taken.")
    position, directions = plane.position, plane.directions
    if position is None or directions is None:
        warnings.append(f"{name} does not say where it lies; left and right may be swapped.")
        position, directions = np.zeros(3), np.eye(3)[:2]
    return Layout(position[None], directions, spacing, thickness)


def _decide(layout: Layout, tilt: str, shown: str) -> bool:
    """Whether to straighten: only where slices are tilted or uneven, and only when told to."""
    even = layout.even
    if even and not layout.tilt:
        return False
    if tilt == "straighten":
        return True
    if even and tilt == "keep":
        return False
    gaps = layout.gaps
    found = [f"tilted by {layout.tilt:.1f} degrees"] if layout.tilt else []
    if not even:
        found.append(f"unevenly apart: {gaps.min():.3g} to {gaps.max():.3g} mm, {np.median(gaps):.3g} mm mostly")
    choices = [("straighten", "resample linearly onto a straight, even grid; this is recorded")]
    if even:
        choices.insert(0, ("keep", "keep the voxels and their sheared grid exactly as they are"))
    raise ChoiceError(
        f"{shown}: its {len(layout.positions)} slices are {' and '.join(found)}"
        f"{'' if even else ' (a slice may be missing)'}; say what to do with them.",
        "tilt",
        tuple(choices),
    )


def _straighten(voxels: NDArray[Any], layout: Layout, shown: str) -> tuple[NDArray[Any], Layout, Step]:
    try:
        return straighten(voxels, layout)
    except ScanError as error:
        raise ScanError(f"{shown}: {error}") from error


def _suv(series: Series, settings: ReadSettings, name: str, warnings: list[str]) -> tuple[float, list[Step]]:
    if modality_of(series.header) != "PT" or not settings.suv:
        return 1.0, []
    factor, reason = suv_factor(tuple(plane.header for plane in series.planes))
    if factor is None:
        if reason:
            warnings.append(f"{name} could not be turned into SUV: {reason}. Its values were kept as they are.")
        return 1.0, []
    what = "Activity in Bq/ml was multiplied by body weight over decayed dose: SUV in g/ml."
    return factor, [Step("suv", what, {"factor": factor, "from": "BQML", "to": "SUVbw"})]


def _person(
    series: Series, pixels: Pixels, settings: ReadSettings, key: bytes | None
) -> tuple[dict[str, Any], list[Step]]:
    if not settings.deidentify:
        return plain(series.header), []
    person = person_of(series.header, key or private_key(), pixels.digest)
    facts, step = deidentified(series.header, pixels.tags, person)
    return facts, [step]


def _volume_steps(stack: Stack, chosen: tuple[int, ...]) -> list[Step]:
    count = len(stack.volumes)
    if count == 1:
        return []
    numbers = ", ".join(map(str, chosen))
    return [Step("volumes", f"Volumes {numbers} of {count} were taken as channels.", {"volumes": list(chosen)})]


def _channels(
    voxels: NDArray[Any], series: Series, stack: Stack, chosen: tuple[int, ...], settings: ReadSettings, shown: str
) -> tuple[NDArray[Any], tuple[str, ...], list[Step]]:
    """Names of channels, and colours as `settings.colour` wants them; voxels stay (c, slice, row, column)."""
    samples = series.planes[0].samples
    base = channel_of(series.header)
    names = tuple(f"{base} {stack.names()[v]}".strip() for v in chosen)
    if samples == 1:
        return voxels, names, []
    if samples != 3 or len(names) > 1:
        raise ScanError(f"{shown} holds several coloured volumes, or {samples} values per voxel, which is not read.")
    coloured, channels, steps, _ = as_channels(voxels, settings, shown)
    return coloured, channels, list(steps)


def _geometry(voxels: NDArray[Any], layout: Layout, shown: str) -> Geometry:
    """The grid; of voxels (c, slice, row, column) the source axes are (column, row, slice)."""
    slices, rows, columns = voxels.shape[1:]
    try:
        return Geometry.from_source((columns, rows, slices), layout.affine, {"format": FORMAT})
    except GeometryError as error:
        raise ScanError(f"{shown} has no usable orientation: {error}") from error
