"""One stroke as bytes: a checked head, a JSON header, the voxels compressed.

A record is ``magic, header length, payload length, CRC-32 of header and payload, CRC-32 of the head``,
then the header (JSON) and the payload, one zlib stream. The head has a checksum of its own, so that a damaged
length is not taken for a torn end.

The payload holds labels before and after and status before and after (little-endian, C order), whose types are the
header's `dtypes`; only the status where there are two types. Where the header has `runs` instead, it is that many
values before, values after (uint8) and lengths (uint32) of status runs: accepting changes no label.
"""

import json
import math
import struct
import zlib
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from napari_apprentice.core.correction import EDITED, NO_LABELS, Status, Stroke
from napari_apprentice.core.status_runs import StatusRuns
from napari_apprentice.store.cipher import SealError
from napari_apprentice.store.vault import PLAIN, Vault

MAGIC = b"STRK"
_FIELDS = struct.Struct("<4sIQI")
_CRC = struct.Struct("<I")
_SEALED = "sealed"
_FAULT = cast(type[Exception], isal_zlib.error)  # its stub calls it an instance
HEAD = _FIELDS.size + _CRC.size
_ARRAYS = ("labels_before", "labels_after", "status_before", "status_after")


class TornError(ValueError):
    """The record was not written to its end."""


class DamagedError(ValueError):
    """The record was written whole once and is not what it was."""


def encode(header: dict[str, Any], payload: bytes | memoryview = b"") -> bytes:
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
    header: dict[str, Any] = {
        "start": [int(s) for s in stroke.start],
        "shape": list(stroke.status_after.shape),
        "tool": stroke.tool,
        "seconds": stroke.seconds,
    }
    if isinstance(stroke.status_before, StatusRuns) and not stroke.changes_labels:
        before, after = stroke.status_before, _runs(stroke.status_after, stroke.status_before)
        if after is not None:
            header["runs"] = len(before.values)
            return encode(header, _packed([before.values, after.values, _little(before.lengths)]))
    arrays = [_little(a) for a in _dense(stroke)]
    header["dtypes"] = [a.dtype.str for a in arrays]
    return encode(header, _packed(arrays))


def _runs(status: Status, like: StatusRuns) -> StatusRuns | None:
    """Runs of the same lengths as others, or None."""
    same = isinstance(status, StatusRuns) and np.array_equal(status.lengths, like.lengths)
    return status if same and isinstance(status, StatusRuns) else None


def _dense(stroke: Stroke) -> list[NDArray[Any]]:
    labels = [stroke.labels_before, stroke.labels_after] if stroke.changes_labels else []
    return [*labels, np.asarray(stroke.status_before), np.asarray(stroke.status_after)]


def _packed(arrays: list[NDArray[Any]]) -> bytes:
    # Array by array, so that a whole scan is never copied at once; a zlib stream, a tenth of zlib's time.
    packer = isal_zlib.compressobj(1)
    parts = [packer.compress(np.ascontiguousarray(a).reshape(-1).view(np.uint8).data) for a in arrays]
    return b"".join([*parts, packer.flush()])


def sealed(record: bytes, vault: Vault) -> bytes:
    """A record as it is to be stored: as it is, or as the payload of another when the study is encrypted."""
    return encode({_SEALED: 1}, bytes(vault.seal(record))) if vault.encrypted else record


def unsealed(header: dict[str, Any], payload: memoryview, vault: Vault) -> tuple[dict[str, Any], memoryview]:
    """Header and payload of a record that `sealed` may have wrapped.

    Raises
    ------
    DamagedError
        It was altered or moved here from elsewhere, or is plain in an encrypted study.
    """
    if not vault.encrypted:
        return header, payload
    try:
        if _SEALED not in header:
            raise DamagedError
        header, payload, _ = decode(memoryview(vault.open(payload)), 0)
    except (SealError, TornError) as error:
        raise DamagedError from error
    return header, payload


def stroke_of(record: bytes | memoryview, vault: Vault = PLAIN) -> Stroke:
    """The stroke of one stored record.

    Raises
    ------
    DamagedError
        It is not what was stored.
    """
    try:
        header, payload, _ = decode(memoryview(record), 0)
    except TornError as error:
        raise DamagedError from error
    return decode_stroke(*unsealed(header, payload, vault))


def decode_stroke(header: dict[str, Any], payload: memoryview, most: float = math.inf) -> Stroke:
    """The stroke of a record.

    Parameters
    ----------
    most
        Voxels that it may have; a few bytes can claim, and unpack to, more than all memory.

    Raises
    ------
    DamagedError
        Header and payload do not fit together, or the stroke is larger than that.
    """
    try:
        return _stroke(header, payload, most)
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, MemoryError, _FAULT) as error:
        raise DamagedError from error


def _stroke(header: dict[str, Any], payload: memoryview, most: float) -> Stroke:
    z, y, x = (int(s) for s in header["start"])
    height, rows, columns = shape = tuple(int(n) for n in header["shape"])
    if min(z, y, x, *shape) < 0 or math.prod(shape) > most:
        raise DamagedError
    labels: Sequence[NDArray[Any]] = (NO_LABELS, NO_LABELS)
    status: Sequence[Status]
    if "runs" in header:
        status = _stored_runs((height, rows, columns), int(header["runs"]), payload)
    else:
        arrays = _stored_arrays(shape, [np.dtype(d) for d in header["dtypes"]], payload)
        labels, status = arrays[:-2] or labels, arrays[-2:]
    values = [s.values if isinstance(s, StatusRuns) else s for s in status]
    if max(int(a.max(initial=0)) for a in values) > EDITED:
        raise DamagedError
    before, after = labels
    return Stroke((z, y, x), before, after, status[0], status[1], str(header["tool"]), float(header["seconds"]))


def _stored_runs(shape: tuple[int, int, int], count: int, payload: memoryview) -> tuple[StatusRuns, StatusRuns]:
    if not 0 < count <= math.prod(shape):
        raise DamagedError
    before, after, lengths = _unpacked(payload, [(count, np.dtype(d)) for d in ("u1", "u1", "<u4")])
    runs = StatusRuns(shape, before, lengths)
    if not runs.is_sound():
        raise DamagedError
    return runs, runs.mapped(lambda _: after)


def _stored_arrays(shape: tuple[int, ...], dtypes: list[np.dtype[Any]], payload: memoryview) -> list[NDArray[Any]]:
    if len(dtypes) not in (2, 4) or any(d.kind != "u" or d.itemsize > 2 for d in dtypes):
        raise DamagedError
    return [a.reshape(shape) for a in _unpacked(payload, [(math.prod(shape), d) for d in dtypes])]


def _unpacked(payload: memoryview, parts: list[tuple[int, np.dtype[Any]]]) -> list[NDArray[Any]]:
    expected = sum(count * dtype.itemsize for count, dtype in parts)
    data = isal_zlib.decompressobj().decompress(payload, expected + 1)
    if len(data) != expected:
        raise DamagedError
    arrays, offset = [], 0
    for count, dtype in parts:
        arrays.append(np.frombuffer(data, dtype, count, offset))
        offset += count * dtype.itemsize
    return arrays


def _little(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(array.dtype.newbyteorder("<"), copy=False)
