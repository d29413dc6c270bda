"""Encrypted chunks: a Zarr v3 bytes-to-bytes codec around a study's vault.

It is not in Zarr's registry: a codec made from a description alone has no key. Writers pass an instance with the
vault in it, and readers put such instances in place of the description (`with_keys`) before Zarr sees it.
"""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from zarr.abc.codec import BytesBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer

from napari_apprentice.store.bounded_zstd import BoundedZstd
from napari_apprentice.store.cipher import EXTRA_BYTES
from napari_apprentice.store.trust import ENCRYPTING
from napari_apprentice.store.vault import Vault

ZSTD = "zstd"


@dataclass(frozen=True)
class AesGcmCodec(BytesBytesCodec):
    """Encrypts every chunk on its own with AES-256-GCM: nonce, bytes, tag.

    A chunk opens only in the array it was written for. Zarr does not tell a codec which chunk of an array it is
    given; two chunks of one array that were exchanged are found by the digest over the whole array.

    Parameters
    ----------
    vault
        Of the array's place; encrypted.
    array
        Random id of the array.
    """

    is_fixed_size = True

    vault: Vault
    array: str = field(default_factory=lambda: uuid.uuid4().hex)

    def to_dict(self) -> dict[str, Any]:
        """What zarr.json says of it."""
        return {"name": ENCRYPTING, "configuration": {"array": self.array}}

    def compute_encoded_size(self, input_byte_length: int, _chunk_spec: ArraySpec) -> int:
        """Bytes of a sealed chunk."""
        return input_byte_length + EXTRA_BYTES

    def _encode_sync(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        sealed = self.vault.at(self.array).seal(chunk_bytes.as_numpy_array().data)
        return chunk_spec.prototype.buffer.from_array_like(np.frombuffer(sealed, np.uint8))

    def _decode_sync(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        opened = self.vault.at(self.array).open(np.ascontiguousarray(chunk_bytes.as_numpy_array()).data)
        return chunk_spec.prototype.buffer.from_array_like(np.frombuffer(opened, np.uint8))

    async def _encode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        return await asyncio.to_thread(self._encode_sync, chunk_bytes, chunk_spec)

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        return await asyncio.to_thread(self._decode_sync, chunk_bytes, chunk_spec)


def with_keys(document: Mapping[str, Any], vault: Vault) -> dict[str, Any]:
    """An array's zarr.json with codecs that hold the vault, or look before they unpack, in place of descriptions.

    Raises
    ------
    KeyError, TypeError, ValueError
        The document is not an array's.
    """
    return {**document, "codecs": [_keyed(codec, vault) for codec in document["codecs"]]}


def _keyed(codec: Mapping[str, Any], vault: Vault) -> Any:
    if codec["name"] == ENCRYPTING:
        return AesGcmCodec(vault, str(codec["configuration"]["array"]))
    settings = codec.get("configuration", {})
    if codec["name"] == ZSTD:
        return BoundedZstd(**settings)
    if "codecs" in settings:
        return {**codec, "configuration": {**settings, "codecs": [_keyed(c, vault) for c in settings["codecs"]]}}
    return dict(codec)
