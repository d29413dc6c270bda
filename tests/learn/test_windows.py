import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.utils import compute_importance_map, dense_patch_slices

from napari_apprentice.learn.windows import Axis, Rows, Shares

LENGTHS = st.tuples(st.integers(1, 40), st.integers(0, 120), st.sampled_from([0.25, 0.5, 0.75, 1.0]))


@given(LENGTHS)
def test_windows_lie_where_monai_puts_them(lengths):
    patch, more, step = lengths
    axis = Axis.placed(patch + more, patch, step)
    expected = dense_patch_slices((patch + more,), (patch,), (max(1, int(patch * step)),))
    assert list(axis.starts) == [s[0].start for s in expected]


@settings(max_examples=30)
@given(st.tuples(*[st.tuples(st.integers(1, 9), st.integers(0, 7))] * 3), st.sampled_from([0.25, 0.5, 0.75, 1.0]))
def test_shares_are_monais_weights_by_their_sum(lengths, step):
    axes = tuple(Axis.placed(patch + more, patch, step) for patch, more in lengths)
    shape, patch = [a.edges[-1] for a in axes], tuple(a.patch for a in axes)
    bell = compute_importance_map(patch, mode="gaussian", sigma_scale=0.125).double()
    windows = list(itertools.product(*(range(len(a.starts)) for a in axes)))
    places = [tuple(slice(a.starts[i], a.starts[i] + a.patch) for a, i in zip(axes, w, strict=True)) for w in windows]
    total = torch.zeros(shape, dtype=torch.float64)
    for place in places:
        total[place] += bell
    shares = Shares(axes, torch.device("cpu"))
    for window, place in zip(windows, places, strict=True):
        torch.testing.assert_close(shares.of(window).double(), bell / total[place], atol=1e-7, rtol=1e-6)


@given(LENGTHS)
def test_segments_are_covered_by_the_windows_that_say_so(lengths):
    patch, more, step = lengths
    axis = Axis.placed(patch + more, patch, step)
    for i, (start, stop) in enumerate(axis.segments):
        over = {w for w, s in enumerate(axis.starts) if s < stop and s + patch > start}
        assert set(axis.windows_over(i)) == over == {w for w in range(len(axis.starts)) if i in axis.segments_of(w)}


@given(LENGTHS, st.floats(0, 1))
def test_what_is_looked_at_is_finished_first(lengths, share):
    patch, more, step = lengths
    axis = Axis.placed(patch + more, patch, step)
    focus = int(share * (patch + more - 1))
    rows, needed = Rows(axis), {w for w, s in enumerate(axis.starts) if s <= focus < s + patch}
    order = []
    while (row := rows.next(focus)) is not None:
        order.append(row)
        rows.finish(row)
        assert rows.complete()[focus] == (needed <= set(order))
        assert rows.needed(focus) != rows.complete()[focus]
    assert sorted(order) == list(range(len(axis.starts)))
    assert set(order[: len(needed)]) == needed
