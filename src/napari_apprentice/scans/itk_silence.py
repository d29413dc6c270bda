"""What the header of an NRRD or MetaImage leaves out: ITK takes axes to Left, Posterior, Superior and 1 mm for it."""

import re
from pathlib import Path

_MOST = 1 << 16
_PLACE = re.compile(r"\s*(space\s*:|(TransformMatrix|Rotation|Orientation)\s*[=:])", re.IGNORECASE)
_SIZE = re.compile(r"\s*((space directions|spacings)\s*:|(ElementSpacing|ElementSize)\s*[=:])", re.IGNORECASE)
_END = re.compile(r"\s*|\s*ElementDataFile\s*[=:].*", re.IGNORECASE)  # voxels may follow


def silence_warnings(path: Path) -> list[str]:
    """A sentence each where a header says neither how large voxels are, nor where left and right are."""
    lines = _header(path)
    found = []
    if not any(map(_SIZE.match, lines)):
        found.append(f"{path.name} does not say how large its voxels are; 1 mm was taken.")
    if not any(map(_PLACE.match, lines)):
        found.append(f"{path.name} says nothing about its orientation; left and right may be swapped.")
    return found


def _header(path: Path) -> list[str]:
    with path.open("rb") as file:
        lines = file.read(_MOST).decode("latin-1").splitlines()
    end = next((n for n, line in enumerate(lines) if _END.fullmatch(line)), len(lines))
    return lines[:end]
