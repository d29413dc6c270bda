"""Zstandard chunks that are looked at before they are unpacked: some bytes can unpack to more than all memory.

Source of the frame header: RFC 8878, section 3.1.1.1.
"""

import math

import numpy as np
from zarr.codecs import ZstdCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer

_MAGIC = b"\x28\xb5\x2f\xfd"
_ID_BYTES, _SIZE_BYTES = (0, 1, 2, 4), (0, 2, 4, 8)


class BoundedZstd(ZstdCodec):
    """Zstandard that unpacks a chunk only when it says that it has just the bytes of its voxels.

    Writers say it, and a frame that unpacks to more than it says is refused by Zstandard itself.
    """

    def _decode_sync(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        _refuse_another_size(chunk_bytes, chunk_spec)
        return super()._decode_sync(chunk_bytes, chunk_spec)

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        _refuse_another_size(chunk_bytes, chunk_spec)  # zarr's versions differ in which of the two they call
        return await super()._decode_single(chunk_bytes, chunk_spec)


def _refuse_another_size(chunk_bytes: Buffer, chunk_spec: ArraySpec) -> None:
    expected = math.prod(chunk_spec.shape) * chunk_spec.dtype.to_native_dtype().itemsize
    head = np.ascontiguousarray(chunk_bytes.as_numpy_array()[:18]).tobytes()
    if content_bytes(head) != expected:
        raise ValueError("a chunk does not hold as many voxels as it should")


def content_bytes(head: bytes) -> int | None:
    """Bytes that a Zstandard frame unpacks to, from its first 18; None when it does not say."""
    if len(head) < 6 or head[:4] != _MAGIC:
        return None
    flags = head[4]
    alone = bool(flags & 0x20)
    length = _SIZE_BYTES[flags >> 6] or int(alone)
    start = 5 + (0 if alone else 1) + _ID_BYTES[flags & 3]
    if length == 0 or len(head) < start + length:
        return None
    return int.from_bytes(head[start : start + length], "little") + (256 if length == 2 else 0)
