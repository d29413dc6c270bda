"""What post-processing does to voxels, and what it leaves alone."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from napari_apprentice.core.postprocess import PostRecipe, steps_of
from napari_apprentice.core.postprocess_steps import least_probability, postprocess, thresholded

MM = (1.0, 1.0, 1.0)
label_maps = st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 7)).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 3))
)
removing = st.sampled_from(["largest", "islands:2", "islands:5", "holes", "largest,holes", "islands:3,holes"])
every = st.one_of(removing, st.sampled_from(["smooth:0.7", "smooth:2,largest", "smooth:1,islands:4,holes"]))
spacings = st.tuples(*[st.sampled_from([0.5, 1.0, 3.0])] * 3)


def recipe(**steps: str) -> PostRecipe:
    """recipe(a="largest") is for label 1, b for 2, c for 3."""
    return PostRecipe({" abc".index(k): steps_of(v) for k, v in steps.items()})


@settings(deadline=None)
@given(label_maps, every, spacings)
def test_labels_without_steps_keep_every_voxel_and_gain_none(labels, steps, spacing) -> None:
    before = labels.copy()
    out = postprocess(labels, spacing, recipe(b=steps))
    assert np.array_equal(labels, before)
    for other in (1, 3):
        assert np.array_equal(out == other, labels == other)
    changed = out != labels
    assert set(np.unique(labels[changed])) <= {0, 2}
    assert set(np.unique(out[changed])) <= {0, 2}


@settings(deadline=None)
@given(label_maps, removing, removing, spacings)
def test_doing_it_twice_is_doing_it_once(labels, first, second, spacing) -> None:
    both = recipe(a=first, b=second)
    once = postprocess(labels, spacing, both)
    assert np.array_equal(postprocess(once, spacing, both), once)


@settings(deadline=None)
@given(label_maps, every, every, spacings)
def test_a_mirrored_scan_gives_the_mirrored_result(labels, first, second, spacing) -> None:
    both = recipe(a=first, c=second)
    expected = postprocess(labels, spacing, both)
    for axes in itertools.chain.from_iterable(itertools.combinations(range(3), n) for n in (1, 2, 3)):
        assert np.array_equal(np.flip(postprocess(np.flip(labels, axes), spacing, both), axes), expected)


@settings(deadline=None)
@given(label_maps)
def test_holes_are_those_of_scipy(labels) -> None:
    """An independent implementation; ours judges a single slice within the slice, scipy's does not."""
    if 1 in labels.shape:
        return
    filled = ndimage.binary_fill_holes(np.pad(labels == 1, 1))[1:-1, 1:-1, 1:-1]
    expected = np.where(filled & (labels == 0), 1, labels)
    assert np.array_equal(postprocess(labels, MM, recipe(a="holes")), expected)


def test_the_largest_stays_and_what_touches_by_a_corner_belongs_to_it() -> None:
    labels = np.zeros((4, 5, 9), np.uint16)
    labels[0, :2, :2] = 300
    labels[1, 2, 2] = 300  # by a corner
    labels[3, 4, 6:9] = 300
    out = postprocess(labels, MM, PostRecipe({300: steps_of("largest")}))
    assert out.dtype == np.uint16
    assert (out[3] == 0).all()
    assert out[1, 2, 2] == 300


def test_of_two_equally_large_both_stay() -> None:
    labels = np.zeros((1, 1, 7), np.uint8)
    labels[0, 0, [0, 3, 4, 6]] = 1
    labels[0, 0, [1, 2]] = 2
    labels[0, 0, 3] = 0
    out = postprocess(labels, MM, recipe(a="largest"))
    assert np.array_equal(out, labels)  # three single voxels at 0, 4 and 6


def test_islands_are_measured_in_cubic_millimetres() -> None:
    labels = np.zeros((3, 3, 8), np.uint8)
    labels[1, 1, :2] = 1
    labels[1, 1, 4:7] = 1
    spacing = (5.0, 0.5, 2.0)  # 5 mm3 a voxel
    assert (postprocess(labels, spacing, recipe(a="islands:10")) == labels).all()  # 10 mm3 is not under 10
    assert (postprocess(labels, spacing, recipe(a="islands:10.1")) == 1).sum() == 3
    assert not postprocess(labels, spacing, recipe(a="islands:16")).any()


