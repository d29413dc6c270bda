"""Contours into masks, with scikit-image as the judge."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import points_in_poly

from napari_apprentice.scans.segments.contours import fill


def _ring(*corners):
    return np.array(corners, float)


def test_an_edge_between_pixels_gives_the_exact_square():
    mask = fill([_ring((1.5, 2.5), (1.5, 6.5), (4.5, 6.5), (4.5, 2.5))], (8, 9))
    expected = np.zeros((8, 9), bool)
    expected[2:5, 3:7] = True
    np.testing.assert_array_equal(mask, expected)


def test_neighbours_that_share_an_edge_through_centres_share_no_pixel():
    left = fill([_ring((0, 0), (0, 4), (6, 4), (6, 0))], (8, 9))
    right = fill([_ring((0, 4), (0, 8), (6, 8), (6, 4))], (8, 9))
    assert not (left & right).any()
    assert (left | right).sum() == 48


def test_a_ring_within_a_ring_is_a_hole_and_a_third_one_an_island():
    def square(a, b):
        return _ring((a, a), (a, b), (b, b), (b, a))

    rings = [square(0.5, 10.5), square(2.5, 8.5), square(4.5, 6.5)]
    assert fill(rings, (12, 12)).sum() == 100 - 36 + 4
    # The same hole, cut with a keyhole in one single ring.
    keyhole = np.concatenate([rings[0], rings[0][:1], rings[1][::-1], rings[1][-1:]])
    assert fill([keyhole], (12, 12)).sum() == 64


def test_what_reaches_beyond_is_cut_off():
    assert fill([_ring((-5, -5), (-5, 50), (50, 50), (50, -5))], (4, 5)).all()
    assert not fill([_ring((-5, -5), (-5, -2), (-2, -2), (-2, -5))], (4, 5)).any()


@settings(deadline=None, max_examples=80)
@given(st.lists(st.tuples(*[st.floats(-3, 13, width=32)] * 2), min_size=3, max_size=12))
def test_any_simple_or_crossing_ring_agrees_with_an_independent_judge(corners):
    ring = np.array(corners)
    # The judge may see a centre that an edge touches otherwise: only those further away count.
    centres = np.stack(np.meshgrid(np.arange(11), np.arange(12), indexing="ij"), axis=-1).reshape(-1, 2)
    end = np.roll(ring, -1, axis=0)
    along = end - ring
    length = np.maximum((along**2).sum(axis=1), 1e-12)
    t = np.clip(((centres[:, None] - ring) * along).sum(axis=2) / length, 0, 1)
    clear = np.linalg.norm(centres[:, None] - (ring + t[..., None] * along), axis=2).min(axis=1) > 1e-6
    expected = points_in_poly(centres.astype(float), ring)
    np.testing.assert_array_equal(fill([ring], (11, 12)).ravel()[clear], expected[clear])
