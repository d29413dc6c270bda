import gzip

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import OBLIQUE, write_nifti
from napari_apprentice.errors import ScanError
from napari_apprentice.scans.reader import read_label_map, read_volume
from napari_apprentice.scans.writer import write_label_map

DTYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")


def _voxels(shape=(5, 6, 7), dtype="i2"):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".NII.GZ"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_voxels_and_affine_are_what_nibabel_reads(tmp_path, suffix, order, kind):
    header = kind.header_class(endianness=order)
    header.set_data_dtype(order + "i2")
    image = kind(_voxels(), OBLIQUE, header)
    image.set_sform(OBLIQUE, 1)
    nib.save(image, tmp_path / f"a{suffix.lower()}")
    path = (tmp_path / f"a{suffix.lower()}").rename(tmp_path / f"b{suffix}")
    volume = read_volume(path)
    reference = nib.load(path)
    np.testing.assert_array_equal(volume.geometry.to_source(volume.voxels)[0], np.asarray(reference.dataobj))
    assert volume.geometry.source_affine.tobytes() == reference.affine.tobytes()
    assert (volume.voxels.dtype, volume.source_name, volume.warnings) == (np.int16, path.name, ())
    assert len(volume.source_digest) == 64


@pytest.mark.parametrize("dtype", DTYPES)
def test_number_types_are_kept(tmp_path, dtype):
    image = nib.Nifti1Image(_voxels(dtype=dtype), OBLIQUE, dtype=np.dtype(dtype))
    nib.save(image, tmp_path / "a.nii.gz")
    volume = read_volume(tmp_path / "a.nii.gz")
    assert volume.voxels.dtype == dtype
    np.testing.assert_array_equal(volume.geometry.to_source(volume.voxels)[0], _voxels(dtype=dtype))


@given(st.lists(st.floats(-3, 3), min_size=9, max_size=9), st.lists(st.floats(-500, 500), min_size=3, max_size=3))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_affine_of_a_real_file_is_kept_bit_for_bit(tmp_path_factory, matrix, offset):
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(matrix, (3, 3))
    affine[:3, 3] = offset
    path = tmp_path_factory.mktemp("a") / "a.nii"
    header = nib.Nifti1Header()
    header.set_sform(affine, 1)
    image = nib.Nifti1Image(_voxels((2, 3, 4)), None, header)
    nib.save(image, path)
    lengths = np.linalg.norm(affine[:3, :3].astype(np.float32), axis=0)
    if (lengths == 0).any() or abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-5:
        return  # singular, or so near to it that float32 decides
    volume = read_volume(path)
    assert volume.geometry.source_affine.tobytes() == nib.load(path).affine.tobytes()
    np.testing.assert_array_equal(volume.geometry.to_source(volume.voxels)[0], _voxels((2, 3, 4)))


def test_scaling_gives_float32(tmp_path):
    header = nib.Nifti1Header()
    header.set_data_dtype("i2")
    image = nib.Nifti1Image(_voxels(), OBLIQUE, header)
    image.header.set_slope_inter(2.0, -1024.0)
    nib.save(image, tmp_path / "a.nii")
    # nibabel unscales on saving; what is stored is (voxels + 1024) / 2.
    volume = read_volume(tmp_path / "a.nii")
    assert volume.voxels.dtype == np.float32
    np.testing.assert_array_equal(
        volume.geometry.to_source(volume.voxels)[0], nib.load(tmp_path / "a.nii").get_fdata(dtype=np.float32)
    )


@pytest.mark.parametrize(
    ("shape", "canonical"), [((5, 6), (1, 1, 6, 5)), ((5, 6, 7, 1), (1, 7, 6, 5)), ((5, 6, 7, 3), (3, 7, 6, 5))]
)
def test_other_numbers_of_axes(tmp_path, shape, canonical):
    volume = read_volume(write_nifti(tmp_path / "a.nii.gz", _voxels(shape), np.eye(4)))
    assert volume.voxels.shape == canonical
    assert volume.channels == tuple(f"c{n}" for n in range(canonical[0]))


@pytest.mark.parametrize("shape", [(5, 6, 7, 9), (2, 2, 2, 2, 2), (7,)])
def test_time_series_and_other_shapes_are_refused(tmp_path, shape):
    with pytest.raises(ScanError, match=r"a\.nii"):
        read_volume(write_nifti(tmp_path / "a.nii", _voxels(shape), np.eye(4)))


def _voxels_or_none(path):
    try:
        return read_volume(path).voxels
    except ScanError as error:
        return None if path.name in str(error) else str(error)


