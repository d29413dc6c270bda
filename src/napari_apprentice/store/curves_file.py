"""Curves of a training run as TensorBoard reads them; written without TensorBoard, which brings a dozen packages.

An event file is a row of records (TFRecord): length, checksum of the length, data, checksum of the data. The data
are messages of Protocol Buffers, of which three are needed: Event (wall_time 1, step 2, file_version 3, summary 5),
Summary (value 1) and its Value (tag 1, simple_value 2). See tensorflow/core/util/event.proto and
lib/io/record_writer.h. Numbers alone go into it, so that of an encrypted study it tells no more than its events do.
"""

import struct
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TypeVar

from napari_apprentice.core.progress import Progress
from napari_apprentice.store.files import storage_errors

T = TypeVar("T")
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5  # how a field is written


def with_curves(work: Generator[Progress, None, T], folder: Path) -> Generator[Progress, None, T]:
    """Hand on what a training run reports, and write its loss and Dice down.

    Parameters
    ----------
    work
        The run.
    folder
        Gets a new file, also when the run goes on from a checkpoint.

    Raises
    ------
    StorageError
        The disk is full, gone or read-only.
    """
    with storage_errors("the curves for TensorBoard"):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"events.out.tfevents.{time.time_ns()}.apprentice"
        path.write_bytes(record(_field(1, _DOUBLE, time.time()) + _field(3, _BYTES, b"brain.Event:2")))
    while True:
        try:
            report = next(work)
        except StopIteration as end:
            result: T = end.value
            return result
        told = {"train/loss": report.loss, "held out/Dice": report.dice}
        numbers = {tag: n for tag, n in told.items() if n is not None}
        if numbers:
            with storage_errors("the curves for TensorBoard"), path.open("ab") as file:
                file.write(record(event(report.done, time.time(), numbers)))
        yield report


def event(step: int, when: float, numbers: Mapping[str, float]) -> bytes:
    """An Event that holds a number under each tag."""
    values = b"".join(
        _field(1, _BYTES, _field(1, _BYTES, tag.encode()) + _field(2, _FLOAT, number))
        for tag, number in numbers.items()
    )
    return _field(1, _DOUBLE, when) + _field(2, _VARINT, step) + _field(5, _BYTES, values)


def record(data: bytes) -> bytes:
    """Data as one record of the file."""
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def _field(number: int, kind: int, value: float | bytes) -> bytes:
    key = _varint(number << 3 | kind)
    if isinstance(value, bytes):
        return key + _varint(len(value)) + value
    if kind == _VARINT:
        return key + _varint(int(value))
    return key + struct.pack("<d" if kind == _DOUBLE else "<f", value)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _checksum(data: bytes) -> bytes:
    """CRC-32C, turned by 15 bits and moved, as TFRecord asks."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
