"""Event files as TensorBoard reads them."""

import struct
from pathlib import Path

import pytest

from napari_apprentice.core.progress import Progress
from napari_apprentice.store.curves_file import _checksum, record, with_curves


def unmasked(masked: bytes) -> int:
    turned = (struct.unpack("<I", masked)[0] - 0xA282EAD8) & 0xFFFFFFFF
    return (turned >> 17 | turned << 15) & 0xFFFFFFFF


def records(data: bytes) -> list[bytes]:
    found = []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert data[8:12] == _checksum(data[:8])
        body = data[12 : 12 + length]
        assert data[12 + length : 16 + length] == _checksum(body)
        found.append(body)
        data = data[16 + length :]
    return found


def test_the_checksum_is_crc_32c() -> None:
    assert unmasked(_checksum(b"123456789")) == 0xE3069283  # its published check value
    assert records(record(b"abc") + record(b"")) == [b"abc", b""]


def drained(folder: Path) -> int:
    def work():  # type: ignore[no-untyped-def]
        yield Progress(0, 9, "Reading")
        yield Progress(5, 9, "Training", 0.75)
        yield Progress(300, 900, "Training", 0.5, 0.25)
        return 7

    watched = with_curves(work(), folder)
    while True:
        try:
            next(watched)
        except StopIteration as end:
            return int(end.value)


def test_each_report_with_numbers_is_an_event(tmp_path: Path) -> None:
    assert drained(tmp_path / "tensorboard") == 7
    (path,) = (tmp_path / "tensorboard").iterdir()
    version, first, second = records(path.read_bytes())
    assert version[9:] == b"\x1a\x0dbrain.Event:2"
    assert first[9:] == b"\x10\x05" + b"\x2a\x13\x0a\x11\x0a\x0atrain/loss\x15" + struct.pack("<f", 0.75)
    assert second[9:12] == b"\x10\xac\x02"
    assert second.endswith(b"held out/Dice\x15" + struct.pack("<f", 0.25))


def test_tensorboard_itself_reads_it(tmp_path: Path) -> None:
    loading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    drained(tmp_path)
    read = loading.EventAccumulator(str(tmp_path))
    read.Reload()
    assert [(e.step, e.value) for e in read.Scalars("train/loss")] == [(5, 0.75), (300, 0.5)]
    assert [(e.step, e.value) for e in read.Scalars("held out/Dice")] == [(300, 0.25)]