def test_no_flipped_bit_and_no_cut_of_a_gzip_gives_other_voxels(tmp_path):
    plain, path = write_nifti(tmp_path / "plain.nii", _voxels((3, 4, 5))), tmp_path / "a.nii.gz"
    good, voxels = gzip.compress(plain.read_bytes()), read_volume(plain).voxels
    refused = 0
    for at in range(10, len(good)):  # gzip's own header has ten bytes, and no checksum
        path.write_bytes(good[:at])
        assert _voxels_or_none(path) is None
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        found = _voxels_or_none(path)
        refused += found is None
        assert found is None or np.array_equal(found, voxels)  # a few bits of a gzip stream mean nothing
    assert refused > 0.9 * (len(good) - 10)


def test_gzip_in_several_members_is_one_file(tmp_path):
    plain = write_nifti(tmp_path / "a.nii", _voxels())
    data = plain.read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(data[:500]) + gzip.compress(data[500:]))
    np.testing.assert_array_equal(read_volume(tmp_path / "b.nii.gz").voxels, read_volume(plain).voxels)


def test_names_of_people_in_the_header_are_not_taken_along(tmp_path):
    image = nib.Nifti1Image(_voxels(), OBLIQUE)
    image.header["descrip"] = image.header["aux_file"] = image.header["db_name"] = "Jane Doe"
    image.header["intent_name"] = "Jane Doe"
    nib.save(image, tmp_path / "a.nii.gz")
    assert "Jane" not in str(read_volume(tmp_path / "a.nii.gz").geometry.to_json())


def test_oddities_are_told(tmp_path):
    voxels = _voxels(dtype="f4")
    voxels[0, 0, 0] = np.nan
    (sentence,) = read_volume(write_nifti(tmp_path / "nan.nii", voxels)).warnings
    assert "nan.nii holds 1 voxels that are not numbers" in sentence
    (sentence,) = read_volume(write_nifti(tmp_path / "zero.nii", np.zeros((2, 3, 4), "i2"))).warnings
    assert "same value" in sentence


@pytest.mark.parametrize("row", [0, np.nan])
def test_the_q_form_places_voxels_where_the_s_form_places_none(tmp_path, row):
    affine = np.diag([-0.5, 0.75, 2.0, 1.0])
    affine[:3, 3] = 10, -20, 30
    header = nib.Nifti1Header()
    header.set_data_shape((5, 6, 7))
    header.set_data_dtype("i2")
    header.set_qform(affine, code=1)
    header["sform_code"], header["magic"], header["vox_offset"] = 2, b"n+1", 352
    header["srow_x"] = header["srow_y"] = header["srow_z"] = row
    (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(4) + _voxels().tobytes(order="F"))
    volume = read_volume(tmp_path / "a.nii")
    np.testing.assert_allclose(volume.geometry.source_affine, affine, atol=1e-6)
    np.testing.assert_array_equal(volume.geometry.to_source(volume.voxels)[0], _voxels())
    assert any("the q-form was taken" in text for text in volume.warnings)
    write_label_map(tmp_path / "out.nii", np.ones(volume.geometry.shape, "u1"), volume.geometry)
    with (tmp_path / "out.nii").open("rb") as file:
        out = nib.Nifti1Header.from_fileobj(file, check=False)
    kept = ("sform_code", "srow_z", "qform_code", "quatern_d", "qoffset_z", "pixdim")
    assert all(out[name].tobytes() == header[name].tobytes() for name in kept)


@pytest.mark.parametrize(("kind", "most", "told"), [("i2", 2, False), ("i2", 7, False), ("u1", 13, True)])
def test_labels_that_nibabel_scaled_are_whole_again(tmp_path, kind, most, told):
    """As `Nifti1Image(labels_as_float, scan.affine, scan.header)` writes them: 2 becomes 1.9999999, or 2.004."""
    labels = np.random.default_rng(0).integers(0, most + 1, (5, 6, 7))
    image = nib.Nifti1Image(labels.astype(float), OBLIQUE)
    image.set_data_dtype(kind)
    nib.save(image, tmp_path / "a.nii.gz")
    assert not np.array_equal(nib.load(tmp_path / "a.nii.gz").get_fdata(), labels)
    found = read_label_map(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(found.geometry.to_source(found.voxels), labels)
    assert any("were rounded" in text for text in found.warnings) == told


def test_small_fractions_alone_are_no_label_map_of_background(tmp_path):
    diffusion = np.random.default_rng(0).uniform(0, 3e-3, (5, 6, 7)).astype("f4")
    with pytest.raises(ScanError, match="not whole numbers"):
        read_label_map(write_nifti(tmp_path / "adc.nii", diffusion))


def test_a_label_map_with_nan_around_it_says_so(tmp_path):
    labels = np.ones((5, 6, 7), "f4")
    labels[0] = np.nan
    with pytest.raises(ScanError, match="42 of its voxels are no numbers"):
        read_label_map(write_nifti(tmp_path / "spm.nii", labels))
