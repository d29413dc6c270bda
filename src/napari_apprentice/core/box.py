"""Boxes that a person draws on a scan."""

from napari_apprentice.core.correction import Box
from napari_apprentice.errors import InputError


def inside(box: Box, shape: tuple[int, ...]) -> Box:
    """The part of a box that lies in the grid; InputError when there is none."""
    z, y, x = (slice(max(s.start, 0), min(s.stop, n)) for s, n in zip(box, shape, strict=True))
    if any(s.start >= s.stop for s in (z, y, x)):
        raise InputError("The box lies beside the scan; draw it over the scan.")
    return z, y, x
