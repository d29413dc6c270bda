import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - the name everyone knows it by

from napari_apprentice.errors import ScanError
from napari_apprentice.scans.itk import LPS_TO_RAS
from napari_apprentice.scans.reader import read_label_map, read_volume
from napari_apprentice.scans.writer import write_label_map
from real_data import real_data

TILTED = (0.96, -0.28, 0.0, 0.28, 0.96, 0.0, 0.0, 0.0, -1.0)


def _image(dtype=np.int16):
    image = sitk.GetImageFromArray(np.arange(5 * 6 * 7).reshape(7, 6, 5).astype(dtype))
    image.SetSpacing((0.5, 0.7, 3.0))
    image.SetOrigin((10.0, -20.0, 30.0))
    image.SetDirection(TILTED)
    return image


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".mha", ".mhd", ".NRRD"])
@pytest.mark.parametrize("compressed", [False, True])
def test_each_voxel_is_where_itk_has_it(tmp_path, suffix, compressed):
    path = tmp_path / f"a{suffix}"
    written = tmp_path / f"a{suffix.lower()}"
    sitk.WriteImage(_image(), str(written), compressed)
    written.rename(path)
    volume = read_volume(path)
    image = sitk.ReadImage(str(path) if suffix.islower() else str(path.rename(written)))
    source = volume.geometry.to_source(volume.voxels)[0]
    for ijk in ((0, 0, 0), (4, 5, 6), (1, 2, 3)):
        assert source[ijk] == image.GetPixel(*ijk)
        world = LPS_TO_RAS @ [*image.TransformIndexToPhysicalPoint(ijk), 1]
        np.testing.assert_allclose(volume.geometry.source_affine @ [*ijk, 1], world, atol=1e-9)


def test_flat_and_vector_images(tmp_path):
    flat = sitk.GetImageFromArray(np.arange(12, dtype=np.uint8).reshape(3, 4))
    sitk.WriteImage(flat, str(tmp_path / "flat.nrrd"))
    assert read_volume(tmp_path / "flat.nrrd").voxels.shape == (1, 1, 3, 4)
    vector = sitk.GetImageFromArray(np.zeros((2, 3, 4, 2), np.float32), isVector=True)
    sitk.WriteImage(vector, str(tmp_path / "vector.nrrd"))
    assert read_volume(tmp_path / "vector.nrrd").channels == ("c0", "c1")
    with pytest.raises(ScanError, match="one"):
        read_label_map(tmp_path / "vector.nrrd")


@pytest.mark.parametrize("suffix", [".MHA", ".MHD", ".NRRD", ".NHDR"])
def test_suffixes_in_capitals(tmp_path, suffix):
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    written = tmp_path / f"a{suffix.lower()}"
    sitk.WriteImage(sitk.GetImageFromArray(voxels), str(written))
    found = read_volume(written.rename(tmp_path / f"B{suffix}"))
    np.testing.assert_array_equal(found.geometry.to_source(found.voxels)[0].T, voxels)


NRRD = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 4 3 2\nencoding: raw\n"
META = "NDims = 3\nDimSize = 4 3 2\nElementType = MET_UCHAR\n"


@pytest.mark.parametrize(
    ("name", "header", "told"),
    [
        ("a.nrrd", NRRD + "\n", ["how large its voxels are", "left and right"]),
        ("a.nrrd", NRRD + "spacings: 1 2 3\n\n", ["left and right"]),
        ("a.nrrd", NRRD + "space: RAS\nspace directions: (1,0,0) (0,1,0) (0,0,2)\n\n", []),
        (
            "a.nrrd",
            NRRD + 'space: RAS\nspace directions: (1,0,0) (0,1,0) (0,0,2)\nspace units: "um" "um" "mm"\n\n',
            ["in um"],
        ),
        ("a.nrrd", NRRD + "space: scanner-xyz\nspace directions: (1,0,0) (0,1,0) (0,0,2)\n\n", ["left and right"]),
        ("a.mha", META + "ElementDataFile = LOCAL\n", ["how large its voxels are", "left and right"]),
        ("a.mha", META + "ElementSpacing = 1 1 2\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nElementDataFile = LOCAL\n", []),
    ],
)
def test_a_header_that_leaves_size_or_orientation_out_is_told(tmp_path, name, header, told):
    # What pynrrd writes of an array; ITK takes 1 mm and left-posterior-superior for it.
    path = tmp_path / name
    path.write_bytes(header.encode() + bytes(range(24)))
    warnings = read_volume(path).warnings
    assert len(warnings) == len(told)
    assert all(words in warning for words, warning in zip(told, warnings, strict=True))


