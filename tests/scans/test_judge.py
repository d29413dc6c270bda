"""SimpleITK as an independent judge of where voxels are."""

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - the name everyone knows it by

from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.scans.itk import LPS_TO_RAS
from napari_apprentice.scans.reader import read_volume
from real_data import real_data

TURNED = (0.8, 0.0, 0.6, 0.0, -1.0, 0.0, 0.6, 0.0, -0.8)


def _agree(path, settings=None, seed=0):
    """World coordinates and values of random voxels, taken in canonical order as the program shows them."""
    volume, image = read_volume(path, settings), sitk.ReadImage(str(path))
    rng, size = np.random.default_rng(seed), np.array(volume.geometry.shape)
    assert image.GetSize() == volume.geometry.source_shape[: image.GetDimension()]
    for zyx in (np.zeros(3, int), size - 1, *rng.integers(0, size, (30, 3))):
        world = LPS_TO_RAS @ volume.geometry.affine @ [*zyx, 1]
        index = image.TransformPhysicalPointToIndex(world[:3])
        point = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose(world[:3], point, atol=1e-3)
        assert volume.voxels[0][tuple(zyx)] == np.float32(image.GetPixel(*index))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".hdr", ".nrrd", ".nhdr", ".mha", ".mhd"])
def test_a_turned_scan_lies_where_itk_has_it(tmp_path, suffix):
    voxels = np.random.default_rng(1).integers(-99, 99, (7, 6, 5)).astype(np.int16)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((0.5, 0.7, 3.0))
    image.SetOrigin((10.0, -20.0, 30.0))
    image.SetDirection(TURNED)
    sitk.WriteImage(image, str(tmp_path / f"a{suffix}"))
    _agree(tmp_path / f"a{suffix}")


@pytest.mark.data
@pytest.mark.parametrize(
    "parts",
    [
        ("sarcoma", "STS_005", "CT.nii.gz"),
        ("sarcoma", "STS_005", "MR_T1.nii.gz"),
        ("sarcoma", "STS_036", "PET.nii.gz"),
        ("nrrd", "brain1.nrrd"),
        ("nrrd", "breast1.nrrd"),
        ("odd", "made", "left_handed.nii.gz"),
        ("odd", "made", "qform_only.nii.gz"),
        ("odd", "real", "nv_mha.mha"),
        ("odd", "real", "nv_ras.hdr"),
    ],
)
def test_real_scans_lie_where_itk_has_them(parts):
    _agree(real_data(*parts))


@pytest.mark.data
@pytest.mark.parametrize("folder", ["ms_lesions", "fetal_brain", "abdomen_ct", "hippocampus/imagesTr"])
def test_a_real_scan_of_each_set_lies_where_itk_has_it(folder):
    _agree(min(real_data(*folder.split("/")).rglob("[!.]*.nii.gz")))


@pytest.mark.data
def test_a_real_dicom_series_lies_where_itk_has_it():
    folder = real_data("odd", "made", "dcm_shuffled")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image, volume = reader.Execute(), read_volume(folder, ReadSettings())
    for zyx in ((0, 0, 0), (7, 511, 511), (3, 100, 400)):
        world = LPS_TO_RAS @ volume.geometry.affine @ [*zyx, 1]
        index = image.TransformPhysicalPointToIndex(world[:3])
        np.testing.assert_allclose(world[:3], image.TransformIndexToPhysicalPoint(index), atol=1e-3)
        assert volume.voxels[0][zyx] == image.GetPixel(*index)
