"""Names that become folders: checked before they are part of a path."""

import re
from pathlib import Path

from napari_apprentice.errors import InputError
from napari_apprentice.store.files import is_aside

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_REVISION = re.compile(r"r(\d{4,9})")
_RUN = re.compile(r"\d{8}-\d{6}(?:-\d{3})?-(.+)-[0-9a-f]{4}")
_NUMBERED = re.compile(r"case-\d{4,9}")
# Zarr's own file, and names that Windows keeps for devices.
_TAKEN = {"zarr.json", "con", "prn", "aux", "nul"}


def check_name(what: str, name: str) -> str:
    """Return a case id, model name or run id that is safe as a folder's name.

    Raises
    ------
    InputError
        Anything but 1 to 100 of A-Z a-z 0-9 . _ - that start with a letter or digit.
    """
    if not _NAME.fullmatch(name) or name.endswith(".") or name.lower() in _TAKEN:
        raise InputError(
            f"{name[:120]!r} cannot be a {what}: use 1 to 100 letters, digits, dots, dashes or "
            "underscores, starting with a letter or digit."
        )
    return name


def is_name(name: str) -> bool:
    """Whether `check_name` lets a name pass."""
    return bool(_NAME.fullmatch(name)) and not name.endswith(".") and name.lower() not in _TAKEN


def is_number_name(case_id: str) -> bool:
    """Whether a case id is a number and so nobody's name: case-0001."""
    return _NUMBERED.fullmatch(case_id) is not None


def folders_in(path: Path) -> tuple[str, ...]:
    """Sorted names of the folders in a folder that are well-named and finished; () when it is absent."""
    if not path.is_dir():
        return ()
    return tuple(sorted(p.name for p in path.iterdir() if not is_aside(p) and is_name(p.name) and p.is_dir()))


def revision_name(number: int) -> str:
    """r0001 for 1."""
    return f"r{number:04d}"


def revision_number(name: str) -> int:
    """1 for r0001.

    Raises
    ------
    InputError
        Not a revision's name.
    """
    match = _REVISION.fullmatch(name)
    if match is None:
        raise InputError(f"{name[:120]!r} is no revision: they are named r0001, r0002 and so on.")
    return int(match.group(1))


def run_kind(run_id: str) -> str:
    """fine-tune for 20260101-120000-123-fine-tune-0a1b, and for ids of earlier versions, that end at the second."""
    match = _RUN.fullmatch(run_id)
    return match.group(1) if match else ""


def is_revision(name: str) -> bool:
    """Whether a folder's name is a revision's."""
    return _REVISION.fullmatch(name) is not None