def test_a_hole_is_filled_around_another_label_inside_and_not_at_the_open_side() -> None:
    labels = np.zeros((7, 7, 7), np.uint8)
    labels[1:6, 1:6, 1:6] = 1
    labels[2:5, 2:5, 2:5] = 0
    labels[3, 3, 3] = 2
    out = postprocess(labels, MM, recipe(a="holes"))
    assert out[3, 3, 3] == 2
    assert (out[2:5, 2:5, 2:5] == 1).sum() == 26
    labels[3, 3, 1] = 0  # a way out through a face
    assert np.array_equal(postprocess(labels, MM, recipe(a="holes")), labels)


def test_the_crumb_of_another_label_does_not_leave_a_hole() -> None:
    labels = np.ones((5, 5, 12), np.uint8)
    labels[0] = labels[-1] = labels[:, 0] = labels[:, -1] = labels[..., 0] = 0
    labels[2, 2, 2] = 2
    labels[2, 1:4, 8:11] = 2
    out = postprocess(labels, MM, recipe(a="holes", b="largest"))
    assert out[2, 2, 2] == 1


def test_a_single_slice_has_holes_too() -> None:
    labels = np.ones((1, 5, 5), np.uint8)
    labels[0, 2, 2] = 0
    assert postprocess(labels, MM, recipe(a="holes")).all()
    assert postprocess(labels.reshape(5, 1, 5), MM, recipe(a="holes")).all()


@pytest.mark.parametrize(("radius", "sigma"), [(5.0, 2.0), (8.0, 1.0), (8.0, 3.0)])
def test_a_smoothed_ball_keeps_its_volume_where_a_fixed_half_would_not(radius: float, sigma: float) -> None:
    spacing = (2.0, 1.0, 1.0)
    z, y, x = np.meshgrid(*(s * (np.arange(n) - n // 2) for n, s in zip((21, 41, 41), spacing, strict=True)),
                          indexing="ij")  # fmt: skip
    labels = (z**2 + y**2 + x**2 <= radius**2).astype(np.uint8)
    out = postprocess(labels, spacing, recipe(a=f"smooth:{sigma}"))
    assert abs(int(out.sum()) / int(labels.sum()) - 1) < 0.03
    overlap = 2 * int((out & labels).sum()) / int(out.sum() + labels.sum())
    assert overlap > 0.93
    if (radius, sigma) == (5.0, 2.0):
        half = ndimage.gaussian_filter(labels.astype(float), [sigma / s for s in spacing]) >= 0.5
        assert half.sum() < 0.8 * labels.sum()


def test_smoothing_takes_a_spike_off_and_leaves_the_border_with_a_neighbour_and_the_scans_edge() -> None:
    labels = np.zeros((12, 16, 16), np.uint8)
    labels[:, :8] = 1  # reaches the edge of the scan on five sides
    labels[:, 8:12, :8] = 2  # a neighbour
    labels[6, 8:12, 12] = 1  # a spike into the background
    out = postprocess(labels, MM, recipe(a="smooth:1.5"))
    assert (out[6, 9:12, 12] == 0).all()
    assert np.array_equal(out == 2, labels == 2)
    assert (out[:, 7, :8] == 1).all()
    assert (out[0, :7] == 1).all()


def test_nothing_to_do_gives_the_same_array() -> None:
    labels = np.ones((2, 2, 2), np.uint8)
    assert postprocess(labels, MM, PostRecipe()) is labels
    assert postprocess(labels, MM, recipe(a="threshold:0.9")) is labels
    assert np.array_equal(postprocess(labels, MM, recipe(c="largest")), labels)


def test_the_threshold_is_on_the_winners_probability() -> None:
    least = least_probability(recipe(a="threshold:0.6", c="largest"), (0, 1, 3))
    assert least is not None
    rows = np.array([0, 1, 1, 2])
    best = np.array([0.4, 0.59, 0.6, 0.4], np.float32)
    assert thresholded(rows, best, least).tolist() == [False, True, False, False]
    assert least_probability(recipe(c="largest"), (0, 1, 3)) is None
