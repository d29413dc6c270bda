"""The one place that calls zarr to write and read voxels."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec
from zarr.errors import BaseZarrError
from zarr.storage import LocalStore, StorePath

from napari_apprentice.errors import StorageError, StudyError
from napari_apprentice.store.cipher_codec import AesGcmCodec, with_keys
from napari_apprentice.store.documents import MALFORMED, read_document
from napari_apprentice.store.files import storage_errors
from napari_apprentice.store.trust import count_files, refuse_absurd_array
from napari_apprentice.store.vault import PLAIN, Vault

CHUNK = 64
SHARD = 256
# What zarr and its codecs raise over bytes that are not what they should be.
_DAMAGE = (*MALFORMED, RuntimeError, OverflowError, MemoryError, BaseZarrError)


def create_group(path: Path, attributes: Mapping[str, Any]) -> None:
    """Lay down a Zarr v3 group with attributes."""
    zarr.create_group(store=LocalStore(path), attributes=dict(attributes))


def set_attributes(path: Path, attributes: Mapping[str, Any]) -> None:
    """Add attributes to a group that is still aside."""
    zarr.open_group(store=LocalStore(path), mode="r+").update_attributes(dict(attributes))


def write_array(
    group: Path, name: str, voxels: NDArray[Any], axes: Sequence[str], *, sharded: bool, vault: Vault = PLAIN
) -> str:
    """Write voxels as a Zarr v3 array in 64^3 chunks, zstd-3 with checksums, encrypted where the study is.

    Parameters
    ----------
    voxels
        Last three axes (z, y, x); any number type, stored little-endian.
    axes
        One name per axis.
    sharded
        Whether 64^3 chunks are gathered in 256^3 files.
    vault
        The study's, at the array's place.

    Returns
    -------
    SHA-256 of the little-endian C-order bytes, hexadecimal.
    """
    voxels = little_endian(voxels)
    array = create_array(group, name, voxels.shape, voxels.dtype, axes, sharded=sharded, vault=vault)
    array[...] = voxels
    return digest(voxels)


def create_array(
    group: Path,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    axes: Sequence[str],
    *,
    sharded: bool = False,
    chunks: tuple[int, ...] | None = None,
    vault: Vault = PLAIN,
) -> "zarr.Array[Any]":
    """Lay down an array without voxels, to be written part by part; see `write_array`.

    Parameters
    ----------
    chunks
        By default 64^3; never with `sharded`.
    """
    usual, shards = _layout(shape)
    zstd = ZstdCodec(level=3, checksum=True)
    return zarr.open_group(store=LocalStore(group), mode="r+").create_array(
        name,
        shape=shape,
        dtype=dtype.newbyteorder("<"),
        chunks=chunks or usual,
        shards=shards if sharded else None,
        compressors=(zstd, AesGcmCodec(vault)) if vault.encrypted else zstd,
        fill_value=0,
        dimension_names=list(axes),
        # Every chunk has a file, so that a lost file is damage and not silently zero.
        config={"write_empty_chunks": True},
    )


def open_array(path: Path, vault: Vault = PLAIN) -> "zarr.Array[Any]":
    """Open an array without reading a voxel.

    Parameters
    ----------
    vault
        The study's, at the array's place.

    Raises
    ------
    StudyError
        It is absent or damaged, leads elsewhere by a link, or is of a kind that this program does not write.
    """
    with storage_errors(f"the array {_where(path)}"):
        try:
            count_files(path)  # before zarr follows a link
        except StudyError as error:
            raise StudyError(f"The stored array {_where(path)} is damaged: {error}") from error
        try:
            document = read_document(path / "zarr.json")
        except (StudyError, StorageError) as error:
            if isinstance(error, StorageError) and not _is_lost(path):
                raise
            raise StudyError(f"The stored array {_where(path)} is damaged or missing.") from error
        refuse_absurd_array(document, _where(path), encrypted=vault.encrypted)
        try:
            store = LocalStore(path, read_only=True)
            return _with_codecs(document, store, vault)
        except (*_DAMAGE, FileNotFoundError) as error:
            raise StudyError(f"The stored array {_where(path)} is damaged or missing.") from error


def _with_codecs(document: Mapping[str, Any], store: LocalStore, vault: Vault) -> "zarr.Array[Any]":
    # Not by the store alone: zarr makes codecs from what zarr.json says, and these have no key and no bounds.
    metadata: Any = with_keys(document, vault)
    return zarr.Array(zarr.AsyncArray(metadata=metadata, store_path=StorePath(store)))


def read_array(path: Path, vault: Vault = PLAIN) -> NDArray[Any]:
    """Read all voxels of an array.

    Parameters
    ----------
    vault
        The study's, at the array's place.

    Raises
    ------
    StudyError
        It is absent, a chunk is missing, a checksum does not hold, or encrypted bytes were altered.
    """
    array = open_array(path, vault)
    with storage_errors(f"the array {_where(path)}"):
        grid = np.ceil(np.divide(array.shape, array.shards or array.chunks))
        if count_files(path / "c") < math.prod(grid.tolist()):
            raise StudyError(f"The stored array {_where(path)} is damaged: some of its files are missing.")
        try:
            return np.asarray(array[...])
        except _DAMAGE as error:
            raise StudyError(f"The stored array {_where(path)} is damaged: {_said(error)}.") from error


def read_box(path: Path, box: tuple[slice, ...], vault: Vault = PLAIN) -> NDArray[Any]:
    """Read the voxels of a box of an array; raises as `read_array` does."""
    array = open_array(path, vault)
    with storage_errors(f"the array {_where(path)}"):
        try:
            return np.asarray(array[box])
        except _DAMAGE as error:
            raise StudyError(f"The stored array {_where(path)} is damaged: {_said(error)}.") from error


def read_attributes(group: Path) -> dict[str, Any]:
    """Attributes of a group, cheaply.

    Raises
    ------
    StudyError
        The group's document is damaged.
    """
    try:
        attributes = read_document(group / "zarr.json").get("attributes", {})
    except StudyError as error:
        raise StudyError(f"The stored group {_where(group)} is damaged: {error}") from error
    except StorageError as error:
        if _is_lost(group):
            raise StudyError(f"The stored group {_where(group)} is missing.") from error
        raise
    if not isinstance(attributes, dict):
        raise StudyError(f"The stored group {_where(group)} is damaged: it has no attributes.")
    return attributes


def _is_lost(folder: Path) -> bool:
    """Whether a folder is missing from one that is there, as after a copy in part; a share goes with both."""
    with suppress(OSError):
        return not folder.exists() and folder.parent.is_dir()
    return False


def little_endian(voxels: NDArray[Any]) -> NDArray[Any]:
    """Keep the values, little-endian; copied only when they were big-endian."""
    return voxels.astype(voxels.dtype.newbyteorder("<"), copy=False)


def digest(*arrays: NDArray[Any]) -> str:
    """SHA-256 over the little-endian C-order bytes of arrays, one after the other; hexadecimal."""
    sha = hashlib.sha256()
    for array in arrays:
        _feed(sha, little_endian(array))
    return sha.hexdigest()


def _feed(sha: "hashlib._Hash", array: NDArray[Any]) -> None:
    # Slab by slab, so that a scan in another memory order is never copied whole.
    if array.ndim > 2:
        for part in array:
            _feed(sha, part)
    else:
        sha.update(np.ascontiguousarray(array).data)


def _layout(shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    lead = (1,) * (len(shape) - 3)
    chunks = tuple(min(CHUNK, n) for n in shape[-3:])
    shards = tuple(c * min(SHARD // CHUNK, -(-n // c)) for c, n in zip(chunks, shape[-3:], strict=True))
    return lead + chunks, lead + shards


def _said(error: Exception) -> str:
    return str(error) or "it takes more memory than there is"  # MemoryError says nothing


def _where(path: Path) -> str:
    parts = path.parts
    return "/".join(parts[parts.index("cases.zarr") + 1 :] if "cases.zarr" in parts else parts[-2:])
