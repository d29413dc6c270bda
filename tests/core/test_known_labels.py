"""What something else writes into a label map under correction is told from strokes and predictions."""

import numpy as np
import pytest

from napari_apprentice.core.correction import Canvas
from napari_apprentice.core.known_labels import KnownLabels

SHAPE = (5, 6, 7)


@pytest.mark.parametrize(("kind", "loose"), [(np.uint8, 0), (np.uint16, 200), (np.uint8, 1000)])
def test_what_was_written_around_and_between_strokes_is_found_and_nothing_else(
    kind: type, loose: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_apprentice.core.known_labels._LOOSE_BYTES", loose)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, SHAPE).astype(kind)
    canvas, known = Canvas(labels, np.zeros(SHAPE, np.uint8)), KnownLabels(labels)
    for _ in range(60):
        edges = [np.sort(rng.integers(0, n + 1, 2)) for n in SHAPE]
        box = tuple(slice(int(a), int(b)) for a, b in edges)
        before, honest = labels.copy(), labels[box].copy()
        painted = rng.integers(0, 3, honest.shape).astype(kind)
        stray = tuple(int(rng.integers(0, n)) for n in SHAPE)
        inside = all(s.start <= i < s.stop for s, i in zip(box, stray, strict=True))
        if not inside:
            labels[stray] = 2
        stroke = canvas.record(box, honest, painted)
        if stroke is not None:
            known.note_painted(stroke)
        found = known.foreign()
        if inside or before[stray] == 2:
            assert found is None
            continue
        assert found is not None
        assert [(s.start, s.stop) for s in found.box] == [(i, i + 1) for i in stray]
        assert found.before.item() == before[stray]
        known.note(stray[0], stray[0] + 1)


def test_only_the_slices_that_are_asked_for_are_looked_at() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    known = KnownLabels(labels)
    labels[1:4, 2, 3:5] = 1
    assert known.foreign(4) is None
    found = known.foreign(2, 3)
    assert found is not None
    assert found.box == (slice(2, 3), slice(2, 3), slice(3, 5))
