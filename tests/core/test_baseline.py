"""Which labels changed since a moment, without a copy of all that did not."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_apprentice.core.baseline import Baseline
from napari_apprentice.core.correction import Canvas

SHAPE = (4, 5, 6)


def _counts(before: np.ndarray, after: np.ndarray) -> dict[int, int]:
    differs = before != after
    touched = np.concatenate([before[differs], after[differs]])
    return {int(i): int((touched == i).sum()) for i in np.unique(touched) if i}


@given(seed=st.integers(0, 10**6), steps=st.integers(0, 12))
def test_it_counts_as_a_whole_copy_would(seed: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 400, SHAPE).astype(np.uint16)
    canvas, baseline, start = Canvas(labels, np.zeros(SHAPE, np.uint8)), Baseline(labels), labels.copy()
    for _ in range(steps):
        edges = [np.sort(rng.integers(0, n + 1, 2)) for n in SHAPE]
        z, y, x = (slice(int(a), int(b)) for a, b in edges)
        choice = rng.integers(0, 4)
        if choice == 0:
            predicted = rng.integers(0, 3, labels[z].shape).astype(np.uint16)
            where = canvas.status[z] == 0
            for target in (labels, start):
                np.copyto(target[z], predicted, where=where)
            baseline.follow(z.start, predicted, where)
            continue
        box = (z, y, x)
        before = labels[box].copy()
        labels[box] = rng.integers(0, 3, before.shape)  # as a paint tool does
        stroke = canvas.record(box, before, labels[box].copy())
        if stroke is None:
            continue
        if choice == 1:
            baseline.note(stroke)
            stroke = stroke.inverse()
            canvas.apply(stroke)
        baseline.note(stroke)
    assert baseline.voxels_changed() == _counts(start, labels)
    baseline.set()
    assert baseline.voxels_changed() == {}
