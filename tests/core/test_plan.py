import numpy as np
import pytest

from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.plan import Fingerprint, Plan, derive_plan, fingerprint
from napari_apprentice.core.records import Example
from napari_apprentice.errors import ModelError


def seen(shape, spacing=(1.0, 1.0, 1.0), channels=("CT",), values=None):
    if values is None:
        values = np.random.default_rng(0).normal(50, 20, (len(channels), 500))
    return Fingerprint(shape, spacing, channels, values, 0.1)


def plan(*fingerprints, labels=("tumour", "kidney"), **how):
    return derive_plan(fingerprints, LabelSchema.from_names(labels), **how)


def fits(p):
    total = np.prod(p.strides, axis=0)
    assert (np.array(p.patch) % total == 0).all()
    assert p.strides[0] == (1, 1, 1)
    assert 3 <= len(p.strides) == len(p.kernels) == len(p.features)
    assert p.batch >= 2
    assert Plan.from_json(p.to_json()) == p


@pytest.mark.parametrize(
    ("shape", "spacing", "patch"),
    [
        ((35, 50, 36), (1, 1, 1), (40, 56, 40)),
        ((40, 72, 72), (4, 3, 3), (40, 80, 80)),
        ((1, 256, 200), (5, 1, 1), (1, 256, 224)),
    ],
)
def test_a_small_scan_is_one_patch(shape, spacing, patch):
    p = plan(seen(shape, spacing))
    fits(p)
    assert p.patch == patch


@pytest.mark.parametrize("memory", [50, 300, 1500, 8000])
@pytest.mark.parametrize("shape", [(512, 512, 512), (6, 6, 6), (3, 40, 40), (1, 8, 8), (1, 1, 200)])
def test_every_shape_gets_a_network(memory, shape):
    fits(plan(seen(shape), memory_mb=memory))


def test_more_memory_gives_a_larger_patch():
    sizes = [np.prod(plan(seen((300, 300, 300)), memory_mb=m).patch) for m in (300, 1500, 6000)]
    assert sizes == sorted(set(sizes))


def test_thick_slices_are_not_pooled_before_the_others_caught_up():
    p = plan(seen((30, 512, 512), (5.0, 0.8, 0.8)))
    fits(p)
    assert p.kernels[0] == (1, 3, 3)
    assert p.strides[1] == (1, 2, 2)
    assert p.kernels[-1] == (3, 3, 3)
    assert p.patch[0] < p.patch[1]


def test_spacing_is_the_median_and_a_low_percentile_along_a_coarse_axis():
    assert plan(*(seen((40, 40, 40), (s, 1.0, 1.0)) for s in (1, 2, 2.5))).spacing == (2, 1, 1)
    coarse = plan(*(seen((20, 200, 200), (s, 1.0, 1.0)) for s in (3.0, 5.0, 6.0)))
    assert coarse.spacing[0] == pytest.approx(np.percentile([3, 5, 6], 10))


def test_one_slice_makes_a_2d_plan():
    p = plan(seen((1, 256, 256)))
    assert p.dimensions == 2
    assert all(k[0] == 1 for k in p.kernels)
    assert p.mirror_axes == (1, 2)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("CT", "ct"),
        ("ct_venous", "ct"),
        ("low-dose CT", "ct"),
        ("CTA", "ct"),
        ("T1", "zscore"),
        ("ACT", "zscore"),
        ("contrast", "zscore"),
    ],
)
def test_normalisation_goes_by_the_channels_name(name, kind):
    assert plan(seen((20, 20, 20), channels=(name,))).normalisation[0].kind == kind


def test_ct_statistics_come_from_the_foreground():
    voxels = np.full((1, 8, 8, 8), -1000.0)
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[2:5] = 1
    voxels[0, 2:5] = np.random.default_rng(0).normal(60, 10, (3, 8, 8))
    voxels[0, 2, 0, 0] = np.nan
    status = np.ones_like(labels)
    status[4] = 0
    f = fingerprint(Example("c/r0001", "s", voxels, labels, status, (1, 1, 1), ("CT",)))
    assert f.intensities.shape == (1, 127)
    n = plan(f).normalisation[0]
    assert 30 < n.low < n.mean < n.high < 95
    assert n.std == pytest.approx(10, rel=0.3)


def test_sides_are_not_mirrored():
    assert plan(seen((20, 20, 20))).mirror_axes == (0, 1, 2)
    for name in ("left kidney", "kidney_right", "kidney_l", "Kidney R", "Left", "Spleen"):
        assert plan(seen((20, 20, 20)), labels=("tumour", name)).mirror_axes == (0, 1)


def test_nothing_to_plan_from_is_said():
    with pytest.raises(ModelError, match="at least one case"):
        plan()
    for other in (("a",), ("b", "a"), ("a", "c")):
        with pytest.raises(ModelError, match="channels"):
            plan(seen((9, 9, 9), channels=("a", "b")), seen((9, 9, 9), channels=other))


def test_many_labels_take_their_memory_from_the_patch():
    sizes = [np.prod(plan(seen((60, 120, 120)), labels=[f"s{i}" for i in range(n)]).patch) for n in (2, 15, 117)]
    assert sizes[0] == sizes[1] > 2 * sizes[2]
    with pytest.raises(ModelError, match="249"):
        plan(seen((60, 120, 120)), labels=[f"s{i}" for i in range(255)])