@pytest.mark.parametrize(("space", "signs"), [("right-anterior-superior-time", (1, 1)), ("LAST", (-1, 1))])
def test_a_space_with_time_has_its_left_and_right(tmp_path, space, signs):
    # ITK takes it for left-posterior-superior, whatever its name says.
    header = (
        f"space: {space}\nspace directions: (0.5,0,0,0) (0,1,0,0) (0,0,2,0) (0,0,0,1)\nspace origin: (10,20,30,0)\n"
    )
    start = NRRD.replace("dimension: 3", "dimension: 4").replace("4 3 2", "2 3 2 2")
    (tmp_path / "a.nrrd").write_bytes((start + header + "\n").encode() + bytes(range(24)))
    geometry = read_volume(tmp_path / "a.nrrd").geometry
    right, front = signs
    world = [[0.5 * right, 0, 0, 10 * right], [0, front, 0, 20 * front], [0, 0, 2, 30], [0, 0, 0, 1]]
    np.testing.assert_array_equal(geometry.source_affine, world)
    for name in ("out.nrrd", "out.mha", "out.nii.gz"):
        write_label_map(tmp_path / name, np.ones(geometry.shape, np.uint8), geometry)
        assert geometry.difference(read_label_map(tmp_path / name).geometry) is None


def test_a_spacing_below_zero_runs_backwards_and_is_written_as_a_direction(tmp_path):
    header = "ElementSpacing = 1 -2 3\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 5 6 7\nElementDataFile = LOCAL\n"
    (tmp_path / "a.mha").write_bytes((META + header).encode() + bytes(range(24)))
    geometry = read_volume(tmp_path / "a.mha").geometry
    world = [[-1, 0, 0, -5], [0, 2, 0, -6], [0, 0, 3, 7], [0, 0, 0, 1]]
    np.testing.assert_array_equal(geometry.source_affine, world)
    for name in ("out.mha", "out.nrrd"):
        write_label_map(tmp_path / name, np.ones(geometry.shape, np.uint8), geometry)
        np.testing.assert_array_equal(read_label_map(tmp_path / name).geometry.source_affine, world)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_a_cut_file_is_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(_image(), str(path))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ScanError, match="a" + suffix):
        read_volume(path)


def test_a_header_that_claims_too_much_is_refused_before_memory_is_taken(tmp_path):
    header = "NRRD0004\ntype: short\ndimension: 3\nsizes: 30000 30000 30000\nendian: little\nencoding: gzip\n\n"
    (tmp_path / "a.nrrd").write_bytes(header.encode() + b"\x1f\x8b123")
    with pytest.raises(ScanError, match="claims"):
        read_volume(tmp_path / "a.nrrd")


def test_complex_voxels_are_refused(tmp_path):
    sitk.WriteImage(sitk.Image([3, 3, 3], sitk.sitkComplexFloat32), str(tmp_path / "a.nrrd"))
    with pytest.raises(ScanError, match=r"a\.nrrd"):
        read_volume(tmp_path / "a.nrrd")


@pytest.mark.data
@pytest.mark.parametrize("name", ["brain1", "breast1"])
def test_real_pairs_lie_on_one_grid_where_itk_has_them(name):
    path = real_data("nrrd", f"{name}.nrrd")
    volume, labels = read_volume(path), read_label_map(real_data("nrrd", f"{name}_label.nrrd"))
    assert volume.geometry.difference(labels.geometry) is None
    assert labels.voxels.any()
    image = sitk.ReadImage(str(path))
    ijk = tuple(n - 1 for n in image.GetSize())
    world = LPS_TO_RAS @ [*image.TransformIndexToPhysicalPoint(ijk), 1]
    np.testing.assert_allclose(volume.geometry.source_affine @ [*ijk, 1], world, atol=1e-6)
    assert volume.geometry.to_source(volume.voxels)[0][ijk] == image.GetPixel(*ijk)
