"""Label names and colours in a NIfTI file: a comment extension with JSON, which other tools pass over.

Source: https://nifti.nimh.nih.gov/nifti-1/documentation/nifti1fields/nifti1fields_pages/extension.html
"""

import gzip
import json
import struct
from collections.abc import Mapping
from pathlib import Path

from napari_apprentice.scans.pairs import header_of, is_pair
from napari_apprentice.scans.raw import GZIP

_COMMENT = 6
_NAMES = "apprentice_labels"
_COLOURS = "apprentice_colours"
_MOST = 1 << 20


def names_extension(names: Mapping[int, str], colours: Mapping[int, str]) -> bytes:
    """The extension bytes after the header; four zeros when there are neither names nor colours."""
    if not names and not colours:
        return bytes(4)
    facts = {_NAMES: _texts(names)} | ({_COLOURS: _texts(colours)} if colours else {})
    text = json.dumps(facts).encode()
    size = -(-(len(text) + 8) // 16) * 16
    return b"\x01\0\0\0" + struct.pack("<ii", size, _COMMENT) + text.ljust(size - 8, b"\0")


def read_names(path: Path) -> tuple[dict[int, str], dict[int, str]]:
    """Names and colours (#rrggbb) of labels that this program wrote into a NIfTI file; none for any other file.

    Raises
    ------
    OSError, ValueError
        The file cannot be read that far.
    """
    path = header_of(path) if is_pair(path) else path
    with path.open("rb") as file:
        zipped = file.read(2) == GZIP
    with gzip.open(path) if zipped else path.open("rb") as file:
        (size,) = struct.unpack("<i", file.read(4))
        if size not in (348, 540) or file.read(size)[size - 4 :] != b"\x01\0\0\0":
            return {}, {}
        length, code = struct.unpack("<ii", file.read(8))
        if code != _COMMENT or not 8 < length < _MOST:
            return {}, {}
        text = file.read(length - 8).rstrip(b"\0")
    try:
        facts = json.loads(text)
        return _numbered(facts[_NAMES]), _numbered(facts.get(_COLOURS, {}))
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}, {}


def _texts(values: Mapping[int, str]) -> dict[str, str]:
    return {str(i): text for i, text in sorted(values.items())}


def _numbered(values: Mapping[str, object]) -> dict[int, str]:
    return {int(i): str(text) for i, text in values.items()}
