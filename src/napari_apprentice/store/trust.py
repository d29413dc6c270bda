"""What is looked at before anything of a study is read: it may come from somebody else, or be damaged.

A study must not make this program run code, leave the study's folder or take all memory.
"""

import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_apprentice.errors import StudyError
from napari_apprentice.store.files import storage_errors

LARGEST_DOCUMENT = 16 * 1024**2  # bytes of JSON
_CHUNK_VOXELS, _SHARD_VOXELS = 2**22, 2**26  # this program writes 64^3 and 256^3
_LARGEST_CHUNK = 2**30  # bytes of a file: such a shard of eight bytes each, and what packing may add
_TYPES = {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)} | {
    "bool",
    "float16",
    "float32",
    "float64",
}
# What this program writes; others may run code of other packages.
_CODECS = {"bytes", "zstd", "sharding_indexed", "crc32c"}
ENCRYPTING = "apprentice.aes_gcm"


def refuse_links(root: Path, path: Path) -> None:
    """Make sure that no step from a folder of the study down to a path is a link.

    Raises
    ------
    StudyError
        One of them is.
    StorageError
        This account may not look.
    """
    with storage_errors(str(path.relative_to(root))):
        for place in (path, *path.parents):
            if place == root:
                return
            if place.is_symlink():
                raise StudyError(f"{place.parent.name}/{place.name} is a link; inside a study it is not followed.")


def read_plain(path: Path, limit: float) -> bytes:
    """Bytes of an ordinary file.

    Raises
    ------
    StudyError
        A link, something that is no file, or larger than `limit` bytes.
    OSError
        The file cannot be read.
    """
    refuse_links(path.parent, path)
    refuse_odd_file(path, limit)
    return path.read_bytes()


def refuse_odd_file(path: Path, limit: float) -> None:
    """Make sure that something can be read without waiting for ever and without taking all memory.

    Raises
    ------
    StudyError
        It is no ordinary file (a pipe, a device, a folder), or larger than `limit` bytes.
    OSError
        It is not there, or cannot be asked.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise StudyError(f"{path.parent.name}/{path.name} is no file; the study is damaged.")
    if found.st_size > limit:
        raise StudyError(f"{path.parent.name}/{path.name} is larger than such a file can be; the study is damaged.")


def count_files(folder: Path) -> int:
    """Files in a folder and its folders.

    Raises
    ------
    StudyError
        One of them is a link or no file, or larger than any that this program writes.
    """
    try:
        entries = list(os.scandir(folder))
    except OSError:  # reading it will say why
        return 0
    count = 0
    for entry in entries:  # a label map has a thousand files, so each is asked once and no path is made of it
        if entry.is_symlink():
            refuse_links(folder, Path(entry.path))
        if entry.is_dir(follow_symlinks=False):
            count += count_files(Path(entry.path))
        elif not entry.is_file(follow_symlinks=False) or entry.stat().st_size > _LARGEST_CHUNK:
            refuse_odd_file(Path(entry.path), _LARGEST_CHUNK)
        else:
            count += 1
    return count


def refuse_absurd_array(document: Mapping[str, Any], what: str, *, encrypted: bool = False) -> None:
    """Look at an array's zarr.json before zarr does.

    Parameters
    ----------
    encrypted
        Whether it belongs to an encrypted study: then it must be encrypted, and else it must not be.

    Raises
    ------
    StudyError
        It is not the kind of array that this program writes: other codecs or types, chunks of a size that
        takes all memory, or more voxels than this computer's memory holds.
    """
    try:
        sound = _is_ours(document, encrypted)
        size = math.prod(_lengths(document["shape"])) * np.dtype(document["data_type"]).itemsize
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError):
        sound, size = False, 0
    if not sound:
        raise StudyError(f"The stored array {what} is damaged: its description is not one that this program writes.")
    memory = physical_memory()
    if memory is not None and size > memory:
        raise StudyError(
            f"The stored array {what} would take {size / 1e9:.0f} GB of memory, and this computer has "
            f"{memory / 1e9:.0f} GB. It is damaged, or the study needs a larger computer."
        )


def journal_bytes() -> float:
    """Bytes above which a journal is not read: the memory of this computer."""
    return physical_memory() or math.inf


def stroke_voxels() -> float:
    """Voxels above which a stroke is not unpacked where its case's grid is not known."""
    return (physical_memory() or math.inf) / 16  # labels and status before and after, and room to use them


def physical_memory() -> int | None:
    """Bytes of this computer's memory; None where that cannot be asked."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _is_ours(document: Mapping[str, Any], encrypted: bool) -> bool:
    shape, outer = _lengths(document["shape"]), _lengths(document["chunk_grid"]["configuration"]["chunk_shape"])
    codecs = document["codecs"]
    sharded = [c for c in codecs if c["name"] == "sharding_indexed"]
    inner = _lengths(sharded[0]["configuration"]["chunk_shape"]) if sharded else outer
    return (
        (document["zarr_format"], document["node_type"]) == (3, "array")
        and document["data_type"] in _TYPES
        and not document.get("storage_transformers")
        and len(shape) == len(outer) == len(inner)
        and math.prod(outer) <= (_SHARD_VOXELS if sharded else _CHUNK_VOXELS)
        and math.prod(inner) <= _CHUNK_VOXELS
        and _names(codecs) <= _CODECS | ({ENCRYPTING} if encrypted else set())
        and (not encrypted or _ends_encrypted(sharded[0]["configuration"]["codecs"] if sharded else codecs))
    )


def _ends_encrypted(codecs: Any) -> bool:
    # What a codec behind it does would not be encrypted, and one that is missing would let plain chunks in.
    return bool(codecs[-1]["name"] == ENCRYPTING)


def _lengths(value: Any) -> tuple[int, ...]:
    lengths = tuple(value)
    if not 3 <= len(lengths) <= 4 or any(type(n) is not int or n < 1 for n in lengths):
        raise ValueError
    return lengths


def _names(codecs: Any) -> set[str]:
    names = set()
    for codec in codecs:
        names.add(str(codec["name"]))
        settings = codec.get("configuration", {})
        for inner in ("codecs", "index_codecs"):
            names |= _names(settings.get(inner, ()))
    return names
