"""Strokes for undo: all of them, in little memory."""

import tempfile
from pathlib import Path

import numpy as np
import pytest

from napari_apprentice.core.correction import Stroke
from napari_apprentice.store import shelf as module
from napari_apprentice.store.record_walk import Records
from napari_apprentice.store.shelf import Shelf, TakenBack
from napari_apprentice.store.stroke_record import encode, encode_stroke


def noise(seed: int) -> Stroke:
    rng = np.random.default_rng(seed)
    before, after = rng.integers(0, 3, (2, 2, 20, 30)).astype(np.uint8)
    return Stroke((0, 1, 2), before, after, np.zeros_like(before), np.full_like(before, 2), "paint", seed / 4)


def assert_is(found: Stroke, seed: int) -> None:
    expected = noise(seed)
    assert (found.start, found.tool, found.seconds) == (expected.start, expected.tool, expected.seconds)
    np.testing.assert_array_equal(found.labels_before, expected.labels_before)
    np.testing.assert_array_equal(found.labels_after, expected.labels_after)


def test_memory_is_bounded_and_every_stroke_is_there(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "home", memory=5000)
    kept = []
    for seed in range(60):
        kept.append(shelf.add(noise(seed)))
        kept[-1].settle()
        assert shelf.in_memory <= 5000
    for seed in reversed(range(60)):
        assert_is(kept[seed].stroke(), seed)
        assert kept[seed].record() == encode_stroke(noise(seed))
    assert list((tmp_path / "home").iterdir()) == [], "the file has no name: nothing stays behind a kill"


def test_what_is_not_packed_yet_is_at_hand() -> None:
    stroke = noise(1)
    kept = Shelf().add(stroke)
    assert kept.stroke() is stroke
    np.testing.assert_array_equal(TakenBack(kept).stroke().labels_after, stroke.labels_before)
    kept.settle()
    assert_is(kept.stroke(), 1)


def test_strokes_of_a_journal_are_taken_as_they_are() -> None:
    records = Records(b"".join([encode({"journal": 1}), *(encode_stroke(noise(seed)) for seed in range(3))]))
    next(records)
    for strokes in (records.rest(), [noise(seed) for seed in range(3)]):
        for seed, kept in enumerate(Shelf().add_all(strokes)):
            assert_is(kept.stroke(), seed)


def test_a_full_disk_leaves_them_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "injected")

    shelf = Shelf(memory=2000)
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryFile", full)
        kept = [shelf.add(noise(seed)) for seed in range(10)]
        for one in kept:
            one.settle()
        assert shelf.in_memory > 2000
    for seed, one in enumerate(kept):
        assert_is(one.stroke(), seed)
    shelf.add(noise(11)).settle()  # there is room again
    assert shelf.in_memory <= 2000
    for seed, one in enumerate(kept):
        assert_is(one.stroke(), seed)


def test_the_bound_is_what_the_documents_say() -> None:
    assert module.MEMORY_BYTES == 64 * 1024**2
