from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import HealthCheck, assume, given, settings
from pydicom import dcmread
from scipy.spatial.transform import Rotation

from dicom_builder import random_voxels, write_series
from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.errors import ChoiceError
from napari_apprentice.scans.dicom.grid import Layout
from napari_apprentice.scans.dicom.reader import read_dicom

KEY = bytes(32)
RAS = np.array([-1.0, -1.0, 1.0])
SLOW = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

sizes = st.tuples(*[st.integers(2, 6)] * 3)
spacings = st.tuples(*[st.floats(0.2, 6.0)] * 3)
turns = st.integers(0, 2**32 - 1).map(lambda seed: Rotation.random(random_state=seed).as_matrix())


@SLOW
@given(shape=sizes, spacing=spacings, turn=turns, shuffle=st.randoms())
def test_every_voxel_lies_where_its_own_file_says(tmp_path_factory, shape, spacing, turn, shuffle):
    folder = tmp_path_factory.mktemp("series")
    order = list(range(shape[0]))
    shuffle.shuffle(order)
    voxels = random_voxels(shape)
    write_series(
        folder,
        voxels,
        origin=(-31.4, 27.1, 161.8),
        step=turn[:, 2] * spacing[0],
        order=order,
        directions=turn[:, :2].T,
        spacing=spacing[1:],
    )
    volume = read_dicom(folder, ReadSettings(), KEY)
    geometry = volume.geometry
    source = geometry.to_source(volume.voxels[0])
    for path in folder.iterdir():
        data = dcmread(path)
        row, column = np.array(data.ImageOrientationPatient, float).reshape(2, 3)
        down, right = (float(s) for s in data.PixelSpacing)
        k = int(data.InstanceNumber) - 1
        np.testing.assert_array_equal(source[:, :, k], data.pixel_array.T)
        for i, j in ((0, 0), (shape[2] - 1, 0), (shape[2] - 1, shape[1] - 1)):
            expected = RAS * (np.array(data.ImagePositionPatient, float) + i * right * row + j * down * column)
            seen = geometry.source_affine @ (i, j, k, 1)
            np.testing.assert_allclose(seen[:3], expected, atol=1e-6)
    _agrees_with_itk(folder, geometry.source_affine, source)


def _agrees_with_itk(folder: Path, affine: np.ndarray, source: np.ndarray) -> None:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    array = sitk.GetArrayFromImage(image).transpose(2, 1, 0)
    assert array.shape == source.shape
    # ITK may run through the slices the other way round; places decide which voxel is meant.
    for index in np.ndindex(*(min(2, n) for n in array.shape)):
        place = RAS * image.TransformIndexToPhysicalPoint(index)
        ours = np.linalg.solve(affine, [*place, 1])[:3]
        nearest = np.round(ours).astype(int)
        assert np.linalg.norm((affine @ [*nearest, 1])[:3] - place) < 1e-3
        assert source[tuple(nearest)] == array[index]


@given(
    angle=st.floats(0.2, 40),
    spacing=st.floats(0.5, 8),
    count=st.integers(3, 50),
    way=st.sampled_from([-1, 1]),
    turn=turns,
)
def test_the_angle_of_a_tilt_is_measured(angle, spacing, count, way, turn):
    assume(spacing * np.tan(np.radians(angle)) * (count - 1) > 0.03)
    step = turn @ (0, way * spacing * np.tan(np.radians(angle)), spacing)
    layout = Layout(np.arange(count)[:, None] * step, turn[:, :2].T, (1.0, 1.0), spacing)
    assert layout.tilt == pytest.approx(angle, abs=1e-6)
    assert layout.even


@given(spacing=st.floats(0.3, 8), count=st.integers(2, 300), turn=turns, decimals=st.integers(3, 6))
def test_rounding_is_neither_tilt_nor_uneven_gap(spacing, count, turn, decimals):
    positions = np.round(np.arange(count)[:, None] * (turn[:, 2] * spacing), decimals)
    layout = Layout(positions, turn[:, :2].T, (1.0, 1.0), spacing)
    assert layout.tilt == 0 or count < 3
    assert layout.even


@given(spacing=st.floats(0.5, 8), count=st.integers(4, 300), data=st.data())
def test_a_missing_slice_is_an_uneven_gap(spacing, count, data):
    lost = data.draw(st.integers(1, count - 2))
    heights = np.delete(np.arange(count), lost) * spacing
    layout = Layout(heights[:, None] * np.array([0, 0, 1.0]), np.eye(3)[:2], (1.0, 1.0), spacing)
    assert not layout.even


@pytest.mark.parametrize("size", [0.008, 0.004])
def test_slices_of_micrometres_are_told_apart_and_a_lost_one_is_missed(tmp_path, size):
    """Micro-CT: hundredths of a millimetre are no rounding here."""
    voxels = random_voxels((9, 6, 7))
    folder = write_series(tmp_path / "a", voxels, spacing=(size, size), step=(0, 0, size), SliceThickness=str(size))
    volume = read_dicom(folder, ReadSettings(), KEY)
    np.testing.assert_array_equal(volume.voxels[0], voxels)
    np.testing.assert_allclose(volume.geometry.spacing, (size, size, size))
    (folder / "IM004.dcm").unlink()
    with pytest.raises(ChoiceError, match="a slice may be missing"):
        read_dicom(folder, ReadSettings(), KEY)
