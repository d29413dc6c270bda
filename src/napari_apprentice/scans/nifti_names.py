"""Label names and colours in the header extensions of a NIfTI file.

This program writes JSON as a comment, which other tools pass over. TotalSegmentator and Connectome Workbench write
Caret's XML, under Caret's code or none.

Source: https://nifti.nimh.nih.gov/nifti-1/documentation/nifti1fields/nifti1fields_pages/extension.html
"""

import gzip
import json
import struct
from collections.abc import Iterator, Mapping
from io import BufferedIOBase
from pathlib import Path
from xml.etree import ElementTree

from napari_apprentice.scans.pairs import header_of, is_pair
from napari_apprentice.scans.raw import GZIP

_COMMENT = 6
_CARET = (0, 30)
_NAMES = "apprentice_labels"
_COLOURS = "apprentice_colours"
_MOST = 1 << 20
_MOST_EXTENSIONS = 16


def names_extension(names: Mapping[int, str], colours: Mapping[int, str]) -> bytes:
    """The extension bytes after the header; four zeros when there are neither names nor colours."""
    if not names and not colours:
        return bytes(4)
    facts = {_NAMES: _texts(names)} | ({_COLOURS: _texts(colours)} if colours else {})
    text = json.dumps(facts).encode()
    size = -(-(len(text) + 8) // 16) * 16
    return b"\x01\0\0\0" + struct.pack("<ii", size, _COMMENT) + text.ljust(size - 8, b"\0")


def read_names(path: Path) -> tuple[dict[int, str], dict[int, str]]:
    """Names and colours (#rrggbb) of labels that this program or others wrote into a NIfTI file; none where none did.

    Raises
    ------
    OSError, ValueError
        The file cannot be read that far.
    """
    names, colours, _ = _first(path)
    return names, colours


def may_be_copied(path: Path) -> bool:
    """Whether the names are Caret's: programs that know nothing of them copy them along with the header.

    A mask made of one label of a label map then still says what the numbers of that label map mean.
    """
    return _first(path)[2] in _CARET


def _first(path: Path) -> tuple[dict[int, str], dict[int, str], int | None]:
    """The first names and colours, and the code of the extension that they stand in."""
    path = header_of(path) if is_pair(path) else path
    with path.open("rb") as file:
        zipped = file.read(2) == GZIP
    with gzip.open(path) if zipped else path.open("rb") as file:
        for code, text in _extensions(file):
            names, colours = _ours(text) if code == _COMMENT else _of_caret(text) if code in _CARET else ({}, {})
            if names:
                return names, colours, code
    return {}, {}, None


def _extensions(file: BufferedIOBase) -> Iterator[tuple[int, bytes]]:
    """Codes and contents, one after the other, up to the voxels or to one that is none."""
    (size,) = struct.unpack("<i", file.read(4))
    header = file.read(size) if size in (348, 540) else b""
    if header[-4:] != b"\x01\0\0\0":
        return
    kind, place = ("<f", 108) if size == 348 else ("<q", 168)
    begin = struct.unpack_from(kind, header, place - 4)[0]
    left = begin - size - 4 if begin else _MOST  # in a header of its own they go on to its end
    for _ in range(_MOST_EXTENSIONS):
        start = file.read(8) if left >= 16 else b""
        length, code = struct.unpack("<ii", start) if len(start) == 8 else (0, 0)
        if not 8 < length < min(_MOST, left + 1):
            return
        yield code, file.read(length - 8).rstrip(b"\0")
        left -= length


def _ours(text: bytes) -> tuple[dict[int, str], dict[int, str]]:
    try:
        facts = json.loads(text)
        return _numbered(facts[_NAMES]), _numbered(facts.get(_COLOURS, {}))
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}, {}


def _of_caret(text: bytes) -> tuple[dict[int, str], dict[int, str]]:
    """From <Label Key="5" Red="0.2" Green="0" Blue="0">liver</Label>; entities, which may blow up, are no names."""
    if b"<CaretExtension" not in text or b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        return {}, {}
    try:
        found = {int(x.attrib["Key"]): x for x in ElementTree.fromstring(text.strip()).iter("Label")}
        names = {i: (x.text or "").strip() for i, x in found.items() if i > 0}
        shares = {i: [float(found[i].get(c, "nan")) for c in ("Red", "Green", "Blue")] for i in names}
    except (ElementTree.ParseError, KeyError, ValueError):
        return {}, {}
    parts = {i: [round(255 * share) for share in rgb] for i, rgb in shares.items() if all(0 <= s <= 1 for s in rgb)}
    return {i: name for i, name in names.items() if name}, {i: "#" + bytes(rgb).hex() for i, rgb in parts.items()}


def _texts(values: Mapping[int, str]) -> dict[str, str]:
    return {str(i): text for i, text in sorted(values.items())}


def _numbered(values: Mapping[str, object]) -> dict[int, str]:
    return {int(i): str(text) for i, text in values.items()}
