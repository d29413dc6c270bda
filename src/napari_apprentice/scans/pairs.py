"""Scans in two files: a header (.hdr) and its voxels (.img), either of them gzipped or not."""

from pathlib import Path

from napari_apprentice.errors import ScanError

HEADERS = (".hdr", ".hdr.gz")
IMAGES = (".img", ".img.gz")
PAIR = (*HEADERS, *IMAGES)


def is_pair(path: Path) -> bool:
    """Whether a file's name says that it is one half of two."""
    return path.name.lower().endswith(PAIR)


def header_of(path: Path) -> Path:
    """The header file of a pair, whichever of the two is named.

    Raises
    ------
    ScanError
        The header is not there.
    """
    if path.name.lower().endswith(HEADERS):
        return path
    return _other(path, HEADERS, "header")


def image_of(path: Path) -> Path:
    """The voxel file of a pair, whichever of the two is named.

    Raises
    ------
    ScanError
        The voxel file is not there.
    """
    if path.name.lower().endswith(IMAGES):
        return path
    return _other(path, IMAGES, "voxels")


def has_header(path: Path) -> bool:
    """Whether the header of a voxel file lies beside it."""
    return _beside(path, HEADERS) is not None


def _other(path: Path, suffixes: tuple[str, str], what: str) -> Path:
    found = _beside(path, suffixes)
    if found is None:
        stem = _stem(path)
        raise ScanError(
            f"{path.name} is one half of a scan in two files; the other, {stem}{suffixes[0]} with its {what}, is "
            "missing. Put both into one folder."
        )
    return found


def _beside(path: Path, suffixes: tuple[str, str]) -> Path | None:
    names = {p.name.lower(): p for p in path.parent.iterdir() if p.is_file()}
    zipped = path.name.lower().endswith(".gz")
    # Of two, the one that is packed like the file that was named.
    wanted = (_stem(path).lower() + suffix for suffix in sorted(suffixes, key=lambda s: s.endswith(".gz") != zipped))
    return next((names[name] for name in wanted if name in names), None)


def _stem(path: Path) -> str:
    suffix = next(s for s in sorted(PAIR, key=len, reverse=True) if path.name.lower().endswith(s))
    return path.name[: -len(suffix)]
