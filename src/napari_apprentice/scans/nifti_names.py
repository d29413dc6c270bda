"""Label names in a NIfTI file: a comment extension with JSON, which other tools pass over.

Source: https://nifti.nimh.nih.gov/nifti-1/documentation/nifti1fields/nifti1fields_pages/extension.html
"""

import gzip
import json
import struct
from collections.abc import Mapping
from pathlib import Path

from napari_apprentice.scans.raw import GZIP

_COMMENT = 6
_KEY = "apprentice_labels"
_MOST = 1 << 20


def names_extension(names: Mapping[int, str]) -> bytes:
    """The extension bytes after the header; four zeros when there are no names."""
    if not names:
        return bytes(4)
    text = json.dumps({_KEY: {str(i): n for i, n in sorted(names.items())}}).encode()
    size = -(-(len(text) + 8) // 16) * 16
    return b"\x01\0\0\0" + struct.pack("<ii", size, _COMMENT) + text.ljust(size - 8, b"\0")


def read_names(path: Path) -> dict[int, str]:
    """Label ids and names that this program wrote into a NIfTI file; {} for any other file.

    Raises
    ------
    OSError, ValueError
        The file cannot be read that far.
    """
    with path.open("rb") as file:
        zipped = file.read(2) == GZIP
    with gzip.open(path) if zipped else path.open("rb") as file:
        (size,) = struct.unpack("<i", file.read(4))
        if size not in (348, 540) or file.read(size)[size - 4 :] != b"\x01\0\0\0":
            return {}
        length, code = struct.unpack("<ii", file.read(8))
        if code != _COMMENT or not 8 < length < _MOST:
            return {}
        text = file.read(length - 8).rstrip(b"\0")
    try:
        names = json.loads(text)[_KEY]
        return {int(i): str(n) for i, n in names.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
