"""Small plans and examples for the tests of learn."""

import numpy as np

from napari_apprentice.core.plan import Normalisation, Plan
from napari_apprentice.core.records import Example


def make_plan(
    patch=(16, 16, 16), labels=(1, 2), spacing=(1.0, 1.0, 1.0), mirror=(0, 1), features=4, batch=2, channels=1
):
    flat = patch[0] == 1
    stride = (1, 2, 2) if flat else (2, 2, 2)
    kernel = (1, 3, 3) if flat else (3, 3, 3)
    return Plan(
        spacing=spacing,
        patch=patch,
        strides=((1, 1, 1), stride, stride),
        kernels=(kernel,) * 3,
        features=tuple(features * 2**i for i in range(3)),
        batch=batch,
        normalisation=(Normalisation("zscore"),) * channels,
        labels=labels,
        mirror_axes=mirror,
    )


def make_example(seed=0, shape=(16, 18, 20), labels=(1, 2), spacing=(1.0, 1.0, 1.0), replay=False, known=1, noise=0.2):
    """Two bright balls, one per label, in noise."""
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    truth = np.zeros(shape, np.uint8 if max(labels) < 256 else np.uint16)
    for i, label in enumerate(labels):
        middle = np.array(shape) * (0.3 + 0.4 * i) + rng.uniform(-1, 1, 3)
        away = sum((g - m) ** 2 for g, m in zip((z, y, x), middle, strict=True))
        truth[away < (min(n for n in shape if n > 1) / 4) ** 2] = label
    voxels = np.zeros(shape)
    for i, label in enumerate(labels):
        voxels[truth == label] = 1.0 + i
    voxels = (100 * (voxels + rng.normal(0, noise, shape)))[None].astype(np.float32)
    status = np.full(shape, known, np.uint8)
    return Example(f"case{seed}/r0001", f"s{seed}", voxels, truth, status, spacing, ("T1",), replay)


def finish(work):
    """Run a generator to its end; its reports and its value."""
    reports = []
    while True:
        try:
            reports.append(next(work))
        except StopIteration as end:
            return reports, end.value


def never():
    return False
