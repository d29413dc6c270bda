"""The files in which a detached header (.mhd, .nhdr) says that its voxels are."""

import os
import re
from pathlib import Path

from napari_apprentice.errors import ScanError

DETACHED = (".nhdr", ".mhd")
_KEYS = re.compile(r"\s*(?:data file|datafile|ElementDataFile)\s*[:=]\s*(.+?)\s*$", re.IGNORECASE)
_MOST = 1 << 20
_LOCAL = "LOCAL"


def voxel_files(path: Path) -> tuple[Path, ...]:
    """Files of voxels beside a header; the header itself where it holds them.

    Raises
    ------
    ScanError
        One is missing, or lies outside of the header's folder.
    """
    if path.suffix.lower() not in DETACHED:
        return (path,)
    names = _names(path)
    return tuple(_inside(path, name) for name in names) or (path,)


def _names(path: Path) -> list[str]:
    with path.open("rb") as file:
        lines = file.read(_MOST).decode("latin-1").splitlines()
    for number, line in enumerate(lines):
        match = _KEYS.match(line)
        if match is None:
            continue
        value = match.group(1)
        if value.upper() == _LOCAL:
            return []
        if value.upper().startswith("LIST"):
            return [text.strip() for text in lines[number + 1 :] if text.strip()]
        return _numbered(value) if "%" in value else [value]
    return []


def _numbered(value: str) -> list[str]:
    """Names of a pattern such as "slice%03d.raw 1 60 1"."""
    pattern, *numbers = value.split()
    try:
        first, last, step = (*(int(n) for n in numbers), 1)[:3]
        return [pattern % n for n in range(first, last + 1, step)]
    except (ValueError, TypeError):
        return [value]


def _inside(path: Path, name: str) -> Path:
    # A link beside the header is a file beside it, wherever it leads: DataLad and git-annex keep all files so.
    folder = path.parent.absolute()
    file = Path(os.path.normpath(folder / name))
    if not file.is_relative_to(os.path.normpath(folder)):
        raise ScanError(
            f"{path.name} says that its voxels are in {Path(name).name}, outside of its own folder. Put that file "
            "beside it and correct the name in its header."
        )
    if not file.is_file():
        raise ScanError(f"{path.name} says that its voxels are in {name}, which is missing. Put that file beside it.")
    return file
