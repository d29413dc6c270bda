"""One stroke as bytes: a checked head, a JSON header, the voxels compressed.

A record is ``magic, header length, payload length, CRC-32 of header and payload, CRC-32 of the head``,
then the header (JSON) and the payload (zlib over the four arrays, little-endian, C order). The head has a
checksum of its own, so that a damaged length is not taken for a torn end.
"""

import json
import math
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_apprentice.core.correction import EDITED, Stroke

MAGIC = b"STRK"
_FIELDS = struct.Struct("<4sIQI")
_CRC = struct.Struct("<I")
HEAD = _FIELDS.size + _CRC.size
_ARRAYS = ("labels_before", "labels_after", "status_before", "status_after")


class TornError(ValueError):
    """The record was not written to its end."""


class DamagedError(ValueError):
    """The record was written whole once and is not what it was."""


def encode(header: dict[str, Any], payload: bytes = b"") -> bytes:
    """Bytes of one record."""
    text = json.dumps(header).encode()
    fields = _FIELDS.pack(MAGIC, len(text), len(payload), zlib.crc32(payload, zlib.crc32(text)))
    return fields + _CRC.pack(zlib.crc32(fields)) + text + payload


def decode(data: memoryview, offset: int) -> tuple[dict[str, Any], memoryview, int]:
    """Header, payload and the next record's offset.

    Raises
    ------
    TornError
        The data ends inside the record.
    DamagedError
        A checksum does not hold.
    """
    rest = data[offset:]
    if len(rest) < HEAD:
        raise TornError
    magic, header_length, payload_length, crc = _FIELDS.unpack_from(rest)
    if magic != MAGIC or _CRC.unpack_from(rest, _FIELDS.size)[0] != zlib.crc32(rest[: _FIELDS.size]):
        raise DamagedError
    middle = HEAD + header_length
    end = middle + payload_length
    if end > len(rest):
        raise TornError
    if zlib.crc32(rest[HEAD:end]) != crc:
        raise DamagedError
    try:
        header = json.loads(bytes(rest[HEAD:middle]))
    except (ValueError, RecursionError) as error:
        raise DamagedError from error
    if not isinstance(header, dict):
        raise DamagedError
    return header, rest[middle:end], offset + end


def another_follows(data: bytes, offset: int) -> bool:
    """Whether a record begins after an offset: what is unreadable before it is damage, not a torn end."""
    while (offset := data.find(MAGIC, offset)) >= 0:
        head = data[offset : offset + HEAD]
        if len(head) == HEAD and _CRC.unpack_from(head, _FIELDS.size)[0] == zlib.crc32(head[: _FIELDS.size]):
            return True
        offset += 1
    return False


def encode_stroke(stroke: Stroke) -> bytes:
    """Bytes of a stroke's record."""
    arrays = [_little(getattr(stroke, name)) for name in _ARRAYS]
    header = {
        "start": [int(s) for s in stroke.start],
        "shape": list(stroke.labels_after.shape),
        "dtypes": [a.dtype.str for a in arrays],
        "tool": stroke.tool,
        "seconds": stroke.seconds,
    }
    packer = zlib.compressobj(1)  # array by array: a whole scan is never copied at once
    parts = [packer.compress(np.ascontiguousarray(a).data) for a in arrays]
    return encode(header, b"".join([*parts, packer.flush()]))


def decode_stroke(header: dict[str, Any], payload: memoryview) -> Stroke:
    """The stroke of a record.

    Raises
    ------
    DamagedError
        Header and payload do not fit together.
    """
    try:
        return _stroke(header, payload)
    except (ValueError, KeyError, TypeError, IndexError, zlib.error) as error:
        raise DamagedError from error


def _stroke(header: dict[str, Any], payload: memoryview) -> Stroke:
    z, y, x = (int(s) for s in header["start"])
    shape = [int(n) for n in header["shape"]]
    dtypes = [np.dtype(d) for d in header["dtypes"]]
    if min(z, y, x, *shape) < 0 or len(shape) != 3 or len(dtypes) != 4:
        raise DamagedError
    if any(d.kind != "u" or d.itemsize > 2 for d in dtypes):
        raise DamagedError
    sizes = [math.prod(shape) * d.itemsize for d in dtypes]
    data = zlib.decompressobj().decompress(payload, sum(sizes) + 1)
    if len(data) != sum(sizes):
        raise DamagedError
    arrays, offset = [], 0
    for size, dtype in zip(sizes, dtypes, strict=True):
        arrays.append(np.frombuffer(data, dtype, math.prod(shape), offset).reshape(shape).copy())
        offset += size
    if max(int(a.max(initial=0)) for a in arrays[2:]) > EDITED:
        raise DamagedError
    before, after, status_before, status_after = arrays
    seconds = float(header["seconds"])
    return Stroke((z, y, x), before, after, status_before, status_after, str(header["tool"]), seconds)


def _little(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(array.dtype.newbyteorder("<"), copy=False)
