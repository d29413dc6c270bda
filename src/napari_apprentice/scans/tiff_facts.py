"""What ImageJ and OME write into a TIFF about voxel sizes and channels.

Resolution tags of other programs are the size on paper and say nothing about the body.
"""

from collections.abc import Mapping
from typing import Any

from tifffile import TiffFile, xml2dict

from napari_apprentice.scans.flat_grid import millimetres

Told = tuple[float | None, float | None, float | None]
_X_RESOLUTION, _Y_RESOLUTION = 282, 283


def told_spacing(file: TiffFile) -> Told:
    """Millimetres along (z, y, x), each None where the file does not say."""
    if file.is_ome:
        pixels = _pixels(file)
        return _physical(pixels, "Z"), _physical(pixels, "Y"), _physical(pixels, "X")
    if file.is_imagej:
        facts: Mapping[str, Any] = file.imagej_metadata or {}
        unit = str(facts.get("unit", "")).replace("\\u00B5", "µ")
        z = millimetres(float(facts.get("spacing", 0)), unit)
        return z, _per_voxel(file, _Y_RESOLUTION, unit), _per_voxel(file, _X_RESOLUTION, unit)
    return None, None, None


def channel_names(file: TiffFile) -> tuple[str, ...]:
    """Names of channels in OME metadata; () when one has none."""
    if not file.is_ome:
        return ()
    channels = _pixels(file).get("Channel", ())
    found = [str(c.get("Name", "")) for c in (channels if isinstance(channels, list | tuple) else [channels])]
    return tuple(found) if all(found) and len(set(found)) == len(found) else ()


def _pixels(file: TiffFile) -> Mapping[str, Any]:
    document: Mapping[str, Any] = xml2dict(file.ome_metadata or "<OME/>")
    image = (document.get("OME") or {}).get("Image") or {}
    image = image[0] if isinstance(image, list | tuple) else image
    pixels: Mapping[str, Any] = image.get("Pixels") or {}
    return pixels


def _physical(pixels: Mapping[str, Any], axis: str) -> float | None:
    # OME 2016-06: PhysicalSizeX, in micrometres where no unit is named.
    value, unit = pixels.get(f"PhysicalSize{axis}"), str(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
    return None if value is None else millimetres(float(value), unit)


def _per_voxel(file: TiffFile, tag_number: int, unit: str) -> float | None:
    tag = file.pages.first.tags.get(tag_number)
    if tag is None or not tag.value[0]:
        return None
    count, length = tag.value
    return millimetres(length / count, unit)
