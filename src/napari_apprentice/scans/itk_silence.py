"""What the header of an NRRD or MetaImage leaves out: ITK takes axes to Left, Posterior, Superior and 1 mm for it.

And what ITK passes over in it: units of length, and the names of spaces other than LPS, RAS and LAS.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from napari_apprentice.scans.flat_grid import UNITS

_MOST = 1 << 16
_PLACE = re.compile(r"\s*(space\s*:|(TransformMatrix|Rotation|Orientation)\s*[=:])", re.IGNORECASE)
_SIZE = re.compile(r"\s*((space directions|spacings)\s*:|(ElementSpacing|ElementSize)\s*[=:])", re.IGNORECASE)
_SPACE = re.compile(r"space\s*:\s*(.*?)\s*", re.IGNORECASE)
_UNITS = re.compile(r"(space )?units\s*:.*", re.IGNORECASE)
_PATIENT = re.compile(r"(right|left)-(anterior|posterior)-superior(-time)?|[rl][ap]st?", re.IGNORECASE)
# What turns a space with time, which ITK takes for LPS whatever its name says, into LPS.
_TIMED = {"right-anterior-superior-time": (-1, -1, 1), "rast": (-1, -1, 1),
          "left-anterior-superior-time": (1, -1, 1), "last": (1, -1, 1)}  # fmt: skip
_END = re.compile(r"\s*|\s*ElementDataFile\s*[=:].*", re.IGNORECASE)  # voxels may follow


def silence_warnings(path: Path) -> list[str]:
    """A sentence each where a header says neither how large voxels are, nor where left and right are."""
    lines = _header(path)
    found = []
    if not any(map(_SIZE.match, lines)):
        found.append(f"{path.name} does not say how large its voxels are; 1 mm was taken.")
    if not any(map(_PLACE.match, lines)) or not _PATIENT.fullmatch(_space(lines) or "lps"):
        found.append(f"{path.name} says nothing about its orientation; left and right may be swapped.")
    named = {unit for line in lines if _UNITS.fullmatch(line) for unit in re.findall(r'"([^"]*)"', line)}
    other = sorted(unit for unit in named if UNITS.get(unit.strip().lower(), 1.0) != 1.0)
    if other:
        found.append(f"{path.name} says that its lengths are in {', '.join(other)}; they were taken as millimetres.")
    return found


def signs_to_lps(path: Path) -> tuple[int, int, int]:
    """What the world axes of an image must be multiplied by after ITK has read it."""
    return _TIMED.get(_space(_header(path)).lower(), (1, 1, 1))


def _space(lines: Sequence[str]) -> str:
    """The name of an NRRD's space; "" where it has none."""
    return next((match[1] for match in map(_SPACE.fullmatch, lines) if match), "")


def _header(path: Path) -> list[str]:
    with path.open("rb") as file:
        lines = file.read(_MOST).decode("latin-1").splitlines()
    end = next((n for n, line in enumerate(lines) if _END.fullmatch(line)), len(lines))
    return lines[:end]
