from pathlib import Path

import numpy as np
import pytest

from dicom_builder import random_voxels, write_series
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.scans.dicom.grid import Layout
from napari_apprentice.scans.dicom.reader import read_dicom
from napari_apprentice.scans.dicom.straighten import straighten
from real_data import real_data

AXIAL = np.eye(3)[:2]


def linear(points: np.ndarray) -> np.ndarray:
    """A field that linear interpolation repeats exactly, of points (..., 3) in LPS mm."""
    return points @ [2.0, -3.0, 1.5] + 7


def points(layout: Layout, shape: tuple[int, int, int]) -> np.ndarray:
    """(slice, row, column, 3) LPS mm."""
    k, j, i = np.meshgrid(*map(np.arange, shape), indexing="ij")
    right, down = layout.directions[0] * layout.spacing[1], layout.directions[1] * layout.spacing[0]
    return layout.positions[k] + i[..., None] * right + j[..., None] * down


def reached(places: np.ndarray, layout: Layout, rows: int) -> np.ndarray:
    """Mask of places (slice, row, column, 3) between whose neighbouring slices one can interpolate."""
    below = np.clip(np.searchsorted(layout.heights, places[:, 0, 0, 2] + 1e-6) - 1, 0, len(layout.heights) - 2)
    mask = np.ones(places.shape[:3], bool)
    for neighbour in (below, below + 1):
        row = (places[..., 1] - layout.positions[neighbour, 1][:, None, None]) / layout.spacing[0]
        mask &= (row >= -1e-6) & (row <= rows - 1 + 1e-6)
    return mask


@pytest.mark.parametrize("tilt", [0.0, 18.5, -23.0])
@pytest.mark.parametrize("places", [(0, 1, 2, 3, 4), (0, 1, 2, 2.3, 4, 6), (0, 1, 3, 4)])
def test_each_value_is_that_of_its_real_place(tilt: float, places: tuple[float, ...]):
    heights = np.array(places) * 2.0
    positions = np.stack([np.full(len(heights), -5.0), 3 + heights * np.tan(np.radians(tilt)), heights], axis=1)
    layout = Layout(positions, AXIAL, (0.8, 0.7), 2.0)
    voxels = linear(points(layout, (len(heights), 40, 9)))[None].astype(np.float32)
    out, straight, step = straighten(voxels, layout)
    assert straight.tilt == 0
    assert straight.even
    truth = linear(points(straight, out.shape[1:]))
    covered = reached(points(straight, out.shape[1:]), layout, 40)
    assert covered.mean() > 0.5
    np.testing.assert_allclose(out[0][covered], truth[covered], atol=1e-2)
    assert out.min() >= voxels.min() - 1e-3
    assert step.detail["angle_degrees"] == pytest.approx(abs(tilt))
    np.testing.assert_allclose(step.detail["slice_heights_mm"], heights)


def test_slices_that_only_miss_one_keep_their_voxels(tmp_path: Path):
    voxels = random_voxels((5, 6, 7))
    folder = write_series(tmp_path / "s", voxels, places=(0, 1, 2, 4, 5))
    volume = read_dicom(folder, ReadSettings(tilt="straighten"), bytes(32))
    seen = volume.geometry.to_source(volume.voxels[0]).transpose(2, 1, 0)
    np.testing.assert_array_equal(seen[[0, 1, 2, 4, 5]], voxels)
    np.testing.assert_array_equal(seen[3], np.round((voxels[2].astype(np.float32) + voxels[3]) / 2))
    assert volume.geometry.spacing[0] == pytest.approx(2.5)
    assert volume.steps[-1].kind == "straighten"


@pytest.mark.data
def test_a_real_tilted_series():
    folder = real_data("dicom", "ct_gantry_tilt_ge")
    volume = read_dicom(folder, ReadSettings(tilt="straighten"), bytes(32))
    step = volume.steps[-1]
    assert step.detail["angle_degrees"] == pytest.approx(18.5, abs=0.01)
    assert step.detail["new_spacing_mm"] == pytest.approx(4.0, abs=0.01)
    assert len(step.detail["slice_heights_mm"]) == 28
    axes = volume.geometry.source_affine[:3, :3] / np.linalg.norm(volume.geometry.source_affine[:3, :3], axis=0)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-6)
    assert volume.voxels.dtype == np.int16
    # The slices at both ends are where they were, so a voxel of the first one is found at its place.
    first = volume.geometry.to_source(volume.voxels[0])[:, :, 0]
    assert first.max() > 500
