"""Names and colours of labels from a text file beside a label map, where its own format has no place for them.

ITK-SNAP writes `1 255 0 0 1 1 1 "Liver"` (number, red, green, blue, opacity, two switches, name); FreeSurfer
and 3D Slicer write `17 Left-Hippocampus 220 216 20 0` (number, name, red, green, blue, the rest of opacity).
"""

import re
from pathlib import Path

from napari_apprentice.scans.suffixes import stem_of

_SUFFIXES = (".label", ".txt", ".ctbl", ".lut")
_MOST_BYTES = 1 << 20
_ITKSNAP = re.compile(r'(?P<id>\d+)\s+(?P<r>\d+)\s+(?P<g>\d+)\s+(?P<b>\d+)\s+[\d.]+\s+[01]\s+[01]\s+"(?P<name>[^"]+)"')
_FREESURFER = re.compile(r"(?P<id>\d+)\s+(?P<name>[^\d\s]\S*)\s+(?P<r>\d+)\s+(?P<g>\d+)\s+(?P<b>\d+)(\s+\d+)?")


def read_label_list(path: Path) -> tuple[dict[int, str], dict[int, str]]:
    """Names and colours (#rrggbb) from the list beside a label map: the same name, ending in .label, .txt ...

    A text that is no such list, from its first line to its last, is passed over.

    Raises
    ------
    OSError
        It cannot be read.
    """
    for suffix in _SUFFIXES:
        beside = path.with_name(stem_of(path) + suffix)
        if beside.is_file() and beside.stat().st_size <= _MOST_BYTES:
            names, colours = _parsed(beside.read_text("utf-8", errors="replace"))
            if names:
                return names, colours
    return {}, {}


def _parsed(text: str) -> tuple[dict[int, str], dict[int, str]]:
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    for form in (_ITKSNAP, _FREESURFER):
        found = [form.fullmatch(line) for line in lines]
        rows = [match for match in found if match]
        colours = {int(m["id"]): (int(m["r"]), int(m["g"]), int(m["b"])) for m in rows}
        if rows and len(rows) == len(lines) and all(max(c) < 256 for c in colours.values()):
            names = {int(m["id"]): m["name"] for m in rows if int(m["id"])}
            return names, {i: "#" + bytes(c).hex() for i, c in colours.items() if i}
    return {}, {}
