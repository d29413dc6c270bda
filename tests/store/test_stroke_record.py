"""Strokes as bytes: whatever was drawn comes back, earlier versions' records too, and nothing else is believed."""

import time
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_apprentice.core import correction
from napari_apprentice.core.correction import Canvas, Stroke
from napari_apprentice.core.status_runs import StatusRuns
from napari_apprentice.store.stroke_record import DamagedError, decode, decode_stroke, encode, encode_stroke

NAMES = ("labels_before", "labels_after", "status_before", "status_after")
SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, max_side=6)


def _again(stroke: Stroke) -> Stroke:
    header, payload, _ = decode(memoryview(encode_stroke(stroke)), 0)
    return decode_stroke(header, payload)


def _assert_same(one: Stroke, two: Stroke) -> None:
    assert (one.start, one.tool, one.seconds, one.box) == (two.start, two.tool, two.seconds, two.box)
    for name in NAMES:
        np.testing.assert_array_equal(np.asarray(getattr(one, name)), np.asarray(getattr(two, name)))


@given(st.data(), st.sampled_from([np.uint8, np.uint16]))
def test_what_was_drawn_comes_back(data: st.DataObject, dtype: type) -> None:
    shape = data.draw(SHAPES)
    labels = [data.draw(hnp.arrays(dtype, shape)) for _ in range(2)]
    status = [data.draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, 2))) for _ in range(2)]
    stroke = Stroke((1, 0, 2), labels[0], labels[1], status[0], status[1], "paint", 1.5)
    again = _again(stroke)
    _assert_same(stroke, again)
    assert again.labels_after.dtype == dtype


@pytest.mark.parametrize("noisy", [False, True])
def test_accepting_comes_back_without_labels(noisy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correction, "LARGE", 0)
    status = np.zeros((3, 20, 30), np.uint8)
    status[1, 3:9] = np.random.default_rng(0).integers(0, 3, (6, 30)) if noisy else 2
    canvas = Canvas(np.ones(status.shape, np.uint8), status.copy())
    stroke = canvas.accept((slice(1, 2), slice(2, 10), slice(0, 30)) if noisy else None)
    assert stroke is not None
    assert isinstance(stroke.status_before, StatusRuns) != noisy
    again = _again(stroke)
    _assert_same(stroke, again)
    assert not again.changes_labels
    canvas.apply(again.inverse())
    np.testing.assert_array_equal(canvas.status, status)


def test_accepting_a_large_scan_is_a_small_record_made_at_once() -> None:
    canvas = Canvas(np.ones((80, 256, 256), np.uint8), np.zeros((80, 256, 256), np.uint8))
    began = time.perf_counter()
    stroke = canvas.accept()
    assert stroke is not None
    assert len(encode_stroke(stroke)) < 1000
    assert time.perf_counter() - began < 1.0


def test_a_record_of_an_earlier_version_is_read() -> None:
    zeros = np.zeros((1, 2, 3), np.uint8)
    header = {"start": [0, 1, 2], "shape": [1, 2, 3], "dtypes": ["|u1"] * 4, "tool": "accept", "seconds": 2.0}
    record = encode(header, zlib.compress(b"".join(a.tobytes() for a in (zeros + 5, zeros + 5, zeros, zeros + 1)), 1))
    head, payload, _ = decode(memoryview(record), 0)
    _assert_same(decode_stroke(head, payload), Stroke((0, 1, 2), zeros + 5, zeros + 5, zeros, zeros + 1, "accept", 2.0))


def test_dense_strokes_are_written_as_earlier_versions_read_them() -> None:
    zeros = np.zeros((1, 2, 3), np.uint8)
    record = encode_stroke(Stroke((0, 0, 0), zeros, zeros + 1, zeros, zeros + 2))
    _, payload, _ = decode(memoryview(record), 0)
    assert zlib.decompress(payload) == b"".join(a.tobytes() for a in (zeros, zeros + 1, zeros, zeros + 2))


FITS = {"start": [0, 0, 0], "shape": [1, 1, 4], "tool": "accept", "seconds": 0.0}


@pytest.mark.parametrize(
    ("header", "content"),
    [
        (FITS | {"runs": 1}, bytes([0, 1, 3, 0, 0, 0])),  # a voxel too few
        (FITS | {"runs": 1}, bytes([0, 3, 4, 0, 0, 0])),  # no such status
        (FITS | {"runs": 10**12}, bytes([0, 1, 4, 0, 0, 0])),
        (FITS | {"runs": 0}, b""),
        (FITS | {"shape": [10**6, 10**6, 10**6], "dtypes": ["|u1"] * 2}, bytes(8)),
        (FITS | {"dtypes": ["|u1"] * 3}, bytes(12)),
        (FITS | {"dtypes": ["|O"] * 2}, bytes(64)),
        (FITS | {"shape": [1, 4], "dtypes": ["|u1"] * 2}, bytes(8)),
        ({"tool": "paint"}, b""),
    ],
)
def test_what_does_not_fit_together_is_damage(header: dict, content: bytes) -> None:  # type: ignore[type-arg]
    with pytest.raises(DamagedError):
        decode_stroke(header, memoryview(zlib.compress(content)))


def test_a_payload_that_is_no_zlib_stream_is_damage() -> None:
    with pytest.raises(DamagedError):
        decode_stroke(FITS | {"runs": 1}, memoryview(b"no zlib stream at all"))
